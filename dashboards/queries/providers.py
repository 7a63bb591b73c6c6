"""Query the providers of one model."""

from __future__ import annotations

from collections import defaultdict

import duckdb
import polars as pl

from dashboards.queries.periods import rows_between
from dashboards.time_range import Span, TimeRange
from data.histogram import quantile

METRICS = {"ttft": 1e6, "throughput": 1e3}


def served_models(mart: duckdb.DuckDBPyConnection, time_range: TimeRange) -> list[str]:
    """Return models with traffic, most requests first."""
    sql = (
        f"SELECT model FROM {rows_between('usage_hourly', time_range.begin, time_range.end)} WHERE model IS NOT NULL "
        "GROUP BY model ORDER BY sum(requests) DESC, model"
    )
    return [name for (name,) in mart.execute(sql).fetchall()]


def side_by_side(mart: duckdb.DuckDBPyConnection, model: str, time_range: Span) -> pl.DataFrame:
    """Return a row for each provider: requests, attempts, uptime, share of 429s, TTFT and throughput quantiles.

    ``ttft_*`` in seconds, ``throughput_p50`` in tokens a second, to 1 %; null without a measurement.
    ``uptime`` follows the reference's definition and is null until an attempt counts.
    """
    rows = mart.execute(
        f"""
        SELECT provider, CAST(sum(attempts) AS BIGINT), CAST(sum(succeeded) AS BIGINT),
            CAST(sum(failed) AS BIGINT), CAST(sum(rate_limited) AS BIGINT)
        FROM {rows_between("uptime_hourly", time_range.begin, time_range.end)} WHERE model = ?
        GROUP BY provider ORDER BY 2 DESC, 1
        """,
        [model],
    ).fetchall()
    histograms = _histograms(mart, model, time_range)
    made = []
    for provider, attempts, succeeded, failed, limited in rows:
        ttft, speed = histograms[provider, "ttft"], histograms[provider, "throughput"]
        made.append(
            {
                "provider": provider,
                "attempts": attempts,
                "uptime": succeeded / (succeeded + failed) if succeeded + failed else None,
                "rate_limited": limited / attempts,
                "ttft_p50": _scaled(ttft, 0.5, "ttft"),
                "ttft_p90": _scaled(ttft, 0.9, "ttft"),
                "ttft_p99": _scaled(ttft, 0.99, "ttft"),
                "throughput_p50": _scaled(speed, 0.5, "throughput"),
            }
        )
    schema = {"provider": pl.String, "attempts": pl.Int64} | dict.fromkeys(
        ("uptime", "rate_limited", "ttft_p50", "ttft_p90", "ttft_p99", "throughput_p50"), pl.Float64
    )
    return pl.DataFrame(made, schema=schema)


def _histograms(mart: duckdb.DuckDBPyConnection, model: str, time_range: Span) -> dict[tuple[str, str], dict[int, int]]:
    found: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    sql = (
        "SELECT provider, metric, bucket, CAST(sum(n) AS BIGINT) "
        f"FROM {rows_between('latency_hourly', time_range.begin, time_range.end)} "
        f"WHERE model = ? AND metric IN {tuple(METRICS)} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    for provider, metric, bucket, count in mart.execute(sql, [model]).fetchall():
        found[provider, metric][bucket] = count
    return found


def _scaled(buckets: dict[int, int], level: float, metric: str) -> float | None:
    value = quantile(buckets, level)
    return None if value is None else value / METRICS[metric]
