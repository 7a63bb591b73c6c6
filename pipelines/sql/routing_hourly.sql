-- What routing gained and what exploration cost, by hour, policy, its version and model.
-- A score is the list price of an endpoint, USD per million tokens; in millionths it is an integer, so that no sum
-- depends on the order of the rows. A difference of scores times tokens / 1000 is nano-USD.
WITH asked AS (
    SELECT
        date_trunc('hour', started_at) AS hour,
        policy,
        policy_version,
        model,
        generation_id,
        candidates,
        attempts[1].endpoint AS first_endpoint,
        attempts[1].error_type AS first_error,
        CASE WHEN status = 200 AND error_type IS NULL THEN endpoint END AS served_endpoint,
        status = 200 AND error_type IS NULL AS succeeded,
        coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0) AS tokens,
        hedge_cost_nano
    FROM requests
),
listed AS (
    SELECT
        hour, policy, policy_version, model, generation_id, first_endpoint, served_endpoint, tokens,
        unnest(candidates) AS candidate
    FROM asked
),
eligible AS (
    SELECT
        hour, policy, policy_version, model, generation_id, tokens,
        candidate.endpoint = first_endpoint AS is_first,
        candidate.endpoint = served_endpoint AS has_served,
        CAST(round(candidate.score * 1000000) AS BIGINT) AS price,
        candidate.probability AS probability
    FROM listed
    WHERE candidate.excluded_by IS NULL
),
plans AS (
    SELECT
        hour, policy, policy_version, model, tokens,
        count(*) AS eligible,
        count(price) AS priced,
        sum(price) AS price_sum,
        min(price) FILTER (WHERE is_first) AS first_price,
        min(price) FILTER (WHERE has_served) AS served_price,
        max(probability) FILTER (WHERE is_first) AS first_probability,
        max(probability) AS highest,
        max(probability) FILTER (WHERE price IS NOT NULL) AS highest_priced,
        -- The cheapest of the most probable endpoints.
        max_by(price, {'probability': probability, 'cheapness': -price}) FILTER (WHERE price IS NOT NULL) AS best_price
    FROM eligible
    GROUP BY hour, policy, policy_version, model, tokens, generation_id
),
judged AS (
    SELECT
        hour, policy, policy_version, model,
        eligible > 1 AS has_choice,
        first_probability < highest AS explored,
        CASE WHEN first_probability < highest AND highest_priced = highest THEN
            CAST(round(CAST((first_price - best_price) * tokens AS DOUBLE) / 1000) AS BIGINT)
        END AS exploration_nano,
        CASE WHEN priced > 1 THEN
            CAST(round(CAST((price_sum - served_price * priced) * tokens AS DOUBLE) / (1000 * priced)) AS BIGINT)
        END AS gain_nano
    FROM plans
),
figures AS (
    SELECT
        hour, policy, policy_version, model,
        1 AS requests, 0 AS choices, 0 AS explored, 0 AS exploration_nano, 0 AS gain_nano,
        CASE WHEN succeeded AND first_error IS NOT NULL THEN 1 ELSE 0 END AS rescued,
        CASE WHEN hedge_cost_nano IS NOT NULL THEN 1 ELSE 0 END AS hedged,
        coalesce(hedge_cost_nano, 0) AS hedge_cost_nano
    FROM asked
    UNION ALL
    SELECT
        hour, policy, policy_version, model,
        0, CASE WHEN has_choice THEN 1 ELSE 0 END, CASE WHEN explored THEN 1 ELSE 0 END,
        coalesce(exploration_nano, 0), coalesce(gain_nano, 0), 0, 0, 0
    FROM judged
)
SELECT
    hour,
    policy,
    policy_version,
    model,
    CAST(sum(requests) AS BIGINT) AS requests,
    CAST(sum(choices) AS BIGINT) AS choices,
    CAST(sum(explored) AS BIGINT) AS explored,
    CAST(sum(exploration_nano) AS BIGINT) AS exploration_nano,
    CAST(sum(gain_nano) AS BIGINT) AS gain_nano,
    CAST(sum(rescued) AS BIGINT) AS rescued,
    CAST(sum(hedged) AS BIGINT) AS hedged,
    CAST(sum(hedge_cost_nano) AS BIGINT) AS hedge_cost_nano
FROM figures
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
