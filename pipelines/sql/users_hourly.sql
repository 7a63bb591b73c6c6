-- Requests, tokens and cost by hour, API key, user and model. 48 bits of a user's hash identify the user.
SELECT
    date_trunc('hour', started_at) AS hour,
    key_hash,
    left(user_hash, 12) AS user_hash,
    model,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)) AS BIGINT) AS tokens,
    CAST(coalesce(sum(cost_nano), 0) AS BIGINT) AS cost_nano
FROM requests
WHERE key_hash IS NOT NULL
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
