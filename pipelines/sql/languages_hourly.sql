-- Requests, tokens and cost by hour, natural language, programming language and model, over the requests that have
-- either.
SELECT
    date_trunc('hour', started_at) AS hour,
    natural_language,
    programming_language,
    model,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)) AS BIGINT) AS tokens,
    CAST(coalesce(sum(cost_nano), 0) AS BIGINT) AS cost_nano
FROM requests
WHERE natural_language IS NOT NULL OR programming_language IS NOT NULL
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
