-- Requests, tokens and cost by hour, size of the prompt, modality, use of tools and model.
SELECT
    date_trunc('hour', started_at) AS hour,
    CASE
        WHEN prompt_tokens IS NULL THEN NULL
        WHEN prompt_tokens <= 1000 THEN '1K'
        WHEN prompt_tokens <= 10000 THEN '10K'
        WHEN prompt_tokens <= 100000 THEN '100K'
        WHEN prompt_tokens <= 1000000 THEN '1M'
        ELSE '10M'
    END AS context_bucket,
    modality,
    coalesce(tools, 0) > 0 AS offers_tools,
    model,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(count(*) FILTER (WHERE tool_calls IS NOT NULL) AS BIGINT) AS tool_call_responses,
    CAST(coalesce(sum(prompt_tokens), 0) AS BIGINT) AS prompt_tokens,
    CAST(coalesce(sum(completion_tokens), 0) AS BIGINT) AS completion_tokens,
    CAST(coalesce(sum(reasoning_tokens), 0) AS BIGINT) AS reasoning_tokens,
    CAST(coalesce(sum(cost_nano), 0) AS BIGINT) AS cost_nano
FROM requests
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5
