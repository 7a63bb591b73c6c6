-- Tokens by week (Monday, UTC) and model, and the share of the week's tokens.
WITH weekly AS (
    SELECT
        CAST(date_trunc('week', started_at) AS DATE) AS week,
        author,
        model,
        CAST(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)) AS BIGINT) AS tokens,
        CAST(count(*) AS BIGINT) AS requests
    FROM requests
    WHERE model IS NOT NULL
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
