"""Query what requests cost: by key, app, user, model or provider over time, and what caches and a switch are worth."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Literal, NamedTuple

import duckdb
import polars as pl

from dashboards.queries.periods import period_sql, rows_between
from dashboards.time_range import Span, TimeRange
from data.record.charges import AUDIO_OUTPUT, COMPLETION, IMAGE_OUTPUT, PROMPT, REASONING

Payer = Literal["key", "app", "user", "model", "provider"]
PAYERS: dict[Payer, tuple[str, str]] = {
    "key": ("keys_hourly", "key_hash"),
    "app": ("usage_hourly", "app"),
    "user": ("users_hourly", "user_hash"),
    "model": ("usage_hourly", "model"),
    "provider": ("usage_hourly", "provider"),
}
# Meters of what a model writes; the others are those of what it reads, or of the request.
WRITTEN = (COMPLETION, REASONING, AUDIO_OUTPUT, IMAGE_OUTPUT)
# A pace is that of so many days that have ended.
PACE_DAYS = 7


class Forecast(NamedTuple):
    """Hold USD of the running month up to now, and of the whole month if the rest costs as the last days did."""

    so_far: float
    month: float


def spend(mart: duckdb.DuckDBPyConnection, time_range: Span, by: Payer) -> pl.DataFrame:
    """Return ``period, name, value, requests``: USD by the range's grain."""
    table, column = PAYERS[by]
    return mart.execute(
        f"""
        SELECT {period_sql(time_range.grain)} AS period, {column} AS name,
            sum(cost_nano) / 1e9 AS value, CAST(sum(requests) AS BIGINT) AS requests
        FROM {rows_between(table, *time_range)} GROUP BY 1, 2 ORDER BY 1, 2
        """
    ).pl()


def payers(mart: duckdb.DuckDBPyConnection, time_range: Span, by: Payer) -> pl.DataFrame:
    """Return ``name, usd, share, requests, usd_per_request`` of the range, the dearest first."""
    rows = spend(mart, time_range._replace(grain="month"), by).group_by("name").agg(pl.col("value", "requests").sum())
    total = pl.col("value").sum()
    return rows.sort("value", "name", descending=[True, False]).select(
        "name",
        pl.col("value").alias("usd"),
        pl.when(total > 0).then(pl.col("value") / total).alias("share"),
        "requests",
        (pl.col("value") / pl.col("requests")).alias("usd_per_request"),
    )


def forecast(mart: duckdb.DuckDBPyConnection, today: date) -> Forecast:
    """Return what the month of ``today`` has cost, and what it will at the pace of the last days that have ended."""
    month, recently = today.replace(day=1), today - timedelta(days=PACE_DAYS)
    row = mart.execute(
        f"""
        SELECT coalesce(sum(cost_nano) FILTER (WHERE hour >= ?), 0) / 1e9,
            coalesce(sum(cost_nano) FILTER (WHERE hour >= ? AND hour < ?), 0) / 1e9,
            coalesce(sum(cost_nano) FILTER (WHERE hour >= ? AND hour < ?), 0) / 1e9
        FROM {rows_between("usage_hourly", min(month, recently), today + timedelta(days=1), "day")}
        """,
        [month, month, today, recently, today],
    ).fetchone()
    assert row is not None
    so_far, before_today, recent = row
    left = ((month + timedelta(days=32)).replace(day=1) - today).days
    return Forecast(so_far, max(so_far, before_today + recent / PACE_DAYS * left))


def cache_savings(mart: duckdb.DuckDBPyConnection, time_range: Span) -> float:
    """Return USD that cached tokens would have cost more, had each cost what the uncached ones of its model and
    provider did in the range."""
    row = mart.execute(
        f"""
        WITH prompts AS (
            SELECT model, provider, sum(nano) / nullif(sum(quantity), 0) AS each
            FROM {rows_between("charges_hourly", time_range.begin, time_range.end)} WHERE meter = '{PROMPT}'
            GROUP BY ALL
        ),
        cached AS (
            SELECT model, provider, sum(cached_tokens) AS tokens, sum(cost_cached_nano) AS nano
            FROM {rows_between("caches_hourly", time_range.begin, time_range.end)} GROUP BY ALL
        )
        SELECT coalesce(sum(tokens * each - nano), 0) / 1e9 FROM cached JOIN prompts USING (model, provider)
        """
    ).fetchone()
    assert row is not None
    return float(row[0])


def routing_gain(mart: duckdb.DuckDBPyConnection, time_range: Span) -> tuple[float, float]:
    """Return USD that the choice of endpoints saved against the mean of the eligible ones, and what exploring cost."""
    row = mart.execute(
        "SELECT coalesce(sum(gain_nano), 0) / 1e9, coalesce(sum(exploration_nano), 0) / 1e9 "
        "FROM routing_hourly WHERE hour >= ? AND hour < ?",
        [time_range.begin, time_range.end],
    ).fetchone()
    assert row is not None
    return float(row[0]), float(row[1])


def switch(mart: duckdb.DuckDBPyConnection, time_range: TimeRange, old: str, new: str) -> tuple[float, float] | None:
    """Return USD that the requests of ``old`` cost, and what their tokens would have cost at ``new``.

    Prompt tokens, cached or not, and completion tokens have the mean price that ``new`` had in the range; ``None`` if
    it has no priced requests.
    """
    spent = mart.execute(
        "SELECT model, sum(prompt_tokens), sum(completion_tokens), sum(cost_nano) / 1e9 "
        f"FROM {rows_between('usage_hourly', time_range.begin, time_range.end)} WHERE model IN (?, ?) GROUP BY model",
        [old, new],
    ).fetchall()
    charged = mart.execute(
        f"SELECT coalesce(sum(nano) FILTER (WHERE meter NOT IN {WRITTEN}), 0) / 1e9, "
        f"coalesce(sum(nano) FILTER (WHERE meter IN {WRITTEN}), 0) / 1e9 "
        f"FROM {rows_between('charges_hourly', time_range.begin, time_range.end)} WHERE model = ?",
        [new],
    ).fetchone()
    assert charged is not None
    by_model = {model: (float(prompt or 0), float(completion or 0), usd) for model, prompt, completion, usd in spent}
    if old not in by_model or new not in by_model or not sum(charged):
        return None
    (prompt, completion, usd), (of_new, written_by_new, _) = by_model[old], by_model[new]
    return float(usd), prompt * charged[0] / max(of_new, 1) + completion * charged[1] / max(written_by_new, 1)
