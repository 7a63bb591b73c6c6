"""Answer analytics queries: metrics by dimensions and periods, from the marts or from the rows of the lake."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import duckdb
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from dashboards.analytics.deadline import deadline
from dashboards.analytics.fields import (
    DIMENSIONS,
    GRANULARITIES,
    LATENCY_MART,
    MARTS,
    METRICS,
    OPERATORS,
    Dimension,
    Granularity,
    Mart,
    Metric,
)
from dashboards.analytics.lake_rows import query_rows
from dashboards.analytics.problems import BadQuestion
from dashboards.queries.periods import HOUR
from data.histogram import BASE, quantile
from data.lake import Lake
from data.marts import open_mart

DEFAULT_DAYS = 7
# The reference keeps a year of most dimensions.
LONGEST = timedelta(days=366)
DEFAULT_LIMIT, MAX_LIMIT = 1000, 10_000
MAX_VALUES = 1000
_MAX_TEXT = 512
_PERIOD = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800, "month": 2_419_200}
_SQL = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
Value = str | float


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class QueryFilter(_Body):
    """Keep the rows whose dimension ``field`` compares with ``value``."""

    field: str
    operator: str
    value: Value | list[Value]
    include_unset: bool = False


class QueryRange(_Body):
    start: datetime
    end: datetime


class QueryOrder(_Body):
    field: str
    direction: Literal["asc", "desc"]


class AnalyticsQuery(_Body):
    """Hold the body of ``POST /analytics/query``."""

    metrics: list[str] = Field(min_length=1, max_length=len(METRICS))
    dimensions: list[str] = Field([], max_length=2)
    filters: list[QueryFilter] = Field([], max_length=20)
    granularity: str | None = None
    time_range: QueryRange | None = None
    order_by: QueryOrder | None = None
    limit: int | None = Field(None, ge=1, le=MAX_LIMIT)
    group_limit: int | None = Field(None, ge=1, le=MAX_LIMIT)
    classifier_dimensions: Any = None
    classifier_filters: Any = None


class QueryAnswer(BaseModel):
    """Hold the rows of an answer; ``truncated`` says that more were left out."""

    rows: list[dict[str, Any]]
    query_time_ms: float
    truncated: bool
    warnings: list[str] = []


def answer_query(
    query: AnalyticsQuery, lake: Lake, key_hash: str | None, now: datetime, timeout_s: float = 30.0
) -> QueryAnswer:
    """Answer ``query`` from the marts of ``lake`` where one has its dimensions, else from the requests themselves.

    ``key_hash`` limits the answer to one API key. Raises ``BadQuestion`` for what cannot be answered, and ``NoMart``
    before the first publication. DuckDB's ``InterruptException`` ends a statement after ``timeout_s`` seconds.
    """
    began = time.perf_counter()
    plan = _Plan(query, key_hash, now, timeout_s)
    kept, truncated = plan.cut(plan.gather(lake))
    spent_ms = (time.perf_counter() - began) * 1000
    return QueryAnswer(rows=kept, query_time_ms=round(spent_ms, 3), truncated=truncated, warnings=plan.warnings)


class _Plan:
    """Hold a checked query."""

    def __init__(self, query: AnalyticsQuery, key_hash: str | None, now: datetime, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        if query.classifier_dimensions is not None or query.classifier_filters is not None:
            raise BadQuestion("classifier_dimensions and classifier_filters need a classifier, and there is none here")
        self.metrics = {name: _known(name, METRICS, "metrics") for name in query.metrics}
        self.dimensions = {name: _known(name, DIMENSIONS, "dimensions") for name in query.dimensions}
        self.granularity = _granularity(query.granularity)
        self.date = f"date__{self.granularity}" if self.granularity else None
        self.begin, self.end = _range(query.time_range, now)
        self.warnings: list[str] = []
        if self.granularity != "minute":
            self._widen(now)
        filters = list(query.filters)
        if key_hash is not None:
            filters.append(QueryFilter(field="api_key_id", operator="eq", value=key_hash))
        self.conditions, self.values = _conditions(filters)
        self.columns = {one.column for one in self.dimensions.values()}
        self.columns |= {_known(one.field, DIMENSIONS, "filters").column for one in filters}
        self.order = self._order(query.order_by)
        # Ordered by without being asked for.
        self.hidden = {"request_count"} - self.metrics.keys() if query.order_by else set()
        if self.hidden and query.order_by and query.order_by.field == "request_count":
            self.metrics["request_count"] = METRICS["request_count"]
        self.limit, self.group_limit = self._limits(query)

    def _widen(self, now: datetime) -> None:
        """Let the range begin and end with whole hours, as the rows of marts do."""
        begin = self.begin.replace(minute=0, second=0, microsecond=0)
        end = (self.end + timedelta(hours=1, microseconds=-1)).replace(minute=0, second=0, microsecond=0)
        if begin < self.begin or self.end < min(end, now):
            self.warnings.append("time_range was widened to whole hours")
        self.begin, self.end = begin, end

    @property
    def keys(self) -> list[str]:
        return [*([self.date] if self.date else []), *self.dimensions]

    def gather(self, lake: Lake) -> pl.DataFrame:
        """Return the rows of all metrics."""
        parts: dict[str, tuple[Mart, list[str]]] = {}
        from_rows: list[str] = []
        for name, metric in self.metrics.items():
            mart = self._mart(metric)
            if mart is None:
                from_rows.append(name)
            else:
                parts.setdefault(mart.name, (mart, []))[1].append(name)
        if from_rows and (self.columns or self.granularity == "minute"):
            # One source for all, so that the figures of a row belong together.
            from_rows, parts = list(self.metrics), {}
        found = []
        if parts:
            with closing(open_mart(lake)) as mart_connection:
                for mart, names in parts.values():
                    histogram = mart is LATENCY_MART
                    found.append((self._histograms if histogram else self._sums)(mart_connection, mart, names))
        if from_rows:
            found.append(query_rows([lake], self.begin, self.end, lambda rows: self._sums(rows, None, from_rows)))
            self.warnings.append("Read from the requests themselves: no mart has these metrics and dimensions together")
        return self._joined(found)

    def cut(self, rows: pl.DataFrame) -> tuple[list[dict[str, Any]], bool]:
        """Return the rows in their order, within the limits, and whether that left any out."""
        for field, descending in reversed(self.order):
            rows = rows.sort(field, descending=descending, nulls_last=True, maintain_order=True)
        whole = rows.height
        if self.dimensions and self.group_limit is not None:
            rows = rows.group_by(list(self.dimensions), maintain_order=True).head(self.group_limit)
            for field, descending in reversed(self.order):
                rows = rows.sort(field, descending=descending, nulls_last=True, maintain_order=True)
        rows = rows.head(self.limit).select(*self.keys, *(name for name in self.metrics if name not in self.hidden))
        if self.date:
            rows = rows.with_columns(pl.col(self.date).dt.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
        return rows.to_dicts(), rows.height < whole

    def _mart(self, metric: Metric) -> Mart | None:
        """Return the first mart that has the dimensions and the metric, ``None`` for none."""
        if self.granularity == "minute":
            return None
        for mart in MARTS:
            if self.columns <= mart.dimensions and _expression(metric, mart.measures) is not None:
                return mart
        return LATENCY_MART if metric.histogram is not None and self.columns <= LATENCY_MART.dimensions else None

    def _sums(self, connection: duckdb.DuckDBPyConnection, mart: Mart | None, names: list[str]) -> pl.DataFrame:
        selects = []
        for name in names:
            metric = self.metrics[name]
            kind = "DOUBLE" if metric.is_rate or metric.format == "currency" else "BIGINT"
            expression = _expression(metric, mart.measures if mart else None)
            selects.append(f"CAST({expression} AS {kind}) AS {name}")
        source = "lake_rows" if mart is None else mart.relation or mart.name
        return self._run(connection, source, selects, [])

    def _histograms(self, connection: duckdb.DuckDBPyConnection, mart: Mart, names: list[str]) -> pl.DataFrame:
        counted = self._run(connection, mart.name, ["sum(n) AS n"], ["metric", "bucket"])
        schema = {key: counted.schema[key] for key in self.keys} | dict.fromkeys(names, pl.Float64)
        groups: dict[tuple[Any, ...], dict[str, dict[int, int]]] = {}
        for *key, metric, bucket, n in counted.select(*self.keys, "metric", "bucket", "n").iter_rows():
            groups.setdefault(tuple(key), {}).setdefault(metric, {})[bucket] = int(n)
        rows = [
            (*key, *(_statistic(by_metric, self.metrics[name]) for name in names)) for key, by_metric in groups.items()
        ]
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _run(
        self, connection: duckdb.DuckDBPyConnection, source: str, selects: Sequence[str], more_keys: Sequence[str]
    ) -> pl.DataFrame:
        keys = [f"{one.value} AS {name}" for name, one in self.dimensions.items()]
        if self.date:
            keys.insert(0, f"CAST(date_trunc('{self.granularity}', {HOUR}) AS TIMESTAMP) AS {self.date}")
        keys += more_keys
        where = " AND ".join(["hour >= ?", "hour < ?", *self.conditions])
        sql = f"SELECT {', '.join([*keys, *selects])} FROM {source} WHERE {where}"
        if keys:
            sql += f" GROUP BY {', '.join(str(place + 1) for place in range(len(keys)))}"
        with deadline(connection, self._timeout_s):
            return connection.execute(sql, [self.begin, self.end, *self.values]).pl()

    def _joined(self, found: list[pl.DataFrame]) -> pl.DataFrame:
        joined = found[0]
        for other in found[1:]:
            if self.keys:
                joined = joined.join(other, on=self.keys, how="full", coalesce=True, nulls_equal=True)
            else:
                joined = pl.concat([joined, other], how="horizontal")
        missing = [name for name in self.metrics if not self.metrics[name].is_rate]
        return joined.with_columns(pl.col(missing).fill_null(0))

    def _order(self, asked: QueryOrder | None) -> list[tuple[str, bool]]:
        """Return the columns to order by, and whether each descends; all keys come last, for a total order."""
        first = next(iter(self.metrics))
        total = [(key, False) for key in self.keys]
        if asked is None:
            return [(self.date, False), (first, True), *total[1:]] if self.date else [(first, True), *total]
        field = self.date if asked.field == "date" and self.date else asked.field
        if field not in (*self.metrics, *self.dimensions, self.date, "request_count") or field is None:
            raise BadQuestion("order_by.field must be a requested metric or dimension, request_count, or date")
        return [(field, asked.direction == "desc"), *(one for one in total if one[0] != field)]

    def _limits(self, query: AnalyticsQuery) -> tuple[int, int | None]:
        limit, group_limit = query.limit or DEFAULT_LIMIT, query.group_limit
        if self.dimensions and self.granularity and group_limit is None:
            group_limit = int((self.end - self.begin).total_seconds() // _PERIOD[self.granularity]) + 2
            limit = limit if query.limit else MAX_LIMIT
        return limit, group_limit


def _known(name: str, names: dict[str, Any], field: str) -> Any:
    found = names.get(name)
    if found is None:
        raise BadQuestion(f"{field} has no {name[:64]!r}; /analytics/meta lists what there is")
    return found


def _granularity(name: str | None) -> Granularity | None:
    if name is None:
        return None
    for known in GRANULARITIES:
        if known == name:
            return known
    raise BadQuestion(f"granularity must be one of {', '.join(GRANULARITIES)}")


def _range(asked: QueryRange | None, now: datetime) -> tuple[datetime, datetime]:
    if asked is None:
        end = (now + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
        return (end - timedelta(days=DEFAULT_DAYS)), end
    begin, end = (moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in (asked.start, asked.end))
    if begin >= end:
        raise BadQuestion("time_range.start must be before time_range.end")
    if end - begin > LONGEST:
        raise BadQuestion(f"time_range must be at most {LONGEST.days} days long")
    return begin.astimezone(UTC), end.astimezone(UTC)


def _conditions(filters: Sequence[QueryFilter]) -> tuple[list[str], list[Value]]:
    """Return SQL conditions, and the values of their placeholders."""
    conditions: list[str] = []
    values: list[Value] = []
    for one in filters:
        dimension: Dimension = _known(one.field, DIMENSIONS, "filters")
        column = f"({dimension.value})"
        takes_list = OPERATORS.get(one.operator)
        if takes_list is None:
            raise BadQuestion(f"filters.operator must be one of {', '.join(OPERATORS)}")
        if takes_list is not isinstance(one.value, list):
            raise BadQuestion(f"The operator {one.operator} takes {'a list of values' if takes_list else 'one value'}")
        listed = one.value if isinstance(one.value, list) else [one.value]
        if len(listed) > MAX_VALUES or any(len(str(value)) > _MAX_TEXT for value in listed):
            raise BadQuestion(f"A filter takes at most {MAX_VALUES} values of at most {_MAX_TEXT} characters")
        if one.operator == "neq":
            conditions.append(f"{column} IS DISTINCT FROM ?")
        elif takes_list:
            placeholders = ", ".join("?" for _ in listed) or "NULL"
            negation = "NOT " if one.operator == "not_in" else ""
            inside = f"{column} {negation}IN ({placeholders})" if listed else ("true" if negation else "false")
            unset = f"{column} IS NULL"
            conditions.append(f"({inside} OR {unset})" if one.include_unset else f"({inside} AND NOT {unset})")
        else:
            conditions.append(f"{column} {_SQL[one.operator]} ?")
        values += [str(value)[: dimension.digits] for value in listed]
    return conditions, values


def _expression(metric: Metric, measures: frozenset[str] | None) -> str | None:
    """Return the metric's expression over ``measures``, ``None`` for all columns; ``None`` if they do not suffice."""
    for needs, expression in metric.ways:
        if measures is None or measures.issuperset(needs.split()):
            return expression
    return None


def _statistic(by_metric: dict[str, dict[int, int]], metric: Metric) -> float | None:
    histogram = metric.histogram
    assert histogram is not None
    buckets = by_metric.get(histogram.metric, {})
    if not buckets:
        return None
    if histogram.level is None:
        total = sum(buckets.values())
        return float(sum(n * BASE ** (bucket + 0.5) for bucket, n in buckets.items()) / total / histogram.per_unit)
    found = quantile(buckets, histogram.level)
    return None if found is None else found / histogram.per_unit
