-- Which of the eligible endpoints served, by their probabilities, and with which attempt.
-- The rank is one more than the number of eligible endpoints with a greater probability.
WITH asked AS (
    SELECT
        date_trunc('hour', started_at) AS hour,
        policy,
        model,
        generation_id,
        candidates,
        attempts,
        CASE WHEN error_type IS NULL THEN endpoint END AS served_endpoint
    FROM requests
),
listed AS (
    SELECT hour, generation_id, served_endpoint, unnest(candidates) AS candidate
    FROM asked
    WHERE served_endpoint IS NOT NULL
),
eligible AS (
    SELECT hour, generation_id, candidate.endpoint = served_endpoint AS has_served, candidate.probability AS probability
    FROM listed
    WHERE candidate.excluded_by IS NULL
),
chances AS (
    SELECT hour, generation_id, max(probability) AS chance
    FROM eligible
    WHERE has_served
    GROUP BY hour, generation_id
),
ranks AS (
    SELECT
        eligible.hour AS hour,
        eligible.generation_id AS generation_id,
        CAST(1 + count(*) FILTER (WHERE eligible.probability > chances.chance) AS INTEGER) AS rank
    FROM eligible JOIN chances USING (hour, generation_id)
    GROUP BY 1, 2
),
tried AS (
    SELECT
        hour, generation_id, served_endpoint, unnest(attempts) AS attempt,
        generate_subscripts(attempts, 1) AS place
    FROM asked
    WHERE served_endpoint IS NOT NULL
),
places AS (
    SELECT hour, generation_id, CAST(min(place) AS INTEGER) AS attempt
    FROM tried
    WHERE attempt.endpoint = served_endpoint AND attempt.error_type IS NULL
    GROUP BY hour, generation_id
)
SELECT
    asked.hour AS hour,
    asked.policy AS policy,
    asked.model AS model,
    ranks.rank AS rank,
    places.attempt AS attempt,
    CAST(count(*) AS BIGINT) AS requests
FROM asked
LEFT JOIN ranks USING (hour, generation_id)
LEFT JOIN places USING (hour, generation_id)
GROUP BY 1, 2, 3, 4, 5
ORDER BY 1, 2, 3, 4, 5
