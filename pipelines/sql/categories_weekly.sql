-- Requests and tokens by week (Monday, UTC), category and model. Divided once, at the end.
SELECT
    CAST(date_trunc('week', hour) AS DATE) AS week,
    category,
    model,
    CAST(sum(requests) AS BIGINT) AS requests,
    CAST(sum(tokens) AS BIGINT) AS tokens,
    CAST(sum(confidence_millionths) AS DOUBLE) / 1000000 / sum(requests) AS mean_confidence
FROM categories_hourly
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
