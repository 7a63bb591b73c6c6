"""Answer the public datasets: daily rankings of models, rankings of apps, and what sessions cost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import duckdb
import polars as pl

from dashboards.analytics.problems import BadQuestion
from dashboards.analytics.public import app_id, app_name, meta, moment, window
from dashboards.queries.periods import period_sql
from data.catalogue import load_catalogue

Modality = Literal["text", "image", "image_output", "audio", "tool_calling"]
Bucket = Literal["1K", "10K", "100K", "1M", "10M"]
Period = Literal["day", "week", "month"]
OTHER = "other"
RANKED = 50
_INPUTS = {"image": "image", "audio": "audio"}
_OUTPUTS = {"text": "text", "image_output": "image"}
_LANGUAGES = {"natural": "natural_language", "programming": "programming_language"}


def rankings_daily(
    mart: duckdb.DuckDBPyConnection,
    now: datetime,
    few: int,
    *,
    start_date: str | None = None,
    end_date: str | None = None,
    period: Period | None = None,
    modality: Modality | None = None,
    context_bucket: Bucket | None = None,
    category: str | None = None,
    language_type: Literal["natural", "programming"] | None = None,
) -> dict[str, Any]:
    """Return the tokens of the largest models of each period, and of all others together.

    A model with fewer than ``few`` requests in a period counts as one of the others. By category or language only a
    sample is labelled: its tokens are scaled to those of all requests of the period.
    """
    sampled = category is not None or language_type is not None
    if sampled and (modality or context_bucket or (category and language_type)):
        raise BadQuestion("category and language_type cannot be combined with each other or with other filters")
    if sampled and period == "day":
        raise BadQuestion("category and language_type have the periods week and month alone")
    grain = period or ("week" if sampled else "day")
    first, last = window(start_date, end_date, now)
    begin = first - timedelta(days=first.weekday()) if grain == "week" else first.replace(day=1)
    range_ = [first if grain == "day" else begin, last + timedelta(days=1)]
    if category is not None:
        rows = _sampled(mart, grain, range_, "categories_hourly", "category = ?", [category])
    elif language_type is not None:
        rows = _sampled(mart, grain, range_, "languages_hourly", f"{_LANGUAGES[language_type]} IS NOT NULL", [])
    else:
        rows = _exact(mart, grain, range_, modality, context_bucket)
    return {"data": _ranked(rows, few), "meta": meta(first, last, now)}


def app_rankings(
    mart: duckdb.DuckDBPyConnection,
    now: datetime,
    few: int,
    *,
    sort: Literal["popular", "trending"] = "popular",
    start_date: str | None = None,
    end_date: str | None = None,
    limit: int = 50,
    offset: int = 0,
) -> dict[str, Any]:
    """Return apps by tokens, or by their growth over the mean of the three windows of the same length before.

    An app with fewer than ``few`` requests is left out.
    """
    first, last = window(start_date, end_date, now)
    begin, end = first, last + timedelta(days=1)
    before = begin - 3 * (end - begin)
    rows = mart.execute(
        """
        SELECT app,
            CAST(coalesce(sum(prompt_tokens + completion_tokens) FILTER (WHERE hour >= ?), 0) AS BIGINT) AS tokens,
            CAST(coalesce(sum(requests) FILTER (WHERE hour >= ?), 0) AS BIGINT) AS requests,
            coalesce(sum(prompt_tokens + completion_tokens) FILTER (WHERE hour < ?), 0) / 3 AS mean_before
        FROM usage_hourly WHERE app IS NOT NULL AND hour >= ? AND hour < ? GROUP BY app
        """,
        [begin, begin, begin, before, end],
    ).pl()
    rows = rows.filter(pl.col("requests") >= few).with_columns(excess=pl.col("tokens") - pl.col("mean_before"))
    if sort == "trending":
        rows = rows.filter(pl.col("excess") > 0)
    by = "excess" if sort == "trending" else "tokens"
    rows = rows.sort(by, "app", descending=[True, False]).with_row_index("rank", 1).slice(offset, limit)
    data = [
        {
            "rank": row["rank"],
            "app_id": app_id(row["app"]),
            "app_name": app_name(row["app"]),
            "total_tokens": str(row["tokens"]),
            "total_requests": row["requests"],
        }
        for row in rows.to_dicts()
    ]
    return {"data": data, "meta": meta(first, last, now)}


def session_cost(
    mart: duckdb.DuckDBPyConnection,
    now: datetime,
    few: int,
    *,
    app_slug: str | None = None,
    model: str | None = None,
    turn_range: str | None = None,
    limit: int = 100,
    offset: int = 0,
) -> dict[str, Any]:
    """Return the median cost of a session by app, model and number of turns, of the last week that has ended.

    A cell of fewer than ``few`` sessions is left out.
    """
    today = now.astimezone(UTC).date()
    week = today - timedelta(days=today.weekday() + 7)
    rows = mart.execute(
        """
        SELECT app, model, turn_range, median_cost_nano FROM session_costs_weekly
        WHERE week = ? AND app IS NOT NULL AND model IS NOT NULL AND sessions >= ?
        ORDER BY app, model, turn_range
        """,
        [week, few],
    ).pl()
    cells = [
        {
            "app_slug": app_name(row["app"]),
            "app_name": app_name(row["app"]),
            "model_permaslug": row["model"],
            "turn_range": row["turn_range"],
            "median_session_cost_usd": row["median_cost_nano"] / 1e9,
        }
        for row in rows.to_dicts()
    ]
    asked = {"app_slug": app_slug, "model_permaslug": model, "turn_range": turn_range}
    kept = [cell for cell in cells if all(value is None or cell[name] == value for name, value in asked.items())]
    return {
        "data": kept[offset : offset + limit],
        "meta": {
            "as_of": moment(now),
            "version": "v1",
            "window_days": 7 if cells else None,
            "window_end_date": (week + timedelta(days=6)).isoformat() if cells else None,
        },
    }


def _exact(
    mart: duckdb.DuckDBPyConnection,
    grain: Period,
    range_: list[date],
    modality: Modality | None,
    context_bucket: Bucket | None,
) -> pl.DataFrame:
    """Return ``period, model, tokens, requests`` of all requests that the filters keep."""
    if modality is None and context_bucket is None:
        sql = f"SELECT {grain} AS period, model, tokens, requests FROM market_share_{_ADVERB[grain]}"
        return mart.execute(f"{sql} WHERE {grain} >= ? AND {grain} < ?", range_).pl()
    conditions, values = ["hour >= ?", "hour < ?"], [*range_]
    if context_bucket is not None:
        conditions.append(f"context_bucket = '{context_bucket}'")
    if modality == "tool_calling":
        conditions.append("tool_call_responses > 0")
    elif modality in _INPUTS:
        conditions.append(f"modality = '{_INPUTS[modality]}'")
    rows = mart.execute(
        f"""
        SELECT {period_sql(grain)} AS period, model,
            CAST(sum(prompt_tokens + completion_tokens) AS BIGINT) AS tokens, CAST(sum(requests) AS BIGINT) AS requests
        FROM contexts_hourly WHERE model IS NOT NULL AND {" AND ".join(conditions)} GROUP BY 1, 2
        """,
        values,
    ).pl()
    if modality in _OUTPUTS:
        wanted, known = _OUTPUTS[modality], load_catalogue().models
        makes = [name for name, model in known.items() if wanted in model.output_modalities]
        rows = rows.filter(pl.col("model").is_in(makes))
    return rows


def _sampled(
    mart: duckdb.DuckDBPyConnection, grain: Period, range_: list[date], table: str, condition: str, values: list[str]
) -> pl.DataFrame:
    """Return ``period, model, tokens, requests`` of the labelled requests, tokens scaled to all of the period."""
    return mart.execute(
        f"""
        WITH labelled AS (
            SELECT {period_sql(grain)} AS period, model, tokens, requests, {condition} AS kept
            FROM {table} WHERE hour >= ? AND hour < ?
        ),
        scale AS (
            SELECT period, all_tokens / nullif(sum(tokens), 0) AS factor
            FROM labelled JOIN (
                SELECT {period_sql(grain)} AS period, sum(tokens) AS all_tokens
                FROM market_hourly GROUP BY 1
            ) USING (period) GROUP BY period, all_tokens
        )
        SELECT period, model, CAST(round(sum(tokens) * any_value(factor)) AS BIGINT) AS tokens,
            CAST(sum(requests) AS BIGINT) AS requests
        FROM labelled JOIN scale USING (period) WHERE kept AND model IS NOT NULL GROUP BY period, model
        """,
        [*values, *range_],
    ).pl()


_ADVERB: dict[Period, str] = {"day": "daily", "week": "weekly", "month": "monthly"}


def _ranked(rows: pl.DataFrame, few: int) -> list[dict[str, Any]]:
    """Return the rows of a ranking: the largest models of each period by their tokens, then the others together."""
    found: list[dict[str, Any]] = []
    rows = rows.filter((pl.col("tokens") > 0) & pl.col("model").is_not_null()).sort("period")
    for (period,), group in rows.group_by("period", maintain_order=True):
        named = group.filter(pl.col("requests") >= few).sort("tokens", "model", descending=[True, False]).head(RANKED)
        others = int(group["tokens"].sum()) - int(named["tokens"].sum())
        day = str(period)
        listed = [*named.select("model", "tokens").iter_rows(), *([(OTHER, others)] if others else [])]
        found += [{"date": day, "model_permaslug": model, "total_tokens": str(tokens)} for model, tokens in listed]
    return found
