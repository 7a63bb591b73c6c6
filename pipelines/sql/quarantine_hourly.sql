-- Requests that are set aside: in no other mart, with the reason.
SELECT
    date_trunc('hour', started_at) AS hour,
    reason,
    generation_id,
    CAST(count(*) AS BIGINT) AS requests
FROM quarantined
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
