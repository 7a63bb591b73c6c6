-- Requests and tokens by hour, country, API and modality.
SELECT
    date_trunc('hour', started_at) AS hour,
    country,
    skin,
    modality,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)) AS BIGINT) AS tokens
FROM requests
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
