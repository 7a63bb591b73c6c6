"""Declare the marts."""

from __future__ import annotations

from pipelines.marts.columns import (
    APP,
    AUTHOR,
    CACHED_TOKENS,
    CATEGORY,
    COMPLETION_TOKENS,
    COST,
    ERROR,
    FINISH,
    KEY,
    MODALITY,
    MODEL,
    NATURAL_LANGUAGE,
    OFFERS_TOOLS,
    PROMPT_TOKENS,
    PROVIDER,
    REASONING_TOKENS,
    REQUESTS,
    TOKENS,
    USAGE,
    USER,
)
from pipelines.marts.declaration import Dimension, Mart, MartCheck, Measure


def _counts(mart: str) -> MartCheck:
    """Return the check that a mart counts each request of its input once, in its hour."""
    words = mart.removesuffix("_hourly").replace("_", " ")
    return MartCheck(
        f"{words} counts every request",
        "SELECT hour, logged, counted FROM requests_by_hour "
        f"FULL JOIN (SELECT hour, sum(requests) AS counted FROM {mart} GROUP BY 1) AS mart USING (hour) "
        "WHERE logged IS DISTINCT FROM counted",
    )


QUARANTINE = "quarantine_hourly"

MARTS = (
    Mart(
        "arrivals_hourly",
        "log",
        "Number of requests, and the first and last of each hour.",
        (),
        (
            REQUESTS,
            Measure("first_started_at", "First arrival", "", "min", "TIMESTAMP WITH TIME ZONE"),
            Measure("last_started_at", "Last arrival", "", "max", "TIMESTAMP WITH TIME ZONE"),
        ),
        (_counts("arrivals_hourly"),),
    ),
    Mart(
        "usage_hourly",
        "usage",
        "Requests, tokens and cost by model, author, provider and app.",
        (MODEL, AUTHOR, PROVIDER, APP),
        USAGE,
        (
            _counts("usage_hourly"),
            MartCheck(
                "no figure is negative",
                "SELECT hour, model, provider, requests, prompt_tokens, completion_tokens, cost_nano FROM usage_hourly "
                "WHERE least(requests, prompt_tokens, completion_tokens, cost_nano) < 0",
            ),
        ),
    ),
    Mart(
        "latency_hourly",
        "latency",
        "Histograms of TTFT, duration and overhead (µs) and of throughput (tokens per 1000 s) in buckets of 2 %.",
        (
            MODEL,
            PROVIDER,
            Dimension("metric", "ttft, duration, overhead or throughput"),
            Dimension("bucket", "floor(ln(value) / ln(1.02))", "INTEGER"),
        ),
        (Measure("n", "Measurements in the bucket"),),
    ),
    Mart(
        "uptime_hourly",
        "uptime",
        "Attempts by outcome, in the reference's definition of uptime.",
        (MODEL, PROVIDER, Dimension("endpoint", "Endpoint that was tried")),
        (
            Measure("attempts", "Attempts that say something about the endpoint", "attempts"),
            Measure("succeeded", "Attempts without error", "attempts"),
            Measure("rate_limited", "Attempts that met a 429", "attempts"),
            Measure("failed", "Attempts with an error of the provider", "attempts"),
        ),
        (
            MartCheck(
                "uptime counts no attempt twice",
                "SELECT * FROM uptime_hourly WHERE succeeded + failed + rate_limited > attempts",
            ),
        ),
    ),
    Mart(
        "fallbacks_hourly",
        "uptime",
        "Requests by what was tried first: whether that succeeded, and whether they were answered in the end.",
        (
            Dimension("model", "Model of the endpoint that was tried first"),
            Dimension("provider", "Provider that was tried first"),
        ),
        (
            Measure("requests", "Requests that say something about the endpoint that was tried first", "requests"),
            Measure("first_succeeded", "Requests whose first attempt succeeded", "requests"),
            Measure("answered", "Requests without error in the end", "requests"),
            Measure("rescued", "Requests without error in the end although their first attempt failed", "requests"),
        ),
        (
            MartCheck(
                "no more requests are rescued than failed at first",
                "SELECT * FROM fallbacks_hourly WHERE rescued > requests - first_succeeded "
                "OR answered > first_succeeded + rescued",
            ),
        ),
    ),
    Mart(
        "market_hourly",
        "market",
        "Requests and tokens by model, from which shares of any period are computed.",
        (AUTHOR, MODEL),
        (TOKENS, REQUESTS),
    ),
    Mart(
        "categories_hourly",
        "categories",
        "Requests and tokens by category and model, over the requests that were categorised.",
        (CATEGORY, MODEL),
        (REQUESTS, TOKENS, Measure("confidence_millionths", "Sum of the classifier's probabilities", "10⁻⁶")),
    ),
    Mart(
        "keys_hourly",
        "usage",
        "Requests, tokens and cost by API key and model.",
        (KEY, Dimension("workspace", "Workspace of the key"), MODEL),
        USAGE,
        (_counts("keys_hourly"),),
    ),
    Mart(
        "users_hourly",
        "usage",
        "Requests, tokens and cost by user and model, for requests with an API key.",
        (KEY, USER, MODEL),
        (REQUESTS, TOKENS, COST),
    ),
    Mart(
        "sessions_hourly",
        "usage",
        "Requests and cost by session and model, for requests that name one.",
        (
            KEY,
            Dimension(
                "session",
                "6 digits of `user_hash` and 8 of the MD5 of `session_id`; without a user '-' and 13 of the MD5",
            ),
            MODEL,
        ),
        (Measure("app", "App; the last by name where there are several", "", "max", "VARCHAR"), REQUESTS, COST),
        row_version=2,
    ),
    Mart(
        "outcomes_hourly",
        "uptime",
        "Requests by model, provider, error and finish reason.",
        (MODEL, PROVIDER, ERROR, FINISH),
        (REQUESTS,),
        (_counts("outcomes_hourly"),),
    ),
    Mart(
        "charges_hourly",
        "economics",
        "Quantity and price by meter, from which effective prices are computed.",
        (MODEL, PROVIDER, Dimension("meter", "What was counted, as in the record's charges")),
        (
            Measure("quantity", "Units counted: tokens, requests or searches"),
            Measure("nano", "Price of the quantity", "nano-USD"),
        ),
        (
            MartCheck(
                "charges by meter sum to the cost",
                "SELECT hour, cost_nano, charged_nano FROM (SELECT date_trunc('hour', started_at) AS hour, "
                "sum(cost_nano) AS cost_nano FROM requests WHERE charges IS NOT NULL GROUP BY 1) AS lake "
                "FULL JOIN (SELECT hour, sum(nano) AS charged_nano FROM charges_hourly GROUP BY 1) AS mart "
                "USING (hour) WHERE coalesce(cost_nano, 0) <> coalesce(charged_nano, 0)",
            ),
        ),
    ),
    Mart(
        "clients_hourly",
        "usage",
        "Requests, tokens and cost by country, API, modality and author.",
        (
            Dimension("country", "Country of the client, ISO 3166-1 alpha-2; null where not known"),
            Dimension("skin", "Client-facing API"),
            MODALITY,
            AUTHOR,
        ),
        (REQUESTS, TOKENS, COST),
        (_counts("clients_hourly"),),
    ),
    Mart(
        "contexts_hourly",
        "usage",
        "Requests, tokens and cost by size of the prompt, modality, use of tools and model.",
        (
            Dimension(
                "context_bucket", "1K, 10K, 100K, 1M or 10M: the least one that the prompt's tokens do not exceed"
            ),
            MODALITY,
            OFFERS_TOOLS,
            MODEL,
        ),
        (
            REQUESTS,
            Measure("tool_call_responses", "Responses that ended with tool calls", "requests"),
            PROMPT_TOKENS,
            COMPLETION_TOKENS,
            REASONING_TOKENS,
            COST,
        ),
        (_counts("contexts_hourly"),),
    ),
    Mart(
        "languages_hourly",
        "categories",
        "Requests, tokens and cost by natural and programming language and model, over the requests that have either.",
        (
            NATURAL_LANGUAGE,
            Dimension("programming_language", "Language of the code in the prompt, else the one that it names"),
            MODEL,
        ),
        (REQUESTS, TOKENS, COST),
    ),
    Mart(
        "tags_hourly",
        "categories",
        "Requests, tokens and cost by category, task tag and model, over the requests that were labelled.",
        (CATEGORY, Dimension("task_tag", "One of the 30 task tags"), MODEL),
        (REQUESTS, TOKENS, COST),
    ),
    Mart(
        "topics_hourly",
        "categories",
        "Requests, tokens and cost by category, natural language, use of tools and model, over the requests that have "
        "a category or a natural language.",
        (CATEGORY, NATURAL_LANGUAGE, OFFERS_TOOLS, MODEL),
        (REQUESTS, TOKENS, COST),
    ),
    Mart(
        "caches_hourly",
        "economics",
        "Use of the providers' prompt caches and of the response cache by model and provider.",
        (MODEL, PROVIDER),
        (
            Measure("metered", "Requests whose prompt tokens are known", "requests"),
            Measure("cache_reads", "Those that read from a prompt cache", "requests"),
            PROMPT_TOKENS,
            CACHED_TOKENS,
            Measure("cache_write_tokens", "Tokens written to prompt caches", "tokens"),
            Measure("cost_cached_nano", "Cost of the cached tokens", "nano-USD"),
            Measure("response_hits", "Answers from the response cache", "requests"),
            Measure("response_misses", "Requests that the response cache did not have", "requests"),
        ),
        (
            MartCheck(
                "no more requests read a cache than there are",
                "SELECT * FROM caches_hourly WHERE cache_reads > metered",
            ),
        ),
    ),
    Mart(
        "routing_hourly",
        "decisions",
        "What the choice of the endpoint gained, what exploration cost, and what fallback and hedging did.",
        (
            Dimension("policy", "Strategy that decided"),
            Dimension("policy_version", "Version of the strategy or of the learned policy"),
            MODEL,
        ),
        (
            REQUESTS,
            Measure("choices", "Requests with two or more eligible endpoints", "requests"),
            Measure("explored", "Requests whose first endpoint was not a most probable one", "requests"),
            Measure(
                "exploration_nano",
                "Their tokens at the first endpoint's list price, less those at the most probable one's",
                "nano-USD",
            ),
            Measure(
                "gain_nano",
                "Tokens at the mean list price of the eligible endpoints, less those at the served one's price",
                "nano-USD",
            ),
            Measure("rescued", "Requests that succeeded although their first attempt failed", "requests"),
            Measure("hedged", "Requests with a hedged request that lost", "requests"),
            Measure("hedge_cost_nano", "Estimated cost of those that lost", "nano-USD"),
        ),
        (
            _counts("routing_hourly"),
            MartCheck(
                "no more requests are explored than have a choice",
                "SELECT * FROM routing_hourly WHERE explored > choices OR rescued > requests",
            ),
        ),
    ),
    Mart(
        "served_ranks_hourly",
        "decisions",
        "Requests by the place of the endpoint that served among the eligible ones, and by the attempt that served.",
        (
            Dimension("policy", "Strategy that decided"),
            MODEL,
            Dimension(
                "rank",
                "One more than the number of eligible endpoints that were more probable; null if none of them served",
                "INTEGER",
            ),
            Dimension("attempt", "Place of the attempt that served, 1 for the first; null if none did", "INTEGER"),
        ),
        (REQUESTS,),
        (_counts("served_ranks_hourly"),),
    ),
    Mart(
        "tool_calls_hourly",
        "quality",
        "Validity of tool calls and of structured outputs by model and provider.",
        (MODEL, PROVIDER),
        (
            Measure("tool_call_responses", "Responses that ended with tool calls", "requests"),
            Measure("tool_call_faults", "Those with a malformed tool call", "requests"),
            Measure("structured_outputs", "Responses whose structured output was checked", "requests"),
            Measure("structured_outputs_valid", "Those that conform to the format asked for", "requests"),
        ),
        (
            MartCheck(
                "no more tool calls are faulty than there are",
                "SELECT * FROM tool_calls_hourly WHERE tool_call_faults > tool_call_responses "
                "OR structured_outputs_valid > structured_outputs",
            ),
        ),
    ),
    Mart(
        QUARANTINE,
        "log",
        "Requests that are set aside, because they contradict a rule: in no other mart, each with the reason.",
        (Dimension("reason", "First rule that the request breaks"), Dimension("generation_id", "Id of the request")),
        (REQUESTS,),
    ),
)

MART_CHECKS = tuple(check for mart in MARTS for check in mart.checks)
