-- One row: how many requests the marts stand on, and from when.
SELECT
    CAST(coalesce(sum(requests), 0) AS BIGINT) AS requests,
    min(first_started_at) AS first_started_at,
    max(last_started_at) AS last_started_at
FROM arrivals_hourly
