-- What routing gained and what exploration cost, by hour, policy, its version and model.
-- A score is the list price of an endpoint, USD per million tokens; in millionths it is an integer, so that no sum
-- depends on the order of the rows. A difference of scores times tokens / 1000 is nano-USD.
-- Plans stay lists: a row for each of their endpoints, some forty a request, would cost twice as much.
WITH asked AS (
    SELECT
        date_trunc('hour', started_at) AS hour,
        policy,
        policy_version,
        model,
        list_filter(candidates, lambda candidate: candidate.excluded_by IS NULL) AS eligible,
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
        hour, policy, policy_version, model, first_endpoint, first_error, served_endpoint, succeeded, tokens,
        hedge_cost_nano,
        list_transform(eligible, lambda candidate: candidate.endpoint) AS endpoints,
        list_transform(eligible, lambda candidate: CAST(round(candidate.score * 1000000) AS BIGINT)) AS prices,
        list_transform(eligible, lambda candidate: candidate.probability) AS probabilities
    FROM asked
),
plans AS (
    SELECT
        hour, policy, policy_version, model, first_error, succeeded, tokens, hedge_cost_nano, prices, probabilities,
        list_count(prices) AS priced,
        prices[list_position(endpoints, served_endpoint)] AS served_price,
        prices[list_position(endpoints, first_endpoint)] AS first_price,
        probabilities[list_position(endpoints, first_endpoint)] AS first_probability,
        list_max(probabilities) AS highest
    FROM listed
),
judged AS (
    SELECT
        hour, policy, policy_version, model, first_error, succeeded, hedge_cost_nano,
        len(prices) > 1 AS has_choice,
        first_probability < highest AS explored,
        CASE WHEN first_probability < highest THEN
            -- The cheapest of the most probable endpoints.
            CAST(round(CAST((first_price - list_min(list_transform(
                list_zip(prices, probabilities), lambda pair: CASE WHEN pair[2] = highest THEN pair[1] END
            ))) * tokens AS DOUBLE) / 1000) AS BIGINT)
        END AS exploration_nano,
        CASE WHEN priced > 1 THEN
            CAST(round(CAST((list_sum(prices) - served_price * priced) * tokens AS DOUBLE) / (1000 * priced)) AS BIGINT)
        END AS gain_nano
    FROM plans
)
SELECT
    hour,
    policy,
    policy_version,
    model,
    CAST(count(*) AS BIGINT) AS requests,
    CAST(count(*) FILTER (WHERE has_choice) AS BIGINT) AS choices,
    CAST(count(*) FILTER (WHERE explored) AS BIGINT) AS explored,
    CAST(coalesce(sum(exploration_nano), 0) AS BIGINT) AS exploration_nano,
    CAST(coalesce(sum(gain_nano), 0) AS BIGINT) AS gain_nano,
    CAST(count(*) FILTER (WHERE succeeded AND first_error IS NOT NULL) AS BIGINT) AS rescued,
    CAST(count(*) FILTER (WHERE hedge_cost_nano IS NOT NULL) AS BIGINT) AS hedged,
    CAST(coalesce(sum(hedge_cost_nano), 0) AS BIGINT) AS hedge_cost_nano
FROM judged
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
