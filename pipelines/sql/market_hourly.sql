-- Tokens and requests by hour and model.
SELECT
    date_trunc('hour', started_at) AS hour,
    author,
    model,
    CAST(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)) AS BIGINT) AS tokens,
    CAST(count(*) AS BIGINT) AS requests
FROM requests
WHERE model IS NOT NULL
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
