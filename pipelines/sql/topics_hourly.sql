-- Requests, tokens and cost by hour, category, natural language, use of tools and model, over the requests that have a
-- category or a natural language.
SELECT
    date_trunc('hour', started_at) AS hour,
    category,
    natural_language,
    coalesce(tools, 0) > 0 AS offers_tools,
    model,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)) AS BIGINT) AS tokens,
    CAST(coalesce(sum(cost_nano), 0) AS BIGINT) AS cost_nano
FROM requests
WHERE category IS NOT NULL OR natural_language IS NOT NULL
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5
