-- Quantity and price by hour, model, provider and meter.
WITH charged AS (
    SELECT date_trunc('hour', started_at) AS hour, model, provider, unnest(charges) AS charge
    FROM requests
)
SELECT
    hour,
    model,
    provider,
    charge.meter AS meter,
    CAST(sum(charge.quantity) AS BIGINT) AS quantity,
    CAST(sum(charge.nano) AS BIGINT) AS nano
FROM charged
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
