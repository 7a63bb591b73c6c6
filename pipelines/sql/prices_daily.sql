-- What a unit of each meter cost by day, model and provider, and on the day before on which the meter was used.
WITH days AS (
    SELECT
        CAST(date_trunc('day', hour) AS DATE) AS day,
        model,
        provider,
        meter,
        CAST(sum(quantity) AS BIGINT) AS quantity,
        CAST(sum(nano) AS BIGINT) AS nano
    FROM charges_hourly
    GROUP BY 1, 2, 3, 4
),
priced AS (
    SELECT *, CAST(nano AS DOUBLE) / quantity AS nano_per_unit
    FROM days
    WHERE quantity > 0
)
SELECT
    *,
    lag(nano_per_unit) OVER (PARTITION BY model, provider, meter ORDER BY day) AS nano_per_unit_before
FROM priced
ORDER BY 1, 2, 3, 4
