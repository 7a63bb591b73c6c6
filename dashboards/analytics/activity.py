"""Answer ``/activity``: what was used of each endpoint in each of the last days that have ended."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import duckdb

from dashboards.analytics.deadline import deadline
from dashboards.analytics.lake_rows import query_rows
from dashboards.analytics.problems import BadQuestion
from dashboards.analytics.public import read_day
from data.lake import Lake
from data.marts import open_mart

DAYS = 30
_SUMS = """
    CAST(sum(requests) AS BIGINT) AS requests, CAST(coalesce(sum(prompt_tokens), 0) AS BIGINT) AS prompt_tokens,
    CAST(coalesce(sum(completion_tokens), 0) AS BIGINT) AS completion_tokens,
    CAST(coalesce(sum(reasoning_tokens), 0) AS BIGINT) AS reasoning_tokens,
    CAST(coalesce(sum(cached_tokens), 0) AS BIGINT) AS cached_tokens, coalesce(sum(cost_nano), 0) / 1e9 AS usage
"""


def activity(
    lake: Lake,
    now: datetime,
    *,
    day: str | None = None,
    key_hash: str | None = None,
    workspace: str | None = None,
    by_workspace: bool = False,
    timeout_s: float = 30.0,
) -> list[dict[str, Any]]:
    """Return a row for each day, model and endpoint, and workspace if ``by_workspace``; the newest day first.

    Raises ``BadQuestion`` for a ``day`` that is not one of the last ``DAYS`` that have ended.
    """
    today = now.astimezone(UTC).date()
    begin, end = today - timedelta(days=DAYS), today
    if day is not None:
        begin = _completed(day, begin, today)
        end = begin + timedelta(days=1)
    conditions, values = ["hour >= ?", "hour < ?", "provider IS NOT NULL", "model IS NOT NULL"], []
    for column, value in (("key_hash", key_hash), ("workspace", workspace)):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    from_rows = bool(values) or by_workspace
    keys = ["CAST(CAST(hour AS DATE) AS VARCHAR) AS date", "model", "provider"] + ["workspace"] * by_workspace
    sql = f"""
        SELECT {", ".join(keys)}, {_SUMS} FROM {"lake_rows" if from_rows else "usage_hourly"}
        WHERE {" AND ".join(conditions)} GROUP BY {", ".join(str(place + 1) for place in range(len(keys)))}
        ORDER BY date DESC, usage DESC, {", ".join(str(place + 2) for place in range(len(keys) - 1))}
    """
    moments = [datetime.combine(one, time(), UTC) for one in (begin, end)]

    def run(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
        with deadline(connection, timeout_s):
            found: list[dict[str, Any]] = connection.execute(sql, [*moments, *values]).pl().to_dicts()
            return found

    if from_rows:
        rows = query_rows([lake], moments[0], moments[1], run)
    else:
        with closing(open_mart(lake)) as mart:
            rows = run(mart)
    return [_item(row, by_workspace) for row in rows]


def _item(row: dict[str, Any], by_workspace: bool) -> dict[str, Any]:
    item = {
        "date": row["date"],
        "model": row["model"],
        "model_permaslug": row["model"],
        "endpoint_id": f"{row['provider']}:{row['model']}",
        "provider_name": row["provider"],
        "usage": row["usage"],
        "byok_usage_inference": 0,
        "requests": row["requests"],
        "prompt_tokens": row["prompt_tokens"],
        "completion_tokens": row["completion_tokens"],
        "reasoning_tokens": row["reasoning_tokens"],
        "cached_tokens": row["cached_tokens"],
    }
    return item | ({"workspace_id": row["workspace"] or "default"} if by_workspace else {})


def _completed(day: str, first: date, today: date) -> date:
    found = read_day(day, "date")
    if not first <= found < today:
        raise BadQuestion(
            f"date must be one of the last {DAYS} days that have ended: {first} to {today - timedelta(1)}"
        )
    return found
