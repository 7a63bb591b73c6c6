-- Requests and tokens by week, category and model, over the requests that were categorised.
SELECT
    CAST(date_trunc('week', started_at) AS DATE) AS week,
    category,
    model,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)) AS BIGINT) AS tokens,
    avg(category_confidence) AS mean_confidence
FROM requests
WHERE category IS NOT NULL AND model IS NOT NULL
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
