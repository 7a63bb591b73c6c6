-- Uptime by the reference's definition: successes over all attempts that say something about the endpoint.
-- The client's own errors do not count, nor do 429s, which stand apart. The error types are those of
-- models/selection/decision/outcome.py; a test compares both.
WITH tried AS (
    SELECT
        date_trunc('hour', started_at) AS hour,
        attempts,
        unnest(attempts) AS attempt,
        generate_subscripts(attempts, 1) AS place
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
    -- Neither an answer nor an error: the client disconnected before the first token, the call lost to a hedged
    -- request, it was given up sooner than the router would have, or it met a connection that the provider had closed
    -- while idle and was made once more.
    WHERE (attempt.error_type IS NOT NULL OR attempt.ttft_us IS NOT NULL)
      AND attempt.error_type IS DISTINCT FROM 'cancelled'
      AND attempt.error_type IS DISTINCT FROM 'client_deadline'
      AND NOT coalesce(
          attempts[place + 1].reason = 'retry:stale_connection' AND attempts[place + 1].endpoint = attempt.endpoint,
          FALSE
      )
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
        WHERE error_type NOT IN (
            'rate_limit_exceeded', 'content_policy_violation', 'context_length_exceeded', 'invalid_prompt',
            'invalid_request', 'max_tokens_exceeded', 'payload_too_large', 'permission_denied', 'refusal',
            'string_too_long', 'token_limit_exceeded', 'unprocessable'
        )
    ) AS BIGINT) AS failed
FROM typed
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
