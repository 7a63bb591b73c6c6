"""Declare the metrics and dimensions of analytics queries, and the marts that have them.

The names, labels and formats are those of the reference's ``/analytics/meta``. A metric is an expression over columns
that a mart has; the rows of the lake are given the same columns, so that one expression serves both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from data.marts import USER_DIGITS
from data.record.charges import WEB_SEARCH

Format = Literal["number", "currency", "percent", "latency", "throughput"]
Granularity = Literal["minute", "hour", "day", "week", "month"]
GRANULARITIES: tuple[Granularity, ...] = ("minute", "hour", "day", "week", "month")
# Whether the operator takes a list of values.
OPERATORS = {
    "eq": False, "neq": False, "gt": False, "gte": False, "lt": False, "lte": False, "in": True, "not_in": True,
}  # fmt: skip


@dataclass(frozen=True)
class Histogram:
    """Name the metric of ``latency_hourly`` that a statistic is taken of; a value there is ``per_unit`` of a unit."""

    metric: str
    level: float | None
    per_unit: float


@dataclass(frozen=True)
class Metric:
    """Declare a metric.

    ``ways`` are expressions by the columns that they need; the first whose columns a mart has is used. ``histogram``
    is how it is read from ``latency_hourly``.
    """

    label: str
    ways: tuple[tuple[str, str], ...]
    format: Format = "number"
    is_rate: bool = False
    histogram: Histogram | None = None


@dataclass(frozen=True)
class Dimension:
    """Declare a dimension: ``column`` is what it needs, ``sql`` its value, of which ``digits`` limits the length."""

    label: str
    column: str
    sql: str = ""
    digits: int | None = None

    @property
    def value(self) -> str:
        return self.sql or self.column


@dataclass(frozen=True)
class Mart:
    """Name the columns of a mart that queries may group by, and those that they may sum.

    ``relation`` replaces the mart's name where a measure has to be made of other columns.
    """

    name: str
    dimensions: frozenset[str]
    measures: frozenset[str]
    relation: str = ""


def _sum(label: str, column: str, *others: tuple[str, str], unit: Format = "number") -> Metric:
    scale = " / 1e9" if unit == "currency" else ""
    return Metric(label, ((column, f"coalesce(sum({column}), 0){scale}"), *others), unit)


def _none(label: str, unit: Format = "number", *, is_rate: bool = False) -> Metric:
    """Return a metric of what this router does not have, so that there is none of it."""
    return Metric(label, (("requests", "0"),), unit, is_rate)


def _measured(label: str, column: str, statistic: str, unit: Format, metric: str) -> Metric:
    level = None if statistic == "avg" else int(statistic[1:]) / 100
    # 90 % of the requests did no worse than p90: for throughput they did as much or more.
    rank = level if level is None or metric == "ttft" else 1 - level
    expression = f"avg({column})" if rank is None else f"quantile_disc({column}, {rank:.2f})"
    histogram = Histogram(metric, rank, 1000.0)
    return Metric(f"{label} ({statistic})", ((column, expression),), unit, True, histogram)


_STATISTICS = ("avg", "p50", "p90", "p99")
_COST = "cost_nano"
METRICS: dict[str, Metric] = {
    "request_count": _sum("Requests", "requests"),
    "tokens_total": Metric(
        "Tokens",
        (
            (
                "prompt_tokens completion_tokens",
                "coalesce(sum(prompt_tokens), 0) + coalesce(sum(completion_tokens), 0)",
            ),
            ("tokens", "coalesce(sum(tokens), 0)"),
        ),
    ),
    "tokens_prompt": _sum("Prompt tokens", "prompt_tokens"),
    "tokens_completion": _sum("Completion tokens", "completion_tokens"),
    "reasoning_tokens": _sum("Reasoning tokens", "reasoning_tokens"),
    "cached_tokens": _sum("Cached tokens", "cached_tokens"),
    "byok_request_count": _none("BYOK requests"),
    "guardrail_invoked_count": _none("Guardrail invocations"),
    "response_cached_count": _sum("Responses from the cache", "response_hits"),
    "total_usage": _sum("Spend", _COST, unit="currency"),
    "byok_usage": _none("BYOK spend", "currency"),
    "credits_usage": _sum("Spend in credits", _COST, unit="currency"),
    "openrouter_usage": _sum("Spend without BYOK", _COST, unit="currency"),
    "byok_fees": _none("BYOK fees", "currency"),
    "usage_upstream": _sum("Cost at providers", _COST, unit="currency"),
    "usage_cache": _sum("Spend on cached tokens", "cost_cached_nano", unit="currency"),
    "usage_data": _none("Data discounts", "currency"),
    "usage_web": _sum("Spend on web search", "web_search_nano", unit="currency"),
    "usage_upstream_web": _sum("Cost of web search at providers", "web_search_nano", unit="currency"),
    "usage_file": _none("Spend on files", "currency"),
    "usage_upstream_file": _none("Cost of files at providers", "currency"),
    "usage_web_fetch": _none("Spend on fetched pages", "currency"),
    "usage_upstream_web_fetch": _none("Cost of fetched pages at providers", "currency"),
    **{f"{one}_latency": _measured("Latency", "latency_ms", one, "latency", "ttft") for one in _STATISTICS},
    **{
        f"{one}_throughput": _measured("Throughput", "tokens_per_s", one, "throughput", "throughput")
        for one in _STATISTICS
    },
    "cache_hit_rate": Metric(
        "Cache hit rate",
        (("cached_tokens prompt_tokens", "sum(cached_tokens) / nullif(sum(prompt_tokens), 0)"),),
        "percent",
        True,
    ),
    "guardrail_invoked_rate": _none("Guardrail rate", "percent", is_rate=True),
    "response_cached_rate": Metric(
        "Response cache rate",
        (("response_hits requests", "sum(response_hits) / nullif(sum(requests), 0)"),),
        "percent",
        True,
    ),
}
_VARIANT = "CASE WHEN contains(model, ':') THEN split_part(model, ':', 2) WHEN model IS NOT NULL THEN 'standard' END"
# Requests have all digits, marts fewer.
_USER = f"left(user_hash, {USER_DIGITS})"
DIMENSIONS: dict[str, Dimension] = {
    "model": Dimension("Model", "model"),
    "variant": Dimension("Variant", "model", _VARIANT),
    "api_key_id": Dimension("API key", "key_hash"),
    "user": Dimension("User", "user_hash", _USER, USER_DIGITS),
    "workspace": Dimension("Workspace", "workspace"),
    "app": Dimension("App", "app"),
    "generation_id": Dimension("Generation", "generation_id"),
    "provider": Dimension("Provider", "provider"),
    "origin": Dimension("Origin", "app"),
    "country": Dimension("Country", "country"),
    "finish_reason": Dimension("Finish reason", "finish_reason"),
    "external_user": Dimension("External user", "user_hash", _USER, USER_DIGITS),
    "context_length_bucket": Dimension("Context length", "context_bucket"),
}
_TOKENS = {"prompt_tokens", "completion_tokens", "reasoning_tokens"}
# The first that has what a metric needs is read.
MARTS = (
    Mart("usage_hourly", frozenset({"model", "provider", "app"}),
         frozenset({"requests", "cached_tokens", _COST, *_TOKENS})),
    Mart("keys_hourly", frozenset({"key_hash", "workspace", "model"}),
         frozenset({"requests", "cached_tokens", _COST, *_TOKENS})),
    Mart("contexts_hourly", frozenset({"context_bucket", "model"}), frozenset({"requests", _COST, *_TOKENS})),
    Mart("outcomes_hourly", frozenset({"model", "provider", "finish_reason"}), frozenset({"requests"})),
    Mart("clients_hourly", frozenset({"country"}), frozenset({"requests", "tokens", _COST})),
    Mart("caches_hourly", frozenset({"model", "provider"}), frozenset({"response_hits", "cost_cached_nano"})),
    Mart("charges_hourly", frozenset({"model", "provider"}), frozenset({"web_search_nano"}),
         f"(SELECT *, CASE WHEN meter = '{WEB_SEARCH}' THEN nano ELSE 0 END AS web_search_nano FROM charges_hourly)"),
    Mart("users_hourly", frozenset({"key_hash", "user_hash", "model"}), frozenset({"requests", "tokens", _COST})),
)  # fmt: skip
LATENCY_MART = Mart("latency_hourly", frozenset({"model", "provider"}), frozenset())
