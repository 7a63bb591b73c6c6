-- One row: how many requests the mart stands on, and from when.
SELECT
    CAST(count(*) AS BIGINT) AS requests,
    min(started_at) AS first_started_at,
    max(started_at) AS last_started_at
FROM requests
