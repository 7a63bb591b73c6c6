"""Query failed requests: how many of each kind over time, and which kinds rose in the last day."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import polars as pl

from dashboards.queries.periods import period_sql, rows_between
from dashboards.time_range import Span, TimeRange

DAYS_BEFORE = 7


def failures(mart: duckdb.DuckDBPyConnection, time_range: TimeRange) -> pl.DataFrame:
    """Return ``period, name, value, requests``: failed requests by the range's grain and kind of error."""
    return mart.execute(
        f"""
        SELECT {period_sql(time_range.grain)} AS period, error_type AS name,
            CAST(sum(requests) AS BIGINT) AS value, CAST(sum(requests) AS BIGINT) AS requests
        FROM {rows_between("outcomes_hourly", *time_range)} WHERE error_type IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
        """
    ).pl()


def all_requests(mart: duckdb.DuckDBPyConnection, time_range: Span) -> int:
    """Return the number of requests of the range, failed or not."""
    row = mart.execute(
        "SELECT CAST(coalesce(sum(requests), 0) AS BIGINT) "
        f"FROM {rows_between('outcomes_hourly', time_range.begin, time_range.end)}"
    ).fetchone()
    assert row is not None
    return int(row[0])


def kinds(mart: duckdb.DuckDBPyConnection, time_range: Span) -> pl.DataFrame:
    """Return ``error, provider, model, requests`` of failed requests, the most frequent first.

    ``provider`` is null where none served.
    """
    return mart.execute(
        f"""
        SELECT error_type AS error, provider, model, CAST(sum(requests) AS BIGINT) AS requests
        FROM {rows_between("outcomes_hourly", time_range.begin, time_range.end)} WHERE error_type IS NOT NULL
        GROUP BY 1, 2, 3 ORDER BY requests DESC, error, provider, model
        """
    ).pl()


def risen(mart: duckdb.DuckDBPyConnection, until: datetime, few: int) -> pl.DataFrame:
    """Return ``error, share, share_before, change, failed, requests`` of the 24 hours up to ``until``.

    Those that rose most come first. Shares are of all requests, now and in the ``DAYS_BEFORE`` days before.
    ``requests`` are those of the day; with fewer than ``few`` the change is null, since it says little.
    """
    begin = until - timedelta(days=1)
    rows = mart.execute(
        """
        SELECT error_type AS error,
            CAST(coalesce(sum(requests) FILTER (WHERE hour >= ?), 0) AS BIGINT) AS failed,
            CAST(coalesce(sum(requests) FILTER (WHERE hour < ?), 0) AS BIGINT) AS failed_before
        FROM outcomes_hourly WHERE hour >= ? AND hour < ? GROUP BY 1
        """,
        [begin, begin, begin - timedelta(days=DAYS_BEFORE), until],
    ).pl()
    now, before = rows["failed"].sum(), rows["failed_before"].sum()
    found = rows.filter(pl.col("error").is_not_null()).with_columns(
        share=pl.col("failed") / max(now, 1),
        share_before=pl.col("failed_before") / max(before, 1),
        requests=pl.lit(now, pl.Int64),
    )
    found = found.with_columns(change=pl.col("share") - pl.col("share_before"))
    known = found.filter((pl.col("failed") > 0) | (pl.col("failed_before") > 0))
    if now < few:
        known = known.with_columns(change=pl.lit(None, pl.Float64))
    return known.sort("change", "error", descending=[True, False], nulls_last=True).select(
        "error", "share", "share_before", "change", "failed", "requests"
    )
