-- Uptime by the reference's definition: successes over all attempts that say something about the endpoint.
-- The client's own errors do not count, nor do 429s, which stand apart.
WITH tried AS (
    SELECT date_trunc('hour', started_at) AS hour, unnest(attempts) AS attempt
    FROM requests
),
typed AS (
    SELECT
        hour,
        attempt.model AS model,
        attempt.provider AS provider,
        attempt.endpoint AS endpoint,
        attempt.error_type AS error_type
    FROM tried
    -- Neither an answer nor an error: the client left while the provider was still silent, the call was cut
    -- because the other of two was sooner, or it was given up sooner than the router would have.
    WHERE (attempt.error_type IS NOT NULL OR attempt.ttft_us IS NOT NULL)
      AND attempt.error_type IS DISTINCT FROM 'cancelled'
      AND attempt.error_type IS DISTINCT FROM 'client_deadline'
)
SELECT
    hour,
    model,
    provider,
    endpoint,
    CAST(count(*) AS BIGINT) AS attempts,
    CAST(count(*) FILTER (WHERE error_type IS NULL) AS BIGINT) AS succeeded,
    CAST(count(*) FILTER (WHERE error_type = 'rate_limit_exceeded') AS BIGINT) AS rate_limited,
    CAST(count(*) FILTER (
        WHERE error_type IN ('provider_unavailable', 'provider_overloaded', 'timeout', 'server')
    ) AS BIGINT) AS failed
FROM typed
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
