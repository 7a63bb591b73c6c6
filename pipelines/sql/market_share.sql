-- Tokens by {grain} (UTC, weeks from Monday) and model, the share of the {grain}'s tokens, and the rank in it.
WITH periods AS (
    SELECT
        CAST(date_trunc('{grain}', hour) AS DATE) AS {grain},
        author,
        model,
        CAST(sum(tokens) AS BIGINT) AS tokens,
        CAST(sum(requests) AS BIGINT) AS requests
    FROM market_hourly
    GROUP BY 1, 2, 3
)
SELECT
    {grain},
    author,
    model,
    tokens,
    requests,
    CAST(tokens AS DOUBLE) / nullif(sum(tokens) OVER (PARTITION BY {grain}), 0) AS share,
    CAST(row_number() OVER (PARTITION BY {grain} ORDER BY tokens DESC, model, author) AS BIGINT) AS rank
FROM periods
ORDER BY 1, 2, 3
