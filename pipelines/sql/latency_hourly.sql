-- Histograms in buckets of 2 %: floor(ln(x) / ln(1.02)). They add up across hours and providers.
-- ttft, duration and overhead in microseconds, throughput in thousandths of a token a second.
WITH streamed AS (
    SELECT date_trunc('hour', started_at) AS hour, model, provider, completion_tokens, unnest(attempts) AS attempt
    FROM requests
    WHERE stream AND status = 200 AND error_type IS NULL AND NOT cancelled AND completion_tokens > 1
        AND provider IS NOT NULL
),
measured AS (
    SELECT date_trunc('hour', started_at) AS hour, model, provider, 'ttft' AS metric, ttft_us AS value
    FROM requests WHERE ttft_us > 0 AND provider IS NOT NULL
    UNION ALL
    SELECT date_trunc('hour', started_at), model, provider, 'duration', duration_us
    FROM requests WHERE duration_us > 0 AND status = 200 AND NOT cancelled AND provider IS NOT NULL
    UNION ALL
    -- Output tokens a second of streams, first token to last as the provider sent them, in thousandths.
    SELECT hour, model, provider, 'throughput',
        CAST(completion_tokens * 1000000000.0 / (attempt.duration_us - attempt.ttft_us) AS BIGINT)
    FROM streamed
    WHERE attempt.error_type IS NULL AND attempt.ttft_us > 0 AND attempt.duration_us > attempt.ttft_us
    UNION ALL
    SELECT date_trunc('hour', started_at), model, provider, 'overhead', overhead_us
    FROM requests WHERE overhead_us > 0 AND provider IS NOT NULL
)
SELECT
    hour,
    model,
    provider,
    metric,
    CAST(floor(ln(CAST(value AS DOUBLE)) / ln(1.02)) AS INTEGER) AS bucket,
    CAST(count(*) AS BIGINT) AS n
FROM measured
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5
