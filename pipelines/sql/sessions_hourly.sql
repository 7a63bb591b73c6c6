-- Requests and cost by hour, API key, session and model. A session is that of a user: its id begins with digits of the
-- user's hash, by which its rows are found when the user's requests are erased.
SELECT
    date_trunc('hour', started_at) AS hour,
    key_hash,
    CASE
        WHEN user_hash IS NULL THEN '-' || left(md5(session_id), 13)
        ELSE left(user_hash, 6) || left(md5(session_id), 8)
    END AS session,
    model,
    max(app) AS app,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(coalesce(sum(cost_nano), 0) AS BIGINT) AS cost_nano
FROM requests
WHERE session_id IS NOT NULL
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
