-- Requests, tokens and cost by hour, category, task tag and model, over the requests that were labelled.
SELECT
    date_trunc('hour', started_at) AS hour,
    category,
    task_tag,
    model,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)) AS BIGINT) AS tokens,
    CAST(coalesce(sum(cost_nano), 0) AS BIGINT) AS cost_nano
FROM requests
WHERE category IS NOT NULL OR task_tag IS NOT NULL
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
