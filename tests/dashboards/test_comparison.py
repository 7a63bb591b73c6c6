"""The comparison with the range before, which pages share: figures against the requests themselves."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from dashboards.comparison import Comparison, growth, points, with_changes
from dashboards.slice_controls import windows_of
from dashboards.time_range import TimeRange
from data.lake import Lake
from tests.dashboards.conftest import END, run_page

pytestmark = pytest.mark.filterwarnings("ignore")
MODEL = "anthropic/claude-sonnet-4"
TOKENS = pl.col("prompt_tokens").fill_null(0) + pl.col("completion_tokens").fill_null(0)
COMPARED = ("market", "rankings", "categories", "model", "providers", "cost", "errors")


def same_hours(rows: pl.DataFrame, days: int) -> list[pl.DataFrame]:
    """Return the requests of the last days up to the hour of the last one, and those of the same hours before."""
    end = rows["started_at"].max()
    assert isinstance(end, datetime)
    end = end.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    begin = datetime(END.year, END.month, END.day, tzinfo=UTC) - timedelta(days=days - 1)
    return [
        rows.filter(pl.col("started_at").is_between(begin - shift, end - shift, closed="left"))
        for shift in (timedelta(), timedelta(days=days))
    ]


def change(page: AppTest, label: str) -> str:
    return next(str(one.delta) for one in page.metric if one.label == label)


@pytest.mark.parametrize(("days", "preset"), [(1, "1 day"), (90, "90 days")])
def test_figures_are_compared_with_the_same_hours_before(
    demo: Lake, rows: pl.DataFrame, days: int, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = same_hours(rows.filter(pl.col("model").is_not_null()), days)
    tokens, usd, failed, requests, of_model = (
        [float(part.select(figure).item()) for part in both]
        for figure in (
            TOKENS.sum(), pl.col("cost_nano").sum() / 1e9, pl.col("error_type").count(), pl.len(),
            (pl.col("model") == MODEL).sum(),
        )
    )  # fmt: skip

    def said(name: str, label: str, **query: str) -> str:
        page = run_page(name, demo, monkeypatch, range=preset, grain="day", **query)
        assert not page.exception
        return change(page, label)

    assert said("market", "Tokens") == said("rankings", "Tokens") == growth(*tokens)
    assert said("cost", "Spent") == growth(*usd)
    if days > 1:
        assert said("errors", "Failed") == growth(*failed)
        share = [part / whole for part, whole in zip(failed, requests, strict=True)]
        assert said("errors", "Share of requests") == points(*share)
        assert said("model", "Requests", model=MODEL) == growth(*of_model)


@pytest.mark.parametrize(("name", "columns"), [
    ("cost", {"usd_change", "share_change"}), ("errors", {"failed_before"}), ("categories", {"change", "growth"}),
    ("model", {"uptime_change", "ttft_p50_change"}), ("providers", {"value_change"}), ("rankings", {"moved", "growth"}),
    ("market", {"change", "growth"}),
])  # fmt: skip
def test_tables_have_the_change_unless_the_address_says_otherwise(
    demo: Lake, name: str, columns: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    query = {"range": "30 days", "model": MODEL, "of-model": MODEL} if name in ("model", "providers") else {}
    query = {"range": "30 days"} | query
    page = run_page(name, demo, monkeypatch, **query)
    assert not page.exception
    tables = [set(one.value.columns) for one in page.dataframe]
    assert any(columns <= table for table in tables), tables
    assert any("against 2026-09-20 00:00" in one.value for one in page.sidebar.caption)
    page.toggle(key="compare").set_value(False).run()
    assert not page.exception and not page.sidebar.caption
    assert not any(columns & set(one.value.columns) - {"change"} for one in page.dataframe)


@pytest.mark.parametrize("name", COMPARED)
def test_data_that_do_not_reach_back_so_far_say_so(demo: Lake, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run_page(name, demo, monkeypatch, range="all")
    assert not page.exception
    assert "too late to compare all of the range" in page.sidebar.caption[0].value


def test_a_range_is_compared_with_the_same_hours_only_if_data_reach_back_to_their_day() -> None:
    last = datetime(2026, 3, 14, 15, 20)
    windows = windows_of(TimeRange(date(2026, 3, 8), date(2026, 3, 15), "day"), last)
    first = datetime(2026, 3, 1, 9, 30)
    before = Comparison(windows, True, first).before
    assert before is not None
    assert (before.begin, before.end) == (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 7, 16, tzinfo=UTC))
    assert Comparison(windows, True, first + timedelta(days=1)).before is None
    off = Comparison(windows, False, first)
    assert (off.before, off.sentence, off.against) == (None, "", "")


def test_changes_stand_on_enough_requests_of_both_ranges() -> None:
    now = pl.DataFrame({"name": ["a", "b", "c", None], "share": [0.5, 0.3, 0.1, 0.1], "requests": [90, 90, 9, 90]})
    then = pl.DataFrame({"name": [None, "a", "c"], "share": [0.2, 0.25, 0.5], "requests": [90, 90, 90]})
    assert with_changes(now, None, ["name"], {"share": "points"}, 20).equals(now)
    assert with_changes(now, then, ["name"], {"share": "points"}, 20).columns == [
        "name", "share", "share_change", "requests",
    ]  # fmt: skip
    for kind, changes in (("points", [25, None, None, -10]), ("growth", [1, None, None, -0.5])):
        found = with_changes(now, then, ["name"], {"share": kind}, 20)  # type: ignore[dict-item]
        assert found["share_change"].to_list() == [pytest.approx(one) for one in changes]
    assert (growth(3, 2), growth(1, 0), growth(None, 2), growth(1001, 1000)) == ("+50%", None, None, None)
    assert (points(0.52, 0.5), points(None, 0.5), points(0.5, 0.5)) == ("+2.00 points", None, None)
