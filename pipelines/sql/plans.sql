-- The requests with figures of their plans, beside the columns of the record.
-- They are computed while the requests are read: to keep plans, of some forty endpoints each, would cost more than all
-- marts. Plans stay lists here, as a row for each of their endpoints would cost several times as much.
-- A score is the list price of an endpoint, USD per million tokens; in millionths it is an integer, so that no sum
-- depends on the order of the rows. A difference of scores times tokens / 1000 is nano-USD.
WITH asked AS (
    SELECT
        *,
        list_filter(candidates, lambda candidate: candidate.excluded_by IS NULL) AS eligible,
        -- Figures of requests that are yet to be set aside may be of any size.
        CAST(coalesce(prompt_tokens, 0) AS HUGEINT) + coalesce(completion_tokens, 0) AS tokens
    FROM logged
),
listed AS (
    SELECT
        *,
        list_transform(eligible, lambda candidate: candidate.endpoint) AS endpoints,
        list_transform(eligible, lambda candidate: TRY_CAST(round(candidate.score * 1000000) AS BIGINT)) AS prices,
        list_transform(eligible, lambda candidate: candidate.probability) AS probabilities
    FROM asked
),
placed AS (
    SELECT
        *,
        list_position(endpoints, attempts[1].endpoint) AS first_place,
        list_position(endpoints, CASE WHEN error_type IS NULL THEN endpoint END) AS served_place
    FROM listed
),
plans AS (
    SELECT
        *,
        list_max(probabilities) AS highest,
        probabilities[first_place] AS first_probability,
        prices[first_place] AS first_price,
        probabilities[served_place] AS served_probability,
        CASE WHEN status = 200 THEN prices[served_place] END AS served_price
    FROM placed
)
SELECT
    *,
    len(prices) > 1 AS plan_has_choice,
    first_probability < highest AS plan_explored,
    CASE WHEN first_probability < highest THEN
        -- The cheapest of the most probable endpoints.
        TRY_CAST(round(CAST((first_price - list_min(list_transform(
            eligible,
            lambda candidate:
                CASE WHEN candidate.probability = highest THEN TRY_CAST(round(candidate.score * 1000000) AS BIGINT) END
        ))) * tokens AS DOUBLE) / 1000) AS BIGINT)
    END AS plan_exploration_nano,
    CASE WHEN list_count(prices) > 1 THEN
        TRY_CAST(round(
            CAST((list_sum(prices) - served_price * list_count(prices)) * tokens AS DOUBLE) / (1000 * list_count(prices))
        ) AS BIGINT)
    END AS plan_gain_nano,
    -- One more than the number of eligible endpoints that were more probable than the one that served.
    CASE WHEN served_place > 0 THEN
        CAST(1 + len(list_filter(probabilities, lambda one: one > served_probability)) AS INTEGER)
    END AS plan_rank,
    -- Place of the first attempt that succeeded at the endpoint that served. A list may hold the null that is sought.
    CASE WHEN error_type IS NULL AND endpoint IS NOT NULL THEN CAST(list_position(
        list_transform(attempts, lambda attempt: CASE WHEN attempt.error_type IS NULL THEN attempt.endpoint END),
        endpoint
    ) AS INTEGER) END AS plan_attempt
FROM plans
