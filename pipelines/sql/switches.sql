-- From which model to which users moved: the model with most of a user's tokens in a {grain}, against the one of the
-- {grain} in which the user was active before. Rows with the same model twice are the users who stayed.
WITH used AS (
    SELECT
        CAST(date_trunc('{grain}', hour) AS DATE) AS {grain},
        coalesce(user_hash, key_hash) AS person,
        model,
        CAST(sum(tokens) AS BIGINT) AS tokens
    FROM users_hourly
    WHERE model IS NOT NULL
    GROUP BY 1, 2, 3
),
ranked AS (
    SELECT
        {grain}, person, model, tokens,
        row_number() OVER (PARTITION BY {grain}, person ORDER BY tokens DESC, model) AS place
    FROM used
),
moves AS (
    SELECT
        {grain},
        lag(model) OVER (PARTITION BY person ORDER BY {grain}) AS from_model,
        model AS to_model,
        tokens
    FROM ranked
    WHERE place = 1
)
SELECT
    {grain},
    from_model,
    to_model,
    CAST(count(*) AS BIGINT) AS users,
    CAST(sum(tokens) AS BIGINT) AS tokens
FROM moves
WHERE from_model IS NOT NULL
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
