-- Requests, tokens and cost by hour, API key and model.
SELECT
    date_trunc('hour', started_at) AS hour,
    key_hash,
    workspace,
    model,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(count(*) FILTER (WHERE status = 200 AND error_type IS NULL) AS BIGINT) AS succeeded,
    CAST(count(*) FILTER (WHERE cancelled) AS BIGINT) AS cancelled,
    CAST(coalesce(sum(prompt_tokens), 0) AS BIGINT) AS prompt_tokens,
    CAST(coalesce(sum(completion_tokens), 0) AS BIGINT) AS completion_tokens,
    CAST(coalesce(sum(cached_tokens), 0) AS BIGINT) AS cached_tokens,
    CAST(coalesce(sum(reasoning_tokens), 0) AS BIGINT) AS reasoning_tokens,
    CAST(coalesce(sum(cost_nano), 0) AS BIGINT) AS cost_nano
FROM requests
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
