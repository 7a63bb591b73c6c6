-- What became of requests, by the endpoint's model and provider that were tried first: how many first attempts
-- succeeded, and how many requests were answered in the end. Requests that the client cut short or got wrong are left
-- out, by the error types of uptime_hourly.sql; a 429 counts as a failure.
SELECT
    date_trunc('hour', started_at) AS hour,
    attempts[1].model AS model,
    attempts[1].provider AS provider,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(count(*) FILTER (WHERE attempts[1].error_type IS NULL) AS BIGINT) AS first_succeeded,
    CAST(count(*) FILTER (WHERE error_type IS NULL) AS BIGINT) AS answered,
    CAST(count(*) FILTER (WHERE attempts[1].error_type IS NOT NULL AND error_type IS NULL) AS BIGINT) AS rescued
FROM requests
WHERE attempts[1].provider IS NOT NULL
    AND NOT cancelled
    AND (
        attempts[1].error_type IS NULL OR attempts[1].error_type NOT IN (
            'cancelled', 'client_deadline', 'content_policy_violation', 'context_length_exceeded', 'invalid_prompt',
            'invalid_request', 'max_tokens_exceeded', 'payload_too_large', 'permission_denied', 'refusal',
            'string_too_long', 'token_limit_exceeded', 'unprocessable'
        )
    )
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
