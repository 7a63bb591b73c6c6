-- Requests by hour, model, provider, error and finish reason.
SELECT
    date_trunc('hour', started_at) AS hour,
    model,
    provider,
    error_type,
    finish_reason,
    CAST(count(*) AS BIGINT) AS requests
FROM requests
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5
