-- Requests by hour, and the first and last arrival in it.
SELECT
    date_trunc('hour', started_at) AS hour,
    CAST(count(*) AS BIGINT) AS requests,
    min(started_at) AS first_started_at,
    max(started_at) AS last_started_at
FROM requests
GROUP BY 1
ORDER BY 1
