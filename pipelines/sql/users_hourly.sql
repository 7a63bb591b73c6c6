-- Requests, tokens and cost by hour, API key and user.
SELECT
    date_trunc('hour', started_at) AS hour,
    key_hash,
    user_hash,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)) AS BIGINT) AS tokens,
    CAST(sum(cost_nano) AS BIGINT) AS cost_nano
FROM requests
WHERE user_hash IS NOT NULL
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
