"""Compute marts with Polars from the rows of the lake, independently of the SQL."""

from __future__ import annotations

import math
from collections import defaultdict
from hashlib import md5
from typing import Any

import polars as pl

from models.selection.decision.outcome import UNINFORMATIVE_ERRORS

NOT_COUNTED = [*UNINFORMATIVE_ERRORS, "cancelled"]
COUNT = pl.len().cast(pl.Int64)
TOKENS = (pl.col("prompt_tokens").fill_null(0) + pl.col("completion_tokens").fill_null(0)).sum().alias("tokens")


def _sum(*names: str) -> list[pl.Expr]:
    return [pl.col(name).sum() for name in names]


def _count(condition: pl.Expr, name: str) -> pl.Expr:
    return condition.fill_null(False).sum().cast(pl.Int64).alias(name)


def hourly(lake: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Return the rows of each mart by its name, in the columns' order."""
    rows = lake.with_columns(pl.col("started_at").dt.truncate("1h").alias("hour"))
    succeeded = _count((pl.col("status") == 200) & pl.col("error_type").is_null(), "succeeded")
    usage = [
        COUNT.alias("requests"), succeeded, _count(pl.col("cancelled"), "cancelled"),
        *_sum("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "cost_nano"),
    ]  # fmt: skip
    short = [COUNT.alias("requests"), TOKENS, *_sum("cost_nano")]
    charged = rows.select("hour", "model", "provider", "charges").explode("charges").drop_nulls("charges")
    called = rows.filter(pl.col("tool_calls").is_not_null() | pl.col("structured_output_valid").is_not_null())
    met = rows.filter(pl.col("prompt_tokens").is_not_null() | pl.col("response_cache").is_not_null())
    labelled = rows.filter(pl.col("category").is_not_null() | pl.col("task_tag").is_not_null())
    worded = rows.filter(pl.col("natural_language").is_not_null() | pl.col("programming_language").is_not_null())
    sized = rows.with_columns(
        context_bucket=pl.col("prompt_tokens").map_elements(_bucket, pl.String),
        offers_tools=pl.col("tools").fill_null(0) > 0,
    )
    tried = pl.col("attempts").list.first()
    first = rows.filter(~pl.col("cancelled")).select(
        "hour", "error_type", model=tried.struct.field("model"), provider=tried.struct.field("provider"),
        first_error=tried.struct.field("error_type"),
    ).drop_nulls("provider").filter(~pl.col("first_error").is_in(NOT_COUNTED).fill_null(False))  # fmt: skip
    return {
        "arrivals_hourly": rows.group_by("hour").agg(
            COUNT.alias("requests"), pl.col("started_at").min().alias("first"), pl.col("started_at").max().alias("last")
        ),
        "usage_hourly": rows.group_by("hour", "model", "author", "provider", "app").agg(usage),
        "keys_hourly": rows.group_by("hour", "key_hash", "workspace", "model").agg(usage),
        "market_hourly": rows.filter(pl.col("model").is_not_null())
        .group_by("hour", "author", "model").agg(TOKENS, COUNT.alias("requests")),
        "outcomes_hourly": rows.group_by("hour", "model", "provider", "error_type", "finish_reason")
        .agg(COUNT.alias("requests")),
        "clients_hourly": rows.group_by("hour", "country", "skin", "modality", "author").agg(short),
        "users_hourly": rows.filter(pl.col("key_hash").is_not_null())
        .group_by("hour", "key_hash", pl.col("user_hash").str.head(12), "model").agg(short),
        "sessions_hourly": rows.filter(pl.col("session_id").is_not_null())
        .with_columns(session=pl.struct("user_hash", "session_id").map_elements(_session, pl.String))
        .group_by("hour", "key_hash", "session", "model")
        .agg(pl.col("app").max(), COUNT.alias("requests"), *_sum("cost_nano")),
        "contexts_hourly": sized.group_by("hour", "context_bucket", "modality", "offers_tools", "model").agg(
            COUNT.alias("requests"), _count(pl.col("tool_calls").is_not_null(), "tool_call_responses"),
            *_sum("prompt_tokens", "completion_tokens", "reasoning_tokens", "cost_nano"),
        ),
        "languages_hourly": worded.group_by("hour", "natural_language", "programming_language", "model")
        .agg(short),
        "fallbacks_hourly": first.group_by("hour", "model", "provider").agg(
            COUNT.alias("requests"), _count(pl.col("first_error").is_null(), "first_succeeded"),
            _count(pl.col("error_type").is_null(), "answered"),
            _count(pl.col("first_error").is_not_null() & pl.col("error_type").is_null(), "rescued"),
        ),
        "topics_hourly": sized.filter(
            pl.col("category").is_not_null() | pl.col("natural_language").is_not_null()
        ).group_by("hour", "category", "natural_language", "offers_tools", "model").agg(short),
        "tags_hourly": labelled.group_by("hour", "category", "task_tag", "model").agg(short),
        "categories_hourly": rows.filter(pl.col("category").is_not_null() & pl.col("model").is_not_null())
        .group_by("hour", "category", "model").agg(
            COUNT.alias("requests"), TOKENS,
            (pl.col("category_confidence").fill_null(0) * 1_000_000).round().cast(pl.Int64).sum(),
        ),
        "charges_hourly": charged.unnest("charges").group_by("hour", "model", "provider", "meter")
        .agg(_sum("quantity", "nano")),
        "tool_calls_hourly": called.group_by("hour", "model", "provider").agg(
            _count(pl.col("tool_calls").is_not_null(), "tool_call_responses"),
            _count(pl.col("tool_calls").is_not_null() & pl.col("tool_call_fault").is_not_null(), "faults"),
            _count(pl.col("structured_output_valid").is_not_null(), "structured_outputs"),
            _count(pl.col("structured_output_valid"), "structured_outputs_valid"),
        ),
        "caches_hourly": met.group_by("hour", "model", "provider").agg(
            _count(pl.col("prompt_tokens").is_not_null(), "metered"),
            _count(pl.col("prompt_tokens").is_not_null() & (pl.col("cached_tokens") > 0), "cache_reads"),
            *_sum("prompt_tokens", "cached_tokens", "cache_write_tokens", "cost_cached_nano"),
            _count(pl.col("response_cache") == "hit", "response_hits"),
            _count(pl.col("response_cache") == "miss", "response_misses"),
        ),
        "routing_hourly": _routing(rows),
        "served_ranks_hourly": _served_ranks(rows),
    }  # fmt: skip


def _session(named: dict[str, str | None]) -> str:
    user, digest = named["user_hash"], md5(str(named["session_id"]).encode()).hexdigest()
    return f"-{digest[:13]}" if user is None else user[:6] + digest[:8]


def _bucket(tokens: int) -> str:
    return next(
        (name for name, most in (("1K", 1e3), ("10K", 1e4), ("100K", 1e5), ("1M", 1e6)) if tokens <= most), "10M"
    )


def _half_up(numerator: int, denominator: int) -> int:
    """Return the quotient rounded half away from zero."""
    return int(math.copysign((2 * abs(numerator) + denominator) // (2 * denominator), numerator))


def _routing(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the mart of routing, request by request in integers."""
    found: dict[Any, list[int]] = defaultdict(lambda: [0] * 8)
    for row in rows.iter_rows(named=True):
        figures = found[row["hour"], row["policy"], row["policy_version"], row["model"]]
        eligible = [one for one in row["candidates"] or [] if one["excluded_by"] is None]
        prices = {one["endpoint"]: None if one["score"] is None else round(one["score"] * 1e6) for one in eligible}
        chances = {one["endpoint"]: one["probability"] for one in eligible}
        tokens = (row["prompt_tokens"] or 0) + (row["completion_tokens"] or 0)
        attempts = row["attempts"] or []
        succeeded = row["status"] == 200 and row["error_type"] is None
        first = attempts[0] if attempts else None
        highest = max(chances.values(), default=None)
        figures[0] += 1
        figures[1] += len(eligible) > 1
        if first and first["endpoint"] in chances and chances[first["endpoint"]] < (highest or 0):
            figures[2] += 1
            best = [prices[name] for name in prices if chances[name] == highest and prices[name] is not None]
            paid = prices[first["endpoint"]]
            if best and paid is not None:
                figures[3] += _half_up((paid - min(best)) * tokens, 1000)  # type: ignore[type-var]
        known = [price for price in prices.values() if price is not None]
        served = prices.get(row["endpoint"]) if succeeded else None
        if len(known) > 1 and served is not None:
            figures[4] += _half_up((sum(known) - served * len(known)) * tokens, 1000 * len(known))
        figures[5] += bool(succeeded and first and first["error_type"] is not None)
        figures[6] += row["hedge_cost_nano"] is not None
        figures[7] += row["hedge_cost_nano"] or 0
    return pl.DataFrame([(*key, *figures) for key, figures in found.items()], orient="row")


def _served_ranks(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the mart of ranks, request by request."""
    found: dict[Any, int] = defaultdict(int)
    for row in rows.iter_rows(named=True):
        served = None if row["error_type"] else row["endpoint"]
        chances = {c["endpoint"]: c["probability"] for c in row["candidates"] or [] if c["excluded_by"] is None}
        rank = 1 + sum(one > chances[served] for one in chances.values()) if served in chances else None
        tried = [a["endpoint"] == served and a["error_type"] is None for a in row["attempts"] or []]
        attempt = tried.index(True) + 1 if served and True in tried else None
        found[row["hour"], row["policy"], row["model"], rank, attempt] += 1
    return pl.DataFrame([(*key, count) for key, count in found.items()], orient="row")


def rollups(marts: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Return the rows of each roll-up by its name, from marts by theirs."""
    found = {"effective_prices_weekly": _effective_prices(marts["usage_hourly"])}
    for grain, name, every in (("day", "daily", "1d"), ("week", "weekly", "1w"), ("month", "monthly", "1mo")):
        found[f"market_share_{name}"] = _shares(marts["market_hourly"], grain, every)
        if grain != "day":
            used = marts["users_hourly"].filter(pl.col("model").is_not_null()).with_columns(
                period=_period(every), person=pl.coalesce("user_hash", "key_hash")
            )  # fmt: skip
            found[f"cohorts_{name}"] = _cohorts(used, grain)
            found[f"switches_{name}"] = _switches(used)
    found["session_costs_weekly"] = _session_costs(marts["sessions_hourly"])
    found["prices_daily"] = _prices(marts["charges_hourly"])
    return found


def _period(every: str) -> pl.Expr:
    return pl.col("hour").dt.truncate(every).dt.date()


def _shares(market: pl.DataFrame, grain: str, every: str) -> pl.DataFrame:
    made = market.group_by(_period(every).alias(grain), "author", "model").agg(_sum("tokens", "requests"))
    ranked = made.sort("tokens", "model", "author", descending=[True, False, False], nulls_last=True)
    whole = pl.col("tokens").sum().over(grain)
    return ranked.with_columns(
        share=pl.when(whole > 0).then(pl.col("tokens") / whole), rank=pl.int_range(1, pl.len() + 1).over(grain)
    )


def _cohorts(used: pl.DataFrame, grain: str) -> pl.DataFrame:
    begun = used.select("model", "person", "period").unique().with_columns(
        cohort=pl.col("period").min().over("model", "person")
    )  # fmt: skip
    months = (pl.col("period").dt.year() - pl.col("cohort").dt.year()) * 12 + (
        pl.col("period").dt.month().cast(pl.Int32) - pl.col("cohort").dt.month().cast(pl.Int32)
    )
    weeks = (pl.col("period") - pl.col("cohort")).dt.total_days() // 7
    aged = begun.with_columns(age=(weeks if grain == "week" else months).cast(pl.Int64))
    counted = aged.group_by("model", "cohort", "age").agg(COUNT.alias("active"))
    return counted.with_columns(users=pl.col("active").sort_by("age").first().over("model", "cohort"))


def _switches(used: pl.DataFrame) -> pl.DataFrame:
    spent = used.group_by("period", "person", "model").agg(_sum("tokens"))
    main = spent.sort("tokens", "model", descending=[True, False]).group_by("period", "person").first()
    moved = main.sort("person", "period").with_columns(before=pl.col("model").shift().over("person"))
    return moved.drop_nulls("before").group_by("period", "before", "model").agg(COUNT.alias("users"), *_sum("tokens"))


def _session_costs(sessions: pl.DataFrame) -> pl.DataFrame:
    whole = sessions.group_by("key_hash", "session", "model").agg(
        pl.col("hour").min(), pl.col("app").max(), *_sum("requests", "cost_nano")
    )
    turns = pl.col("requests")
    ranged = whole.with_columns(
        week=_period("1w"),
        turn_range=pl.when(turns == 1).then(pl.lit("1-turn")).when(turns < 10).then(pl.lit("2-9-turns"))
        .when(turns < 50).then(pl.lit("10-49-turns")).otherwise(pl.lit("50-plus-turns")),
    )  # fmt: skip
    return ranged.group_by("week", "app", "model", "turn_range").agg(
        COUNT.alias("sessions"), *_sum("requests", "cost_nano"),
        # The discrete median: the least cost that half of the sessions do not exceed.
        pl.col("cost_nano").sort().get((pl.len() - 1) // 2).alias("median"),
    )  # fmt: skip


def _prices(charges: pl.DataFrame) -> pl.DataFrame:
    days = charges.group_by(_period("1d").alias("day"), "model", "provider", "meter").agg(_sum("quantity", "nano"))
    priced = days.filter(pl.col("quantity") > 0).with_columns(unit=pl.col("nano") / pl.col("quantity"))
    return priced.sort("day").with_columns(before=pl.col("unit").shift().over("model", "provider", "meter"))


def _effective_prices(usage: pl.DataFrame) -> pl.DataFrame:
    tokens = pl.col("prompt_tokens") + pl.col("completion_tokens")
    weeks = usage.filter(pl.col("model").is_not_null()).group_by(_period("1w").alias("week"), "model", "provider").agg(
        *_sum("requests"), tokens.sum().alias("tokens"), *_sum("prompt_tokens", "cached_tokens", "cost_nano")
    )  # fmt: skip
    return weeks.with_columns(
        usd=pl.when(pl.col("tokens") > 0).then(pl.col("cost_nano") / (1000 * pl.col("tokens"))),
        cached=pl.when(pl.col("prompt_tokens") > 0).then(pl.col("cached_tokens") / pl.col("prompt_tokens")),
    )
