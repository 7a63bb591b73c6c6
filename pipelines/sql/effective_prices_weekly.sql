-- What a token really cost by week (Monday, UTC), model and provider: all charges over prompt and completion tokens.
WITH weeks AS (
    SELECT
        CAST(date_trunc('week', hour) AS DATE) AS week,
        model,
        provider,
        CAST(sum(requests) AS BIGINT) AS requests,
        CAST(sum(prompt_tokens + completion_tokens) AS BIGINT) AS tokens,
        CAST(sum(prompt_tokens) AS BIGINT) AS prompt_tokens,
        CAST(sum(cached_tokens) AS BIGINT) AS cached_tokens,
        CAST(sum(cost_nano) AS BIGINT) AS cost_nano
    FROM usage_hourly
    WHERE model IS NOT NULL
    GROUP BY 1, 2, 3
)
SELECT
    *,
    CAST(cost_nano AS DOUBLE) / nullif(1000 * tokens, 0) AS usd_per_million,
    CAST(cached_tokens AS DOUBLE) / nullif(prompt_tokens, 0) AS cached_share
FROM weeks
ORDER BY 1, 2, 3
