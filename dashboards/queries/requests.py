"""Query single requests from the lake: those that a page's filters keep, newest first, and one with its decision."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import duckdb
import polars as pl

from dashboards.queries.slices import FIELDS
from data.explanations.replay import replay
from data.explanations.summary import summary
from data.explanations.wording import provider_name, score_meaning, sentence
from data.marts import USER_DIGITS
from data.record.generation_id import arrival_of

MOST = 200
STATUSES = ("answered", "failed", "cancelled")
_FIXED = {
    "status": {
        "answered": "error_type IS NULL AND NOT cancelled",
        "failed": "error_type IS NOT NULL",
        "cancelled": "cancelled",
        "rescued by fallback": "error_type IS NULL AND attempts[1].error_type IS NOT NULL",
    },
    "choice": {
        "of several endpoints": "len(list_filter(candidates, c -> c.excluded_by IS NULL)) > 1",
        "that explored": "list_filter(candidates, c -> c.endpoint = attempts[1].endpoint AND c.excluded_by IS NULL)[1]"
        ".probability < list_max(list_transform(list_filter(candidates, c -> c.excluded_by IS NULL), "
        "c -> c.probability))",
    },
}
_SQL = {
    # The provider of any attempt, so that a request that it failed is found too.
    "provider": "list_contains(list_transform(attempts, a -> a.provider), ?)",
    "author": "author = ?",
    "tools": "CASE WHEN offers_tools THEN 'offered' ELSE 'none offered' END = ?",
    "error": "error_type = ?",
    "key": "key_hash = ?",
    # Marts, whose users link here, have as many digits.
    "user": f"left(user_hash, {USER_DIGITS}) = left(?, {USER_DIGITS})",
    "policy": "policy = ?",
    "country": "country = ?",
}


class Explanation(NamedTuple):
    """Hold why a request went where it went: a paragraph, and tables of its endpoints and attempts."""

    summary: str
    decision: str
    endpoints: pl.DataFrame
    attempts: pl.DataFrame


def newest(
    rows: duckdb.DuckDBPyConnection, filters: tuple[tuple[str, str], ...], begin: datetime, end: datetime
) -> pl.DataFrame:
    """Return ``id, time, model, provider, status, error, attempts, tokens, ttft_s, seconds, cost_usd``.

    They are the ``MOST`` newest of the requests that the filters keep. ``filters`` are pairs of a field and a value:
    fields of ``slices.FIELDS``, and status, choice, error, key, user, country and policy.
    """
    conditions, values = ["hour >= ?", "hour < ?"], [begin, end]
    for field, value in filters:
        if field in _FIXED:
            conditions.append(_FIXED[field][value])
        else:
            conditions.append(_SQL.get(field) or f"{FIELDS[field].column} = ?")
            values.append(value)  # type: ignore[arg-type]
    return rows.execute(
        f"""
        SELECT generation_id AS id, CAST(started_at AS TIMESTAMP) AS time, coalesce(model, requested_model) AS model,
            provider, status, error_type AS error, len(attempts) AS attempts, tokens, ttft_us / 1e6 AS ttft_s,
            duration_us / 1e6 AS seconds, cost_nano / 1e9 AS cost_usd
        FROM lake_rows WHERE {" AND ".join(conditions)} ORDER BY started_at DESC, generation_id LIMIT {MOST}
        """,
        values,
    ).pl()


def moments_of(generation_id: str) -> tuple[datetime, datetime] | None:
    """Return a range in which the request of an id arrived, ``None`` if the id does not say."""
    moment = arrival_of(generation_id)
    if moment is None:
        return None
    return moment - timedelta(hours=1), moment + timedelta(hours=1)


def record(rows: duckdb.DuckDBPyConnection, generation_id: str) -> dict[str, Any] | None:
    """Return the record of a request, ``None`` if it is not there."""
    found = rows.execute(
        "SELECT * EXCLUDE (hour, tokens_per_s) FROM lake_rows WHERE generation_id = ? LIMIT 1", [generation_id]
    )
    return next(iter(found.pl().to_dicts()), None)


def explanation(row: Mapping[str, Any], names: Mapping[str, str]) -> Explanation:
    """Explain a record; ``names`` are the providers' display names by slug."""
    endpoints = [
        {
            "endpoint": one["endpoint"],
            "provider": provider_name(one["endpoint"], names),
            "probability": one["probability"],
            "score": one["score"],
            "excluded": sentence(one["excluded_by"]) if one["excluded_by"] else None,
        }
        for one in row["candidates"] or ()
    ]
    attempts = [
        {
            "provider": names.get(one["provider"], one["provider"]),
            "endpoint": one["endpoint"],
            "reason": one["reason"],
            "status": one["status"],
            "error": one["error_type"],
            "started_s": _seconds(one["started_us"]),
            "ttft_s": _seconds(one["ttft_us"]),
            "seconds": _seconds(one["duration_us"]),
        }
        for one in row["attempts"] or ()
    ]
    text: dict[str, Any] = dict.fromkeys(("endpoint", "provider"), pl.String)
    return Explanation(
        summary(row, names),
        _decision(row),
        pl.DataFrame(endpoints, text | {"probability": pl.Float64, "score": pl.Float64, "excluded": pl.String}),
        pl.DataFrame(
            attempts,
            {"provider": pl.String, "endpoint": pl.String, "reason": pl.String, "status": pl.Int64, "error": pl.String}
            | dict.fromkeys(("started_s", "ttft_s", "seconds"), pl.Float64),
        ),
    )


def _decision(row: Mapping[str, Any]) -> str:
    if row["policy"] is None:
        return "Nothing was decided: no endpoint was chosen."
    said = f"Policy {row['policy']}, version {row['policy_version']}; its score is {score_meaning(row['policy'])}."
    return f"{said} {replay(row).sentence}"


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6
