-- Tokens by week (Monday, UTC) and model, and the share of the week's tokens.
WITH weekly AS (
    SELECT
        CAST(date_trunc('week', hour) AS DATE) AS week,
        author,
        model,
        CAST(sum(tokens) AS BIGINT) AS tokens,
        CAST(sum(requests) AS BIGINT) AS requests
    FROM market_hourly
    GROUP BY 1, 2, 3
)
SELECT
    week,
    author,
    model,
    tokens,
    requests,
    CAST(tokens AS DOUBLE) / nullif(sum(tokens) OVER (PARTITION BY week), 0) AS share
FROM weekly
ORDER BY 1, 2, 3
