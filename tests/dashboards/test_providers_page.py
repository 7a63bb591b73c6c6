"""The page on providers: uptime, what fallback saved, 429s, latency and prices against the requests themselves."""

from __future__ import annotations

from datetime import UTC, date, datetime

import duckdb
import polars as pl
import pytest

from dashboards.analytics.lake_rows import open_rows
from dashboards.queries.reliability import (
    NOT_COUNTED,
    RATE_LIMITED,
    ROUTER,
    latency_by_country,
    latency_by_hour,
    price_changes,
    prices,
    rate_limits,
    rescued,
    uptimes,
)
from dashboards.time_range import TimeRange
from data.lake import Lake
from data.marts import open_mart
from models.selection.decision.outcome import UNINFORMATIVE_ERRORS
from tests.dashboards.conftest import FAILED, run_page, titles

pytestmark = pytest.mark.filterwarnings("ignore")
MODEL = "deepseek/deepseek-chat-v3-0324"
MONTHS = TimeRange(date(2020, 1, 1), date(2030, 1, 1), "month")
RECENT = TimeRange(date(2026, 10, 20), date(2026, 11, 19), "day")
PERIOD = pl.col("started_at").dt.date().dt.truncate("1mo").alias("period")


@pytest.fixture(scope="module")
def mart(demo: Lake) -> duckdb.DuckDBPyConnection:
    return open_mart(demo.demo)


def exact_of(frame: pl.DataFrame) -> dict:
    return {(day, name): (pytest.approx(value), n) for day, name, value, n in frame.iter_rows()}


@pytest.mark.parametrize("model", [None, MODEL])
def test_uptime_is_that_of_attempts_and_of_requests(
    mart: duckdb.DuckDBPyConnection, rows: pl.DataFrame, model: str | None
) -> None:
    kept = rows if model is None else rows.filter(pl.col("model") == model)
    error = pl.col("error_type")
    counts = error.is_null() | (error != RATE_LIMITED)
    tried = kept.select(PERIOD, "attempts").explode("attempts").unnest("attempts").filter(counts)
    alone = tried.group_by("period", name="provider").agg(error.is_null().mean(), n=pl.len())
    answered = kept.filter(counts).group_by(PERIOD, name=pl.lit(ROUTER)).agg(error.is_null().mean(), n=pl.len())
    found = uptimes(mart, model, MONTHS)
    assert {(day, name): (value, n) for day, name, value, n in found.iter_rows()} == exact_of(alone) | exact_of(
        answered
    )


def test_what_is_left_out_of_uptime_is_what_selection_leaves_out() -> None:
    assert set(NOT_COUNTED) == UNINFORMATIVE_ERRORS | {"cancelled"}


def test_429s_are_those_of_attempts(mart: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    tried = rows.select(PERIOD, "attempts").explode("attempts").unnest("attempts")
    limited = (pl.col("error_type") == RATE_LIMITED).fill_null(False)
    exact = tried.group_by("period", "provider").agg(limited.mean(), n=pl.len())
    found = rate_limits(mart, None, MONTHS)
    assert {(day, name): (value, n) for day, name, value, n in found.iter_rows()} == exact_of(exact)


def test_latency_by_hour_and_country(demo: Lake, mart: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    met = rows.filter(pl.col("ttft_us").is_not_null())
    median = pl.col("ttft_us").quantile(0.5, "lower") / 1e6
    exact = met.group_by(pl.col("started_at").dt.hour(), "provider").agg(median, n=pl.len())
    found = latency_by_hour(mart, None, "ttft", MONTHS)
    assert {(hour, name): (value, n) for hour, name, value, n in found.iter_rows()} == {
        (hour, name): (pytest.approx(value, rel=0.011), n) for hour, name, value, n in exact.iter_rows()
    }
    begin, end = (datetime.combine(day, datetime.min.time(), UTC) for day in (RECENT.begin, RECENT.end))
    recent = met.filter((pl.col("started_at") >= begin) & (pl.col("started_at") < end))
    exact = recent.group_by("country", "provider").agg(median, n=pl.len())
    with open_rows([demo.demo], begin, end) as lake:
        found = latency_by_country(lake, None, RECENT)
    saved = rescued(mart, None, RECENT)
    assert {(country, name): (value, n) for country, name, value, n in found.iter_rows()} == exact_of(exact)
    firsts = rows.filter((pl.col("started_at") >= begin) & (pl.col("started_at") < end)).select(
        "error_type", first=pl.col("attempts").list.first()
    )
    alone = pl.col("first").struct.field("error_type").is_null()
    sums = firsts.group_by(pl.col("first").struct.field("provider")).agg(
        n=pl.len(), alone=alone.mean(), answered=pl.col("error_type").is_null().mean(),
        rescued=(alone.not_() & pl.col("error_type").is_null()).sum(),
    )  # fmt: skip
    assert {row[0]: row[1:] for row in saved.iter_rows()} == {
        name: (n, pytest.approx(first), pytest.approx(last), count) for name, n, first, last, count in sums.iter_rows()
    }
    assert saved["rescued"].sum() > 20


def test_prices_and_their_changes_are_those_planted(mart: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    found = prices(mart, MODEL, "completion", MONTHS).drop("requests")
    served = rows.filter((pl.col("model") == MODEL) & pl.col("provider").is_not_null())
    sums = served.group_by(PERIOD, "provider").agg(
        pl.col("cost_completion_nano").sum() / pl.col("completion_tokens").sum() / 1000
    )
    assert {(day, name): value for day, name, value in found.iter_rows()} == {
        (day, name): pytest.approx(value) for day, name, value in sums.iter_rows()
    }
    changed = price_changes(mart, MODEL, MONTHS).filter(pl.col("meter") == "completion")
    # A provider's price is cut at one moment, so that the day of the cut has a mean between both prices.
    assert changed.height and (changed["change"] < 0).all()
    assert set(changed["day"].dt.truncate("1mo")) == {date(2026, 4, 1), date(2026, 8, 1)}


@pytest.mark.parametrize("query", [
    {"range": "90 days"}, {"range": "all", "of-model": MODEL, "speed": "throughput", "meter": "completion"},
])  # fmt: skip
def test_the_page_shows_what_its_address_says(
    demo: Lake, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = run_page("providers", demo, monkeypatch, countries="true", **query)
    assert not page.exception
    grain = "month" if query["range"] == "all" else "week"
    speed = "Median tokens/s" if "speed" in query else "TTFT, median s"
    assert [one for one in titles(page) if one != "Changes of price"] == [
        f"Uptime by {grain}, with and without {ROUTER}", f"Uptime of the range, with and without {ROUTER}",
        f"What {ROUTER} saved, by the provider tried first",
        f"429s by {grain} and provider", f"{speed} by hour of day", "TTFT, median s, by country of the client",
        f"Price of {query.get('meter', 'prompt')} by {grain} and provider", "Share of tokens won and lost",
    ]  # fmt: skip
    assert query.get("of-model", "all models") in page.main.caption[0].value


def test_other_data_are_shown_or_say_what_is_missing(
    both: Lake, empty: Lake, failed: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = run_page("providers", both, monkeypatch, data="live", range="all", countries="true")
    assert not page.exception
    assert any("names the country" in one.value for one in page.caption)
    page = run_page("providers", empty, monkeypatch)
    assert not page.exception and "portolan demo-data" in page.info[0].value
    page = run_page("providers", failed, monkeypatch)
    assert not page.exception and f"From {FAILED} requests" in page.main.caption[-1].value
    assert page.metric[0].value == "0.00%"
