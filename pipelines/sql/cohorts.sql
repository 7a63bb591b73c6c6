-- Retention: of the users who first used a model in a {grain}, how many used it again so many {grain}s later.
-- A user is a named user of a key, or the key itself where its requests name none.
WITH active AS (
    SELECT DISTINCT
        CAST(date_trunc('{grain}', hour) AS DATE) AS period,
        model,
        coalesce(user_hash, key_hash) AS person
    FROM users_hourly
    WHERE model IS NOT NULL
),
begun AS (
    SELECT period, model, person, min(period) OVER (PARTITION BY model, person) AS cohort
    FROM active
),
counted AS (
    SELECT
        model,
        cohort,
        CAST(date_diff('{grain}', cohort, period) AS BIGINT) AS age,
        CAST(count(*) AS BIGINT) AS active
    FROM begun
    GROUP BY 1, 2, 3
)
SELECT
    model,
    cohort,
    age,
    active,
    first_value(active) OVER (PARTITION BY model, cohort ORDER BY age) AS users
FROM counted
ORDER BY 1, 2, 3
