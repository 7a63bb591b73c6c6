-- Requests and tokens by hour, category and model, over the requests that were categorised.
-- Probabilities are summed as integers: a sum of floats depends on the order of the rows.
SELECT
    date_trunc('hour', started_at) AS hour,
    category,
    model,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)) AS BIGINT) AS tokens,
    CAST(sum(CAST(round(coalesce(category_confidence, 0) * 1000000) AS BIGINT)) AS BIGINT) AS confidence_millionths
FROM requests
WHERE category IS NOT NULL AND model IS NOT NULL
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
