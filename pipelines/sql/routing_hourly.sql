-- What routing gained and what exploration cost, by hour, policy, its version and model; see plans.sql.
SELECT
    date_trunc('hour', started_at) AS hour,
    policy,
    policy_version,
    model,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(count(*) FILTER (WHERE plan_has_choice) AS BIGINT) AS choices,
    CAST(count(*) FILTER (WHERE plan_explored) AS BIGINT) AS explored,
    CAST(coalesce(sum(plan_exploration_nano), 0) AS BIGINT) AS exploration_nano,
    CAST(coalesce(sum(plan_gain_nano), 0) AS BIGINT) AS gain_nano,
    CAST(count(*) FILTER (
        WHERE status = 200 AND error_type IS NULL AND attempts[1].error_type IS NOT NULL
    ) AS BIGINT) AS rescued,
    CAST(count(*) FILTER (WHERE hedge_cost_nano IS NOT NULL) AS BIGINT) AS hedged,
    CAST(coalesce(sum(hedge_cost_nano), 0) AS BIGINT) AS hedge_cost_nano
FROM requests
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
