"""The rankings: figures against the requests themselves, cross queries, and data that have nothing to show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import polars as pl
import pytest

from dashboards.analytics.lake_rows import open_rows
from dashboards.queries.rankings import leaders_by_value, ranking, shares_within
from dashboards.queries.slices import FIELDS, LAKE, Slice, Windows, by_period, by_window, crossed, values
from data.lake import Lake
from data.marts import open_mart
from tests.dashboards.conftest import END, FAILED, run_page, titles

pytestmark = pytest.mark.filterwarnings("ignore")
DAYS = 30
BEGIN, STOP = datetime(2026, 10, 20, tzinfo=UTC), END + timedelta(hours=1)
WINDOWS = Windows(BEGIN, STOP, DAYS)
TOKENS = (pl.col("prompt_tokens").fill_null(0) + pl.col("completion_tokens").fill_null(0)).sum().alias("tokens")


@pytest.fixture(scope="module")
def mart(demo: Lake) -> duckdb.DuckDBPyConnection:
    return open_mart(demo.demo)


def exact(rows: pl.DataFrame, begin: datetime, end: datetime, *conditions: pl.Expr, by: str = "model") -> dict:
    kept = rows.filter((pl.col("started_at") >= begin) & (pl.col("started_at") < end), *conditions)
    return {name: (tokens, n) for name, tokens, n in kept.drop_nulls(by).group_by(by).agg(TOKENS, pl.len()).iter_rows()}


CROSS = {
    "all": ((), (), "usage_hourly"),
    "context": ((("context", "10K"), ("modality", "text")), (
        pl.col("prompt_tokens").is_between(1001, 10_000), pl.col("modality") == "text"), "contexts_hourly"),
    "tag": ((("category", "programming"), ("tag", "code:debugging")), (
        pl.col("category") == "programming", pl.col("task_tag") == "code:debugging"), "tags_hourly"),
    "languages": ((("language", "de"), ("code", "python")), (
        pl.col("natural_language") == "de", pl.col("programming_language") == "python"), "languages_hourly"),
    "tools": ((("category", "programming"), ("tools", "offered")), (
        pl.col("category") == "programming", pl.col("tools") > 0), "topics_hourly"),
    "no mart": ((("code", "python"), ("context", "10K"), ("tools", "offered")), (
        pl.col("programming_language") == "python", pl.col("prompt_tokens").is_between(1001, 10_000),
        pl.col("tools") > 0), LAKE),
}  # fmt: skip


@pytest.mark.parametrize("case", CROSS)
def test_a_ranking_counts_the_requests_that_its_filters_keep(
    demo: Lake, mart: duckdb.DuckDBPyConnection, rows: pl.DataFrame, case: str
) -> None:
    filters, conditions, source = CROSS[case]
    asked = Slice("model", filters)
    assert asked.source == source
    opened = open_rows([demo.demo], BEGIN, STOP) if source == LAKE else mart
    count = 1 if source == LAKE else 2
    found = by_window(opened, asked, WINDOWS, count)
    for window in range(count):
        got = found.filter(pl.col("window") == window)
        assert {name: (tokens, n) for _, name, tokens, n in got.iter_rows()} == exact(
            rows, *WINDOWS.before(window), *conditions
        )
    periods = by_period(opened, asked, "week", BEGIN, STOP)
    assert periods["tokens"].sum() == found.filter(pl.col("window") == 0)["tokens"].sum() > 0


def test_apps_are_ranked_and_broken_down(mart: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    found = by_window(mart, Slice("app"), WINDOWS, 1)
    assert dict(found.select("name", "tokens").iter_rows()) == {
        name: tokens for name, (tokens, _) in exact(rows, BEGIN, STOP, by="app").items()
    }
    cross = crossed(mart, Slice("author", (("language", "en"),), "tools"), BEGIN, STOP)
    english = pl.col("natural_language") == "en"
    for word, condition in (("offered", pl.col("tools") > 0), ("none offered", pl.col("tools") == 0)):
        got = cross.filter(pl.col("value") == word)
        assert {name: (tokens, n) for name, tokens, n in got.select("name", "tokens", "requests").iter_rows()} == exact(
            rows, BEGIN, STOP, english, condition, by="author"
        )


def test_options_are_values_with_traffic(mart: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    kept = rows.filter((pl.col("started_at") >= BEGIN) & (pl.col("started_at") < STOP))
    for field in ("category", "tag", "language", "code", "modality", "app"):
        assert set(values(mart, field, BEGIN, STOP)) == set(kept[FIELDS[field].column].drop_nulls()), field
    assert values(mart, "context", BEGIN, STOP)[:2] == ["1K", "10K"]


def frame(*rows: tuple[int, str, int, int]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=["window", "name", "tokens", "requests"], orient="row")


def test_a_ranking_has_change_of_rank_share_and_growth() -> None:
    found = ranking(frame((0, "a", 60, 30), (0, "b", 40, 30), (1, "b", 30, 30), (1, "a", 10, 9)), 2, 20, "tokens")
    assert found.rows() == [
        (1, "a", 1, 0.6, pytest.approx(0.35), 60, None, 30),
        (2, "b", -1, 0.4, pytest.approx(-0.35), 40, pytest.approx(1 / 3), 30),
    ]
    new = ranking(frame((0, "a", 60, 30)), 1, 20, "tokens")
    assert new.select("moved", "change", "growth").rows() == [(None, None, None)]


def test_the_trend_is_against_the_mean_of_three_ranges_before() -> None:
    rows = frame((0, "a", 100, 1), (1, "a", 90, 1), (2, "a", 90, 1), (3, "a", 90, 1), (0, "b", 50, 1), (2, "b", 30, 1),
                 (0, "c", 10, 1), (1, "c", 300, 1))  # fmt: skip
    found = ranking(rows, 4, 0, "trending")
    assert dict(found.select("name", "excess").iter_rows()) == {"b": 40, "a": 10}
    assert found["name"].to_list() == ["b", "a"]


def test_leaders_and_shares_within_a_value() -> None:
    rows = pl.DataFrame(
        {"value": ["x", "x", "y"], "name": ["a", "b", "b"], "tokens": [30, 10, 60], "requests": [3, 1, 6]}
    )
    assert leaders_by_value(rows, 5).rows() == [("y", "b", 1.0, 0.6, 60, 6), ("x", "a", 0.75, 0.4, 40, 4)]
    assert shares_within(rows, 5, 1).rows() == [("x", "b", 0.25, 10, 1), ("y", "b", 1.0, 60, 6)]


def test_the_page_answers_who_leads_from_one_language_to_another(demo: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run_page("rankings", demo, monkeypatch, range="all", language="Japanese (ja)", code="python")
    assert not page.exception
    assert titles(page)[0] == "Models by tokens with language ja, programming language python"
    assert "labelled sample" in page.main.caption[0].value
    # The breakdown begins with a field that a mart holds; here none does, and the page says why.
    assert "No mart holds" in page.info[0].value


@pytest.mark.parametrize("query", [
    {"rank": "app", "range": "30 days", "sort": "trending"}, {"rank": "author", "range": "1 day"},
    {"code": "python", "tools": "offered", "range": "30 days"}, {"data": "live", "range": "all"},
    {"data": "both", "range": "90 days", "compare": "false", "across": "Tools"},
])  # fmt: skip
def test_the_page_shows_what_its_address_says(
    both: Lake, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = run_page("rankings", both, monkeypatch, **{"data": "demo"} | query)
    assert not page.exception
    first = titles(page)[0]
    assert first.startswith(f"{query.get('rank', 'model').title()}s by {'trend' if 'sort' in query else 'tokens'}")
    if "code" in query:
        assert "read from single requests" in page.main.caption[0].value
    if query.get("across") == "Tools":
        assert "Leaders by tools" in titles(page)


def test_a_range_too_long_for_single_requests_says_so(demo: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run_page("rankings", demo, monkeypatch, range="90 days", code="python", tools="offered")
    assert not page.exception
    assert "at most 31 days" in page.info[0].value


@pytest.mark.parametrize(("name", "query", "words"), [
    ("rankings", {"category": "nonsense"}, "with category nonsense"),
    ("rankings", {"language": "Swahili (sw)"}, "with language sw"),
    ("categories", {"category": "nonsense"}, "is labelled nonsense"),
    ("model", {"model": "nobody/none"}, "No request for nobody/none"),
    ("providers", {"of-model": "nobody/none"}, "says something about a provider"),
])  # fmt: skip
def test_a_value_of_the_address_that_no_request_has_is_not_dropped(
    demo: Lake, name: str, query: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = run_page(name, demo, monkeypatch, **query)
    assert not page.exception
    assert words in page.info[0].value


def test_data_without_anything_to_rank_say_so(empty: Lake, failed: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run_page("rankings", empty, monkeypatch)
    assert not page.exception and "portolan demo-data" in page.info[0].value
    page = run_page("rankings", failed, monkeypatch)
    assert not page.exception and f"was answered: {FAILED} requests failed, see the page Errors" in page.info[0].value
    assert f"From {FAILED} requests" in page.main.caption[-1].value
