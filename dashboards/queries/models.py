"""Query one model: its providers over time, how many of its users stay, and from and to where they move."""

from __future__ import annotations

from typing import NamedTuple

import duckdb
import polars as pl

from dashboards.queries.histograms import medians
from dashboards.queries.periods import period_sql, rows_between
from dashboards.queries.providers import METRICS
from dashboards.time_range import TimeRange
from data.marts import Period, coarser_view


class Measure(NamedTuple):
    """Describe a figure of providers over time: its label, with the unit, and its format."""

    label: str
    number_format: str
    from_zero: bool = True


MEASURES: dict[str, Measure] = {
    "ttft": Measure("TTFT, median s", ".2f"),
    "throughput": Measure("Median tokens/s", ".0f"),
    "uptime": Measure("Uptime", ".1%", from_zero=False),
    "429s": Measure("429s, share of attempts", ".1%"),
    "price": Measure("USD a million tokens", "$.3~f"),
}


def provider_tokens(mart: duckdb.DuckDBPyConnection, model: str, time_range: TimeRange) -> pl.DataFrame:
    """Return ``period, provider, tokens, requests, cost_usd`` by the range's grain, of served requests."""
    return mart.execute(
        f"""
        SELECT {period_sql(time_range.grain)} AS period, provider,
            CAST(sum(prompt_tokens + completion_tokens) AS BIGINT) AS tokens,
            CAST(sum(requests) AS BIGINT) AS requests, sum(cost_nano) / 1e9 AS cost_usd
        FROM {rows_between("usage_hourly", *time_range)} WHERE model = ? AND provider IS NOT NULL
        GROUP BY 1, 2 ORDER BY 1, 2
        """,
        [model],
    ).pl()


def measured(mart: duckdb.DuckDBPyConnection, model: str, measure: str, time_range: TimeRange) -> pl.DataFrame:
    """Return ``period, name, value, requests`` of one of ``MEASURES`` for each provider by the range's grain.

    ``requests`` is the number of requests, attempts or measurements that the value stands on.
    """
    if measure == "price":
        rows = provider_tokens(mart, model, time_range).filter(pl.col("tokens") > 0)
        price = pl.col("cost_usd") / pl.col("tokens") * 1e6
        return rows.select("period", pl.col("provider").alias("name"), price.alias("value"), "requests")
    if measure in METRICS:
        return _medians(mart, model, measure, time_range)
    value = "sum(rate_limited)" if measure == "429s" else "sum(succeeded)"
    of = "sum(attempts)" if measure == "429s" else "sum(succeeded) + sum(failed)"
    return mart.execute(
        f"""
        SELECT {period_sql(time_range.grain)} AS period, provider AS name, {value} / ({of}) AS value,
            CAST({of} AS BIGINT) AS requests
        FROM {rows_between("uptime_hourly", *time_range)} WHERE model = ?
        GROUP BY 1, 2 HAVING {of} > 0 ORDER BY 1, 2
        """,
        [model],
    ).pl()


def retention(mart: duckdb.DuckDBPyConnection, model: str, time_range: TimeRange) -> pl.DataFrame:
    """Return ``cohort, age, share, requests``: the share of a cohort's users who were active so many periods later.

    Cohorts are those that begin in the range, by month or week; ``requests`` is the number of their users.
    """
    table = "cohorts_monthly" if time_range.grain == "month" else "cohorts_weekly"
    return mart.execute(
        f"""
        SELECT cohort, age, active / users AS share, users AS requests FROM {table}
        WHERE model = ? AND cohort >= ? AND cohort < ? ORDER BY cohort, age
        """,
        [model, time_range.begin, time_range.end],
    ).pl()


def moves(mart: duckdb.DuckDBPyConnection, model: str, time_range: TimeRange) -> pl.DataFrame:
    """Return ``model, won, lost, net, tokens_won, tokens_lost``: users whose main model changed to or from ``model``.

    The main model is that with most tokens of a month or a week; tokens are those of the period after the change. These
    are rows of ``switches_weekly`` and ``switches_monthly``, which look at every user: here those of ``model`` suffice.
    """
    grain: Period = "month" if time_range.grain == "month" else "week"
    person = "coalesce(user_hash, key_hash)"
    users = coarser_view("users_hourly", grain)
    return mart.execute(
        f"""
        WITH used AS (
            SELECT {period_sql(grain)} AS period, {person} AS person, model, CAST(sum(tokens) AS BIGINT) AS tokens
            FROM {users}
            WHERE model IS NOT NULL AND {person} IN (SELECT {person} FROM {users} WHERE model = $model)
            GROUP BY 1, 2, 3
        ),
        main AS (
            SELECT period, person, arg_min(model, (-tokens, model)) AS model, max(tokens) AS tokens
            FROM used GROUP BY 1, 2
        ),
        switches AS (
            SELECT period, model AS to_model, tokens,
                lag(model) OVER (PARTITION BY person ORDER BY period) AS from_model
            FROM main
        ),
        moved AS (
            SELECT CASE WHEN to_model = $model THEN from_model ELSE to_model END AS other,
                to_model = $model AS gained, tokens
            FROM switches
            WHERE from_model <> to_model AND (from_model = $model OR to_model = $model)
                AND period >= $begin AND period < $end
        )
        SELECT other AS model, count(*) FILTER (WHERE gained) AS won, count(*) FILTER (WHERE NOT gained) AS lost,
            count(*) FILTER (WHERE gained) - count(*) FILTER (WHERE NOT gained) AS net,
            CAST(coalesce(sum(tokens) FILTER (WHERE gained), 0) AS BIGINT) AS tokens_won,
            CAST(coalesce(sum(tokens) FILTER (WHERE NOT gained), 0) AS BIGINT) AS tokens_lost
        FROM moved GROUP BY 1 ORDER BY won + lost DESC, model
        """,
        {"model": model, "begin": time_range.begin, "end": time_range.end},
    ).pl()


def _medians(mart: duckdb.DuckDBPyConnection, model: str, metric: str, time_range: TimeRange) -> pl.DataFrame:
    rows = mart.execute(
        f"""
        SELECT {period_sql(time_range.grain)} AS period, provider AS name, bucket, CAST(sum(n) AS BIGINT) AS n
        FROM {rows_between("latency_hourly", *time_range)} WHERE model = ? AND metric = ? GROUP BY 1, 2, 3
        """,
        [model, metric],
    ).pl()
    return medians(rows, "period", METRICS[metric])
