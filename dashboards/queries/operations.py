"""Query how the router and the pipelines work: requests a second, overhead, what was set aside, how fresh marts are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import duckdb
import polars as pl

from dashboards.queries.histograms import quantiles
from dashboards.queries.periods import HOUR, Unit, period_sql, rows_between
from dashboards.time_range import TimeRange
from data.refreshes import Refresh
from data.worker_reports import WorkerReport

Filters = tuple[tuple[str, str], ...]
EVERY: dict[Unit, str] = {"hour": "1h", "day": "1d", "week": "1w", "month": "1mo"}
MEAN, BUSIEST = "mean", "busiest hour"
LEVELS = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
IN_LAKE, IN_MARTS = "in the lake", "in the marts"
LONGEST_OF = "max"
US_PER_MS = 1000


def traffic_by_hour(mart: duckdb.DuckDBPyConnection, begin: datetime, end: datetime, filters: Filters) -> pl.DataFrame:
    """Return ``hour, name, value, requests``: requests a second of each hour, 0 where there are none."""
    counted = _hours(mart, begin, end, filters)
    hours = pl.datetime_range(begin.replace(tzinfo=None), end.replace(tzinfo=None), "1h", closed="left", eager=True)
    every = pl.DataFrame({"hour": hours})
    joined = every.join(counted, on="hour", how="left").with_columns(pl.col("requests").fill_null(0))
    return joined.select("hour", pl.lit(MEAN).alias("name"), (pl.col("requests") / 3600).alias("value"), "requests")


def traffic(
    mart: duckdb.DuckDBPyConnection, unit: Unit, begin: datetime, end: datetime, filters: Filters
) -> pl.DataFrame:
    """Return ``period, name, value, requests``: mean requests a second of each period, and those of its busiest hour.

    The mean of the first and of the last period is over the hours from ``begin`` to ``end`` alone.
    """
    hours = traffic_by_hour(mart, begin, end, filters).with_columns(
        period=pl.col("hour").dt.truncate(EVERY[unit]).dt.date()
    )
    n, value = pl.col("requests"), pl.col("value")
    means = hours.group_by("period").agg(value.mean(), n.sum()).with_columns(name=pl.lit(MEAN))
    busiest = hours.group_by("period").agg(value.max(), n.max()).with_columns(name=pl.lit(BUSIEST))
    columns = ("period", "name", "value", "requests")
    return pl.concat([means.select(columns), busiest.select(columns)]).sort("period", "name")


def overhead(
    mart: duckdb.DuckDBPyConnection, unit: Unit | None, begin: datetime, end: datetime, filters: Filters
) -> pl.DataFrame:
    """Return ``period, name, value, requests``: quantiles of the router's overhead in ms, to 1 %.

    ``period`` is a moment for hours and else a day; with no ``unit`` all is one period.
    """
    truncated = f"date_trunc('{unit}', {HOUR})" if unit else "TIMESTAMP '2000-01-01'"
    rows = mart.execute(
        f"""
        SELECT CAST({truncated} AS {"TIMESTAMP" if unit == "hour" else "DATE"}) AS period, 'overhead' AS name, bucket,
            CAST(sum(n) AS BIGINT) AS n
        FROM {rows_between("latency_hourly", begin, end, unit or "month")} WHERE metric = 'overhead' {_kept(filters)}
        GROUP BY ALL
        """,
        [value for _, value in filters],
    ).pl()
    found = [
        quantiles(rows, "period", US_PER_MS, level).with_columns(name=pl.lit(name)) for name, level in LEVELS.items()
    ]
    return pl.concat(found).sort("period", "name")


def set_aside(mart: duckdb.DuckDBPyConnection, time_range: TimeRange) -> pl.DataFrame:
    """Return ``period, name, value, requests``: requests in no other mart by the range's grain and reason."""
    return mart.execute(
        f"""
        SELECT {period_sql(time_range.grain)} AS period, reason AS name,
            CAST(sum(requests) AS BIGINT) AS value, CAST(sum(requests) AS BIGINT) AS requests
        FROM quarantine_hourly WHERE hour >= ? AND hour < ? GROUP BY 1, 2 ORDER BY 1, 2
        """,
        [time_range.begin, time_range.end],
    ).pl()


def set_aside_ids(mart: duckdb.DuckDBPyConnection, time_range: TimeRange) -> pl.DataFrame:
    """Return ``hour, reason, generation_id, requests`` of the 200 newest requests that were set aside."""
    return mart.execute(
        """
        SELECT CAST(hour AS TIMESTAMP) AS hour, reason, generation_id, requests
        FROM quarantine_hourly WHERE hour >= ? AND hour < ? ORDER BY hour DESC, reason, generation_id LIMIT 200
        """,
        [time_range.begin, time_range.end],
    ).pl()


def left_out(mart: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return ``file, reason`` of the files of the lake that could not be read."""
    return mart.execute("SELECT file, reason FROM unreadable ORDER BY file").pl()


def mart_files(mart: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return ``mart, description, newest, written_at, rows, files, mb`` of each mart, over all lakes that are shown."""
    return mart.execute(
        """
        SELECT mart, any_value(description) AS description, max(newest) AS newest, max(written_at) AS written_at,
            CAST(sum(rows) AS BIGINT) AS rows, CAST(sum(files) AS BIGINT) AS files, sum(bytes) / 1e6 AS mb
        FROM mart_files GROUP BY 1 ORDER BY 1
        """
    ).pl()


def waits_over_time(refreshes: Sequence[Refresh], unit: Unit) -> pl.DataFrame:
    """Return ``period, name, value, requests``: for each period the median and the longest of the refreshes' waits, s.

    ``period`` is a moment for hours and else a day; ``requests`` are those that waited.
    """
    rows = [
        (one.began.replace(tzinfo=None), name, wait, one.requests)
        for one in refreshes
        for name, wait in ((IN_LAKE, one.lake_wait_s), (IN_MARTS, one.marts_wait_s))
        if wait is not None
    ]
    kinds: dict[str, pl.DataType | type[pl.DataType]] = {"at": pl.Datetime("us"), "name": pl.String}
    made = pl.DataFrame(rows, kinds | {"value": pl.Float64, "requests": pl.Int64}, orient="row")
    period = pl.col("at").dt.truncate(EVERY[unit])
    made = made.with_columns(period=period if unit == "hour" else period.dt.date())
    median = made.group_by("period", "name").agg(pl.col("value").median(), pl.col("requests").sum())
    longest = made.group_by("period", name=pl.col("name") + f", {LONGEST_OF}").agg(
        pl.col("value").max(), pl.col("requests").sum()
    )
    return pl.concat([median, longest]).sort("period", "name")


def refresh_table(refreshes: Sequence[Refresh]) -> pl.DataFrame:
    """Return ``at, result, seconds, requests, lake_wait_s, marts_wait_s, said``, the newest first."""
    rows = [
        (
            one.began.replace(tzinfo=None), result(one), one.seconds, one.requests, one.lake_wait_s, one.marts_wait_s,
            "; ".join((*one.failed, *one.warnings)),
        )
        for one in reversed(refreshes)
    ]  # fmt: skip
    kinds: dict[str, pl.DataType | type[pl.DataType]] = {"at": pl.Datetime("us"), "result": pl.String}
    kinds |= {"seconds": pl.Float64, "requests": pl.Int64, "lake_wait_s": pl.Float64, "marts_wait_s": pl.Float64}
    return pl.DataFrame(rows, kinds | {"said": pl.String}, orient="row")


def result(refresh: Refresh) -> str:
    """Return what became of a refresh in a few words."""
    if not refresh.succeeded:
        return "failed, marts published" if refresh.moved else "failed"
    words = "new version" if refresh.moved else "nothing new"
    return f"{words}, {len(refresh.warnings)} warnings" if refresh.warnings else words


def workers(reports: Sequence[tuple[WorkerReport, datetime]], now: datetime, silent_s: float) -> pl.DataFrame:
    """Return ``worker, state, written, waiting, lost, unlogged, failed_writes, unrecorded`` of the router's workers."""
    rows = [
        (
            one.worker, _state(one, (now - at).total_seconds(), silent_s), one.written, one.waiting, one.dropped,
            one.unlogged, one.write_failures, one.refusals_unrecorded,
        )
        for one, at in reports
    ]  # fmt: skip
    counts = ("written", "waiting", "lost", "unlogged", "failed_writes", "unrecorded")
    return pl.DataFrame(rows, {"worker": pl.String, "state": pl.String} | dict.fromkeys(counts, pl.Int64), orient="row")


def _state(report: WorkerReport, age_s: float, silent_s: float) -> str:
    if age_s > silent_s:
        words = f"{age_s / 60:.0f} min" if age_s < 7200 else f"{age_s / 3600:.0f} h"
        return f"ended or silent, for {words if age_s >= 60 else f'{age_s:.0f} s'}"
    return "runs" if report.log_healthy else "runs, cannot write its log"


def _hours(mart: duckdb.DuckDBPyConnection, begin: datetime, end: datetime, filters: Filters) -> pl.DataFrame:
    return mart.execute(
        f"""
        SELECT {HOUR} AS hour, CAST(sum(requests) AS BIGINT) AS requests
        FROM {"usage_hourly" if filters else "arrivals_hourly"} WHERE hour >= ? AND hour < ? {_kept(filters)}
        GROUP BY 1 ORDER BY 1
        """,
        [begin, end, *(value for _, value in filters)],
    ).pl()


def _kept(filters: Filters) -> str:
    """Return the conditions of filters on the columns model and provider."""
    assert {name for name, _ in filters} <= {"model", "provider"}
    return " ".join(f"AND {name} = ?" for name, _ in filters)
