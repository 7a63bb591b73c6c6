"""Query tokens by name under filters: from the first mart that holds all fields, else from single requests."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import duckdb
import polars as pl

from dashboards.queries.periods import Unit, period_sql, rows_between
from dashboards.time_range import Grain

LAKE = "lake_rows"
AUTHOR, MODEL, APP, PROVIDER = "author", "model", "app", "provider"


class Field(NamedTuple):
    """Describe a field that requests are ranked, filtered or broken down by: its label and its column."""

    label: str
    column: str
    sampled: bool = False


FIELDS: dict[str, Field] = {
    MODEL: Field("Model", "model"),
    AUTHOR: Field("Author", "author"),
    APP: Field("App", "app"),
    PROVIDER: Field("Provider", "provider"),
    "category": Field("Category", "category", sampled=True),
    "tag": Field("Task tag", "task_tag", sampled=True),
    "language": Field("Language", "natural_language", sampled=True),
    "code": Field("Programming language", "programming_language", sampled=True),
    "modality": Field("Modality", "modality"),
    "context": Field("Prompt tokens up to", "context_bucket"),
    "tools": Field("Tools", "offers_tools"),
}
CONTEXTS = ("1K", "10K", "100K", "1M", "10M")
TOOLS = {"offered": True, "none offered": False}
_SPLIT_TOKENS = "prompt_tokens + completion_tokens"


class _Mart(NamedTuple):
    name: str
    fields: frozenset[str]
    tokens: str = "tokens"


# The first that has all fields is read; an author is part of the model.
_MARTS = (
    _Mart("usage_hourly", frozenset({MODEL, AUTHOR, APP, PROVIDER}), _SPLIT_TOKENS),
    _Mart("contexts_hourly", frozenset({MODEL, AUTHOR, "context", "modality", "tools"}), _SPLIT_TOKENS),
    _Mart("tags_hourly", frozenset({MODEL, AUTHOR, "category", "tag"})),
    _Mart("topics_hourly", frozenset({MODEL, AUTHOR, "category", "language", "tools"})),
    _Mart("languages_hourly", frozenset({MODEL, AUTHOR, "language", "code"})),
)
_LAKE = _Mart(LAKE, frozenset(FIELDS))


class Slice(NamedTuple):
    """Hold what is ranked, the filters as pairs of field and value, and the field that it is broken down by."""

    by: str
    filters: tuple[tuple[str, str], ...] = ()
    across: str | None = None

    @property
    def fields(self) -> frozenset[str]:
        return frozenset({self.by, *(name for name, _ in self.filters), *([self.across] if self.across else [])})

    @property
    def sampled(self) -> bool:
        """Return whether a field is known of a sampled share of the requests alone."""
        return any(FIELDS[name].sampled for name in self.fields)

    @property
    def source(self) -> str:
        """Return the mart that has all fields, or ``LAKE``."""
        return _mart(self).name

    def sentence(self) -> str:
        """Return the filters in words."""
        return ", ".join(f"{FIELDS[name].label.lower()} {value}" for name, value in self.filters)


class Windows(NamedTuple):
    """Hold the hours of a range, and the number of days by which each earlier window lies before the one after it."""

    begin: datetime
    end: datetime
    days: int

    def before(self, times: int) -> tuple[datetime, datetime]:
        """Return the begin and the end of an earlier window."""
        shift = timedelta(days=self.days * times)
        return self.begin - shift, self.end - shift

    def sentence(self, times: int = 0) -> str:
        begin, end = self.before(times)
        return f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"


def values(mart: duckdb.DuckDBPyConnection, field: str, begin: datetime, end: datetime) -> list[str]:
    """Return the values of a field in the range, most tokens first."""
    if field == "tools":
        return list(TOOLS)
    found = _grouped(mart, Slice(field), field, "0", begin, end, "month")
    names = [name for name in found["name"].to_list() if name is not None]
    return [name for name in CONTEXTS if name in names] if field == "context" else names


def by_window(source: duckdb.DuckDBPyConnection, asked: Slice, windows: Windows, count: int) -> pl.DataFrame:
    """Return ``window, name, tokens, requests``: window 0 is the range, 1 the one before it, and so on."""
    found = [
        _grouped(source, asked, asked.by, f"CAST({number} AS BIGINT)", *windows.before(number), "month")
        for number in range(count)
    ]
    return pl.concat(found).rename({"key": "window"}).select("window", "name", "tokens", "requests")


def by_period(
    source: duckdb.DuckDBPyConnection, asked: Slice, grain: Grain, begin: datetime, end: datetime
) -> pl.DataFrame:
    """Return ``period, name, tokens, requests`` by the grain."""
    rows = _grouped(source, asked, asked.by, period_sql(grain), begin, end, grain)
    return rows.rename({"key": "period"}).select("period", "name", "tokens", "requests").sort("period", "name")


def history(
    source: duckdb.DuckDBPyConnection, asked: Slice, grain: Grain, begin: datetime, end: datetime
) -> pl.DataFrame:
    """Return ``period, value, name, tokens, requests, cost_usd`` for each value of the field ``across``."""
    assert asked.across is not None
    key = f"{{'period': {period_sql(grain)}, 'value': {_column(asked.across)}}}"
    rows = _grouped(source, asked, asked.by, key, begin, end, grain).unnest("key")
    return rows.drop_nulls("value").sort("period", "value", "tokens", "name", descending=[False, False, True, False])


def crossed(source: duckdb.DuckDBPyConnection, asked: Slice, begin: datetime, end: datetime) -> pl.DataFrame:
    """Return ``value, name, tokens, requests, cost_usd`` for each value of the field ``across``."""
    assert asked.across is not None
    rows = _grouped(source, asked, asked.by, _column(asked.across), begin, end, "month")
    return rows.rename({"key": "value"}).drop_nulls("value").with_columns(pl.col("value").cast(pl.String))


def _mart(asked: Slice) -> _Mart:
    return next((mart for mart in _MARTS if asked.fields <= mart.fields), _LAKE)


def _column(field: str) -> str:
    if field == AUTHOR:
        return "split_part(model, '/', 1)"
    if field == "tools":
        return f"CASE WHEN offers_tools THEN '{next(iter(TOOLS))}' ELSE 'none offered' END"
    return FIELDS[field].column


def _grouped(
    source: duckdb.DuckDBPyConnection,
    asked: Slice,
    by: str,
    key: str,
    begin: datetime,
    end: datetime,
    unit: Unit,
) -> pl.DataFrame:
    """Return ``key, name, tokens, requests, cost_usd``, most tokens first."""
    mart = _mart(asked)
    kept = [f"{_column(by)} IS NOT NULL", *(f"{_column(name)} = ?" for name, _ in asked.filters)]
    return source.execute(
        f"""
        SELECT {key} AS key, {_column(by)} AS name, CAST(sum({mart.tokens}) AS BIGINT) AS tokens,
            CAST(sum(requests) AS BIGINT) AS requests, sum(cost_nano) / 1e9 AS cost_usd
        FROM {rows_between(mart.name, begin, end, unit)} WHERE {" AND ".join(kept)}
        GROUP BY 1, 2 ORDER BY tokens DESC, name
        """,
        [value for _, value in asked.filters],
    ).pl()
