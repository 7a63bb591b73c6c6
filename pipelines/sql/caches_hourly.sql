-- Use of the providers' prompt caches and of the response cache by hour, model and provider.
SELECT
    date_trunc('hour', started_at) AS hour,
    model,
    provider,
    CAST(count(*) FILTER (WHERE prompt_tokens IS NOT NULL) AS BIGINT) AS metered,
    CAST(count(*) FILTER (WHERE prompt_tokens IS NOT NULL AND cached_tokens > 0) AS BIGINT) AS cache_reads,
    CAST(coalesce(sum(prompt_tokens), 0) AS BIGINT) AS prompt_tokens,
    CAST(coalesce(sum(cached_tokens), 0) AS BIGINT) AS cached_tokens,
    CAST(coalesce(sum(cache_write_tokens), 0) AS BIGINT) AS cache_write_tokens,
    CAST(coalesce(sum(cost_cached_nano), 0) AS BIGINT) AS cost_cached_nano,
    CAST(count(*) FILTER (WHERE response_cache = 'hit') AS BIGINT) AS response_hits,
    CAST(count(*) FILTER (WHERE response_cache = 'miss') AS BIGINT) AS response_misses
FROM requests
WHERE prompt_tokens IS NOT NULL OR response_cache IS NOT NULL
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
