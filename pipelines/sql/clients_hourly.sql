-- Requests, tokens and cost by hour, country, API, modality and author.
SELECT
    date_trunc('hour', started_at) AS hour,
    country,
    skin,
    modality,
    author,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)) AS BIGINT) AS tokens,
    CAST(coalesce(sum(cost_nano), 0) AS BIGINT) AS cost_nano
FROM requests
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5
