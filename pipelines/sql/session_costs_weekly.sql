-- What a session costs, by the week (Monday, UTC) in which it began, app, model and number of requests.
WITH sessions AS (
    SELECT
        CAST(date_trunc('week', min(hour)) AS DATE) AS week,
        max(app) AS app,
        model,
        CAST(sum(requests) AS BIGINT) AS turns,
        CAST(sum(cost_nano) AS BIGINT) AS cost_nano
    FROM sessions_hourly
    GROUP BY key_hash, session, model
)
SELECT
    week,
    app,
    model,
    CASE
        WHEN turns = 1 THEN '1-turn'
        WHEN turns < 10 THEN '2-9-turns'
        WHEN turns < 50 THEN '10-49-turns'
        ELSE '50-plus-turns'
    END AS turn_range,
    CAST(count(*) AS BIGINT) AS sessions,
    CAST(sum(turns) AS BIGINT) AS requests,
    CAST(sum(cost_nano) AS BIGINT) AS cost_nano,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY cost_nano) AS median_cost_nano
FROM sessions
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
