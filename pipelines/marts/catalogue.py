"""Declare the marts and the roll-ups that are published."""

from __future__ import annotations

from pipelines.marts.declaration import Dimension, Mart, MartCheck, MartView, Measure

MODEL = Dimension("model", "Canonical model that served, else the first one tried")
AUTHOR = Dimension("author", "Author part of the model")
PROVIDER = Dimension("provider", "Provider that served; null where none did")
APP = Dimension("app", "HTTP-Referer header, which identifies the client's app")
KEY = Dimension("key_hash", "SHA-256 of the API key")
REQUESTS = Measure("requests", "Requests", "requests")
TOKENS = Measure("tokens", "Prompt and completion tokens", "tokens")
USAGE = (
    REQUESTS,
    Measure("succeeded", "Requests with status 200 and no error", "requests"),
    Measure("cancelled", "Requests whose response did not reach its end", "requests"),
    Measure("prompt_tokens", "Prompt tokens, cached ones included", "tokens"),
    Measure("completion_tokens", "Completion tokens, reasoning included", "tokens"),
    Measure("cached_tokens", "Prompt tokens that the provider read from its cache", "tokens"),
    Measure("reasoning_tokens", "Reasoning tokens", "tokens"),
    Measure("cost_nano", "Cost to the client", "nano-USD"),
)


def _counts(mart: str) -> MartCheck:
    """Return the check that a mart counts each request of its input once."""
    words = mart.removesuffix("_hourly").replace("_", " ")
    return MartCheck(
        f"{words} counts every request",
        f"SELECT abs((SELECT count(*) FROM requests) - (SELECT coalesce(sum(requests), 0) FROM {mart}))",
    )


# What must hold of the requests themselves.
INPUT_CHECKS = (
    MartCheck("generation ids are unique", "SELECT count(*) - count(DISTINCT generation_id) FROM requests"),
    MartCheck(
        "the parts of a cost sum to the whole",
        "SELECT count(*) FROM requests WHERE cost_nano "
        "<> cost_prompt_nano + cost_cached_nano + cost_completion_nano + coalesce(cost_fees_nano, 0)",
    ),
    MartCheck(
        "charges sum to the cost",
        "SELECT count(*) FROM requests WHERE coalesce(list_sum([charge.nano FOR charge IN charges]), 0) <> cost_nano "
        "AND charges IS NOT NULL",
    ),
)

FINISH = Dimension("finish_reason", "Normalised finish reason; null for a response without one")
ERROR = Dimension("error_type", "Typed error code; null on success")

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
                "SELECT count(*) FROM usage_hourly "
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
                "SELECT count(*) FROM uptime_hourly WHERE succeeded + failed + rate_limited > attempts",
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
        (Dimension("category", "One of the twelve categories"), MODEL),
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
        "Requests, tokens and cost by user, for requests whose body names one.",
        (KEY, Dimension("user_hash", "Keyed hash of the body's user")),
        (REQUESTS, TOKENS, Measure("cost_nano", "Cost to the client", "nano-USD")),
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
                "SELECT abs((SELECT coalesce(sum(cost_nano), 0) FROM requests WHERE charges IS NOT NULL) "
                "- (SELECT coalesce(sum(nano), 0) FROM charges_hourly))",
            ),
        ),
    ),
    Mart(
        "clients_hourly",
        "usage",
        "Requests and tokens by country, API and modality.",
        (
            Dimension("country", "Country of the client, ISO 3166-1 alpha-2; null where not known"),
            Dimension("skin", "Client-facing API"),
            Dimension("modality", "First kind of medium in the messages"),
        ),
        (REQUESTS, TOKENS),
        (_counts("clients_hourly"),),
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
                "SELECT count(*) FROM tool_calls_hourly WHERE tool_call_faults > tool_call_responses "
                "OR structured_outputs_valid > structured_outputs",
            ),
        ),
    ),
)

VIEWS = (
    MartView("summary", "log", "How many requests the marts stand on, and from when.", ("arrivals_hourly",)),
    MartView(
        "market_share_weekly",
        "market",
        "Tokens and share of the week (from Monday, UTC) by author and model.",
        ("market_hourly",),
        (
            MartCheck(
                "shares of a week sum to 1",
                "SELECT count(*) FROM (SELECT sum(share) AS whole FROM market_share_weekly GROUP BY week) "
                "WHERE abs(whole - 1) > 1e-9",
            ),
        ),
    ),
    MartView(
        "categories_weekly",
        "categories",
        "Requests and tokens of the week by category and model.",
        ("categories_hourly",),
    ),
)

MART_CHECKS = (*INPUT_CHECKS, *(check for mart in MARTS for check in mart.checks))
VIEW_CHECKS = tuple(check for view in VIEWS for check in view.checks)
