-- Which of the eligible endpoints served, by their probabilities, and with which attempt; see plans.sql.
SELECT
    date_trunc('hour', started_at) AS hour,
    policy,
    model,
    plan_rank AS rank,
    plan_attempt AS attempt,
    CAST(count(*) AS BIGINT) AS requests
FROM requests
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5
