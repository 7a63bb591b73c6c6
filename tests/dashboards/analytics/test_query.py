"""Test that analytics queries give what an independent computation over the same requests gives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import duckdb
import polars as pl
import pytest

from dashboards.analytics.deadline import deadline
from dashboards.analytics.fields import DIMENSIONS, METRICS
from dashboards.analytics.problems import BadQuestion
from dashboards.analytics.query import AnalyticsQuery, QueryAnswer, answer_query
from data.marts import USER_DIGITS
from tests.dashboards.analytics.conftest import MarketLake

COLUMNS = {
    "model": "model", "api_key_id": "key_hash", "user": "user_hash", "workspace": "workspace", "app": "app",
    "provider": "provider", "origin": "app", "country": "country", "finish_reason": "finish_reason",
    "external_user": "user_hash", "generation_id": "generation_id",
}  # fmt: skip
# No mart has their tokens.
ROWS_ALONE = ("finish_reason", "generation_id")
BUCKETS = (("1K", 1_000), ("10K", 10_000), ("100K", 100_000), ("1M", 1_000_000))


def ask(market: MarketLake, *metrics: str, days: int = 30, key: str | None = None, **fields: Any) -> QueryAnswer:
    """Answer a query over the last ``days``, from midnight to the end of the market."""
    begin = (market.end - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    body = {"metrics": metrics, "time_range": {"start": begin, "end": market.end}, "limit": 10_000} | fields
    return answer_query(AnalyticsQuery.model_validate(body), market.lake, key, market.end)


def recent(market: MarketLake, days: int = 30) -> pl.DataFrame:
    begin = (market.end - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    tokens = pl.col("prompt_tokens").fill_null(0) + pl.col("completion_tokens").fill_null(0)
    size = pl.when(pl.col("prompt_tokens") <= BUCKETS[0][1]).then(pl.lit(BUCKETS[0][0]))
    for name, most in BUCKETS[1:]:
        size = size.when(pl.col("prompt_tokens") <= most).then(pl.lit(name))
    # Answers have as many digits of a user's hash as marts.
    user = pl.col("user_hash").str.head(USER_DIGITS)
    return market.rows.filter(pl.col("started_at") >= begin).with_columns(user_hash=user, tokens=tokens, size=size)


def by(rows: pl.DataFrame, *columns: str) -> dict[tuple[Any, ...], tuple[int, int, float]]:
    grouped = rows.group_by(columns).agg(pl.len(), pl.col("tokens").sum(), pl.col("cost_nano").sum() / 1e9)
    return {tuple(row[:-3]): (row[-3], row[-2], pytest.approx(row[-1])) for row in grouped.iter_rows()}


def answered(answer: QueryAnswer, *dimensions: str) -> dict[tuple[Any, ...], tuple[int, int, float]]:
    figures = ("request_count", "tokens_total", "total_usage")
    return {tuple(row[d] for d in dimensions): tuple(row[name] for name in figures) for row in answer.rows}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("dimension", "days"),
    [(name, days) for name in COLUMNS for days in (2, 30, 80) if days < 80 or name not in ROWS_ALONE],
)
def test_figures_by_a_dimension_are_exact(market: MarketLake, dimension: str, days: int) -> None:
    """From marts over any range, and from the requests one by one over a month at most."""
    answer = ask(market, "request_count", "tokens_total", "total_usage", dimensions=[dimension], days=days)
    assert answered(answer, dimension) == by(recent(market, days), COLUMNS[dimension])
    assert not answer.truncated


def test_requests_by_finish_reason_and_tokens_by_context_are_exact(market: MarketLake) -> None:
    rows = recent(market, 80)
    found = ask(market, "request_count", dimensions=["finish_reason"], days=80).rows
    assert {row["finish_reason"]: row["request_count"] for row in found} == dict(
        rows.group_by("finish_reason").len().iter_rows()
    )
    found = ask(market, "request_count", "tokens_total", dimensions=["context_length_bucket", "model"], days=80).rows
    wanted = {key: figures[:2] for key, figures in by(rows, "size", "model").items()}
    assert {(r["context_length_bucket"], r["model"]): (r["request_count"], r["tokens_total"]) for r in found} == wanted


@pytest.mark.parametrize("pair", [("country", "model"), ("provider", "finish_reason"), ("user", "app")])
def test_dimensions_that_no_mart_has_together_are_read_from_the_requests(
    market: MarketLake, pair: tuple[str, str]
) -> None:
    answer = ask(market, "request_count", "tokens_total", "total_usage", dimensions=list(pair), days=7)
    assert answered(answer, *pair) == by(recent(market, 7), *(COLUMNS[name] for name in pair))
    assert answer.warnings == ["Read from the requests themselves: no mart has these metrics and dimensions together"]
    with pytest.raises(BadQuestion, match="at most 31 days"):
        ask(market, "tokens_total", dimensions=list(pair), days=60)


@pytest.mark.parametrize("dimensions", [[], ["app"]])
def test_a_user_is_found_by_the_hash_of_the_log_and_by_that_of_an_answer(
    market: MarketLake, dimensions: list[str]
) -> None:
    """In a mart, and with the app in the requests themselves."""
    name = market.rows["user_hash"].drop_nulls()[-1]
    count = recent(market, 7).filter(pl.col("user_hash") == name[:USER_DIGITS]).height
    for value, operator in ((name, "eq"), (name[:USER_DIGITS], "eq"), ([name], "in")):
        filters = [{"field": "user", "operator": operator, "value": value}]
        rows = ask(market, "request_count", dimensions=dimensions, days=7, filters=filters).rows
        assert sum(row["request_count"] for row in rows) == count > 0


@pytest.mark.parametrize("granularity", ["minute", "hour", "day", "week", "month"])
def test_periods_begin_where_they_should_and_miss_no_request(market: MarketLake, granularity: str) -> None:
    every = {"minute": "1m", "hour": "1h", "day": "1d", "week": "1w", "month": "1mo"}[granularity]
    answer = ask(market, "request_count", granularity=granularity)
    rows = recent(market).with_columns(pl.col("started_at").dt.truncate(every).dt.strftime("%Y-%m-%dT%H:%M:%S.000Z"))
    assert {row[f"date__{granularity}"]: row["request_count"] for row in answer.rows} == dict(
        rows.group_by("started_at").len().iter_rows()
    )
    assert [row[f"date__{granularity}"] for row in answer.rows] == sorted(
        row[f"date__{granularity}"] for row in answer.rows
    )


@pytest.mark.parametrize("dimensions", [["provider"], ["country", "provider"]])
def test_latency_and_throughput_are_right_within_a_bucket(market: MarketLake, dimensions: list[str]) -> None:
    """From the histograms of the mart, and from the requests."""
    names = [f"{one}_{what}" for what in ("latency", "throughput") for one in ("avg", "p50", "p90", "p99")]
    rows = recent(market, 10).filter(pl.col("provider").is_not_null() & (pl.col("ttft_us") > 0))
    exact = dict(rows.group_by(*dimensions).agg(pl.col("ttft_us").quantile(0.5, "lower")).select(
        pl.concat_str(dimensions, separator="/"), "ttft_us").iter_rows())  # fmt: skip
    counts = dict(rows.group_by(*dimensions).len().select(pl.concat_str(dimensions, separator="/"), "len").iter_rows())
    for row in ask(market, *names, dimensions=dimensions, days=10).rows:
        name = "/".join(str(row[one]) for one in dimensions)
        if counts.get(name, 0) < 100:
            continue
        assert row["p50_latency"] == pytest.approx(exact[name] / 1000, rel=0.05)
        assert row["p50_latency"] <= row["p90_latency"] <= row["p99_latency"]
        # The slow tail is what p90 and p99 tell of, for throughput too.
        assert row["p50_throughput"] >= row["p90_throughput"] >= row["p99_throughput"] > 0
        assert row["avg_latency"] > 0 and row["avg_throughput"] > 0


@pytest.mark.parametrize(
    ("operator", "value", "kept"),
    [
        ("eq", "US", pl.col("country") == "US"),
        ("neq", "US", pl.col("country").ne_missing("US")),
        ("in", ["US", "DE"], pl.col("country").is_in(["US", "DE"])),
        ("not_in", ["US", "DE"], ~pl.col("country").is_in(["US", "DE"])),
        ("in", [], pl.lit(False)),
        ("not_in", [], pl.col("country").is_not_null()),
        ("gt", "JP", pl.col("country") > "JP"),
        ("gte", "JP", pl.col("country") >= "JP"),
        ("lt", "JP", pl.col("country") < "JP"),
        ("lte", "JP", pl.col("country") <= "JP"),
        ("eq", "'; DROP TABLE lake_rows; --", pl.lit(False)),
    ],
)
def test_filters_keep_what_they_say(market: MarketLake, operator: str, value: Any, kept: pl.Expr) -> None:
    answer = ask(market, "request_count", filters=[{"field": "country", "operator": operator, "value": value}])
    assert answer.rows == [{"request_count": recent(market).filter(kept).height}]


def test_a_key_sees_its_own_requests_alone(market: MarketLake) -> None:
    rows = recent(market)
    key = rows["key_hash"].mode().sort()[0]
    for fields in ({}, {"dimensions": ["model"]}, {"dimensions": ["country"]}):
        found = ask(market, "request_count", key=key, **fields).rows
        assert sum(row["request_count"] for row in found) == rows.filter(pl.col("key_hash") == key).height
    other = {"field": "api_key_id", "operator": "neq", "value": key}
    assert ask(market, "request_count", key=key, filters=[other]).rows == [{"request_count": 0}]


def test_limits_cut_and_say_so(market: MarketLake) -> None:
    whole = ask(market, "request_count", dimensions=["model"]).rows
    cut = ask(market, "request_count", dimensions=["model"], limit=3)
    assert cut.rows == whole[:3] and cut.truncated
    counts = [row["request_count"] for row in whole]
    assert counts == sorted(counts, reverse=True)
    least = ask(market, "tokens_total", dimensions=["model"], order_by={"field": "request_count", "direction": "asc"})
    assert [row["model"] for row in least.rows] == [
        row["model"] for row in sorted(whole, key=lambda row: (row["request_count"], row["model"]))
    ]
    assert set(least.rows[0]) == {"model", "tokens_total"}
    grouped = ask(market, "request_count", dimensions=["model"], granularity="day", group_limit=2)
    assert max(pl.DataFrame(grouped.rows)["model"].value_counts()["count"]) == 2 and grouped.truncated
    last = ask(market, "request_count", granularity="day", order_by={"field": "date", "direction": "desc"}).rows
    assert [row["date__day"] for row in last] == sorted((row["date__day"] for row in last), reverse=True)


@pytest.mark.parametrize("dimension", [None, *DIMENSIONS])
def test_every_metric_is_known_by_every_dimension(market: MarketLake, dimension: str | None) -> None:
    fields = {"dimensions": [dimension]} if dimension else {}
    answer = ask(market, *METRICS, days=3, **fields)
    assert answer.rows and set(answer.rows[0]) == {*METRICS, *fields.get("dimensions", [])}
    counted = sum(row["request_count"] for row in answer.rows)
    assert counted == recent(market, 3).height
    assert {row["byok_usage"] for row in answer.rows} == {0} and answer.rows[0]["p50_latency"] > 0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"metrics": ["speed"]}, "metrics has no 'speed'; /analytics/meta lists what there is"),
        ({"dimensions": ["colour"]}, "dimensions has no 'colour'"),
        ({"granularity": "year"}, "granularity must be one of minute, hour, day, week, month"),
        ({"filters": [{"field": "model", "operator": "like", "value": "a"}]}, "filters.operator must be one of eq"),
        ({"filters": [{"field": "model", "operator": "in", "value": "a"}]}, "takes a list of values"),
        ({"filters": [{"field": "model", "operator": "eq", "value": ["a"]}]}, "takes one value"),
        ({"filters": [{"field": "model", "operator": "eq", "value": "a" * 1000}]}, "at most 512 characters"),
        ({"order_by": {"field": "cost", "direction": "asc"}}, "order_by.field must be"),
        ({"time_range": {"start": "2026-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}}, "must be before"),
        ({"time_range": {"start": "2024-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}}, "at most 366 days"),
        ({"classifier_filters": {"classifier_id": "x"}}, "there is none here"),
    ],
)
def test_a_question_that_cannot_be_answered_says_what_to_change(
    market: MarketLake, fields: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadQuestion) as caught:
        ask(market, **({"metrics": ["request_count"]} | fields))
    assert sentence in caught.value.message


def test_a_statement_is_interrupted_at_its_deadline() -> None:
    with duckdb.connect() as connection, pytest.raises(duckdb.InterruptException), deadline(connection, 0.2):
        connection.execute("SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range % 7 = b.range % 3")
