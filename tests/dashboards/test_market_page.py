"""The market page on live, synthetic and both data, and on those that have nothing to show."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from dashboards.charts.over_time import stacked_shares
from dashboards.colours import author_colour, model_colour
from dashboards.queries.market import concentration, fading, first_days, history, leaders, newcomers, shares, weights
from dashboards.sources import age_sentence
from dashboards.time_range import TimeRange, compared_ranges, period_end, range_of
from data.lake import Lake
from data.marts import open_mart, open_marts
from lab.market.parameters import read_parameters
from pipelines.build import build_mart
from tests.dashboards.conftest import DEMO, END, LIVE, run_page

WHOLE = TimeRange(date(2020, 1, 1), date(2030, 1, 1), "month")
pytestmark = pytest.mark.filterwarnings("ignore")


def market(lake: Lake, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    """Run the page with the parameters of its address."""
    return run_page("market", lake, monkeypatch, **query)


def requests_shown(page: AppTest) -> int:
    return next(int(one.value.replace(",", "")) for one in page.metric if one.label == "Requests")


@pytest.mark.parametrize(("data", "words", "count"), [
    ("live", None, LIVE), ("demo", "Demo data", DEMO), ("both", "Live and demo data", DEMO + LIVE),
])  # fmt: skip
def test_a_page_shows_the_chosen_data_and_charts_say_if_they_are_synthetic(
    both: Lake, data: str, words: str | None, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = market(both, monkeypatch, data=data, range="all")
    assert not page.exception
    titles = [one.value for one in page.markdown if one.value.startswith("**")]
    assert len(titles) == 6
    assert all(f"[{words}]" in title if words else "[" not in title for title in titles), titles
    assert requests_shown(page) == count
    assert ("Synthetic data" in page.main.caption[-1].value) == (data != "live")


def test_the_range_and_grain_are_those_of_the_address(demo: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    page = market(demo, monkeypatch, range="30 days", grain="day", by="model")
    assert not page.exception
    assert page.markdown[0].value.startswith("**Share of tokens by day and model**")
    assert "2026-10-20 to 2026-11-18" in page.main.caption[0].value
    changes = [one.delta for one in page.metric if one.label in ("Tokens", "Requests")]
    assert all(change.endswith("%") for change in changes)
    page.toggle[0].set_value(False).run()
    assert not any(one.delta for one in page.metric if one.label in ("Tokens", "Requests"))


def test_a_chart_opens_to_its_rows(demo: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    page = market(demo, monkeypatch)
    before = len(page.dataframe)
    page.session_state["leaders-by-author-table"] = True
    page.run()
    assert not page.exception
    assert len(page.dataframe) == before + 1


def test_a_mart_without_requests_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build_mart(Lake(tmp_path))
    page = market(Lake(tmp_path), monkeypatch)
    assert not page.exception
    assert "portolan demo-data" in page.info[0].value


def test_requests_that_all_failed_are_counted_and_no_share_is_shown(
    failed: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = market(failed, monkeypatch)
    assert not page.exception
    assert "30 requests failed" in page.info[0].value
    assert "see the page Errors" in page.info[0].value


def test_two_marts_are_read_as_one(both: Lake) -> None:
    with open_marts([both, both.demo]) as together, open_mart(both) as live, open_mart(both.demo) as demo:
        tables = [name for (name,) in demo.execute("SELECT name FROM rollups").fetchall()]
        for sql in ("SELECT sum(requests) FROM usage_hourly", "SELECT sum(tokens) FROM market_share_weekly"):
            counts = [mart.execute(sql).fetchone() or (0,) for mart in (together, live, demo)]
            assert counts[0][0] == counts[1][0] + counts[2][0]
        assert together.execute("SELECT max(abs(whole - 1)) < 1e-9 FROM (SELECT sum(share) AS whole FROM "
                                "market_share_monthly GROUP BY month)").fetchone() == (True,)  # fmt: skip
        for name in tables:
            together.execute(f"SELECT count(*) FROM {name}")


@pytest.fixture(scope="module")
def mart(demo: Lake) -> duckdb.DuckDBPyConnection:
    return open_mart(demo.demo)


def test_queries_give_back_the_planted_shares(mart: duckdb.DuckDBPyConnection) -> None:
    """Compare the last 90 days: within three points, some four standard errors of 4,700 requests."""
    rows = history(mart, TimeRange(END.date() - timedelta(days=89), END.date() + timedelta(days=1), "day"))
    found = dict(leaders(rows, rows.head(0), "model", 20).select("name", "share").iter_rows())
    parameters = read_parameters()
    planted = parameters.shares([day * 12 / 365.25 for day in range(90)]).mean(axis=1)
    for name, share in zip(parameters.models, planted, strict=True):
        assert found.get(name, 0.0) == pytest.approx(share, abs=0.03), name
    known = {"open": 0.0, "closed": 0.0}
    for name, share in zip(parameters.models, planted, strict=True):
        author = name.split("/")[0]
        known["closed" if author in ("anthropic", "openai", "google", "x-ai") else "open"] += share
    split = weights(rows).group_by("weights").agg(pl.col("tokens").sum())
    whole = split["tokens"].sum()
    for word, tokens in split.iter_rows():
        assert tokens / whole == pytest.approx(known[word], abs=0.04)


def test_new_and_fading_models_are_those_that_were_launched_and_ended(mart: duckdb.DuckDBPyConnection) -> None:
    recent, earlier = compared_ranges(TimeRange(date(2026, 7, 1), date(2026, 11, 19), "week"), date(2025, 5, 20))
    now, before = history(mart, recent), history(mart, earlier)
    found = newcomers(now, first_days(mart), recent, date(2025, 5, 20))
    launched = {name for name, one in read_parameters().models.items() if one.begins < 4.5}
    assert set(found["name"]) == launched
    assert "anthropic/claude-3.5-sonnet" in set(fading(now, before)["name"])


def test_layers_keep_one_order_and_authors_one_colour(mart: duckdb.DuckDBPyConnection) -> None:
    rows = history(mart, WHOLE)
    for by in ("author", "model"):
        layers = shares(rows, by, 5)
        assert layers.group_by("name").agg(pl.col("place").n_unique())["place"].to_list() == [1] * 6
        assert layers.filter(pl.col("name") == "others")["place"].unique().to_list() == [5]
        tops = layers.group_by("period").agg((pl.col("base") + pl.col("share")).max().alias("top"))["top"]
        assert all(top == pytest.approx(1) for top in tops)
    assert author_colour("anthropic") != author_colour("openai")
    assert author_colour("someone-new") == author_colour("someone-new") != author_colour("someone-else")
    assert model_colour("openai/a").startswith("#") and len(model_colour("new/b")) == 7


def test_only_a_running_period_is_hatched(mart: duckdb.DuckDBPyConnection) -> None:
    layers = shares(history(mart, WHOLE), "author", 5)

    def hatches(as_of: date) -> int:
        chart = stacked_shares(layers, "month", as_of, author_colour, 20, as_share=True, title="Author")
        return len(chart.layer[1].data)

    assert hatches(date(2026, 11, 18)) > 5
    assert hatches(date(2026, 11, 30)) > 5
    assert hatches(date(2026, 12, 1)) == 0


def test_concentration_is_the_sum_of_squared_shares() -> None:
    rows: dict[str, Any] = {"period": [date(2026, 1, 1)] * 3, "author": ["a", "b", "c"], "model": ["a/x", "b/x", "c/x"]}
    frame = pl.DataFrame(rows | {"tokens": [50, 30, 20], "requests": [5, 3, 2]})
    assert concentration(frame, "author").rows() == [
        (date(2026, 1, 1), pytest.approx(0.38), 0.5, pytest.approx(1.0), 10)
    ]


def test_ranges_begin_with_a_whole_period_and_end_with_the_data() -> None:
    first, last = date(2025, 3, 3), date(2026, 11, 18)
    assert range_of("52 weeks", "week", first, last) == (date(2025, 11, 17), date(2026, 11, 19), "week")
    assert range_of("all", "month", first, last).begin == date(2025, 3, 1)
    assert range_of("custom", "day", first, last, (date(2026, 2, 5), date(2026, 2, 1))) == (
        date(2026, 2, 1), date(2026, 2, 6), "day",
    )  # fmt: skip
    assert period_end(date(2026, 12, 1), "month") == date(2027, 1, 1)
    recent, earlier = compared_ranges(TimeRange(date(2026, 1, 1), date(2026, 1, 11), "week"), date(2025, 12, 1))
    assert (recent.begin, earlier.begin) == (date(2026, 1, 1), date(2025, 12, 22))
    recent, earlier = compared_ranges(TimeRange(date(2026, 1, 1), date(2026, 1, 11), "week"), date(2026, 1, 1))
    assert (earlier.begin, earlier.end, recent.end) == (date(2026, 1, 1), date(2026, 1, 6), date(2026, 1, 11))


def test_an_old_mart_is_said_to_be_stale(both: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTOLAN_DATA_DIR", str(both.root))
    now = datetime.now(UTC)
    assert age_sentence(now).startswith("The mart is")
    assert age_sentence(now + timedelta(hours=3)).startswith(":red[")
