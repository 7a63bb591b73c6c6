"""Test the pages on cost and on errors: figures against the requests themselves, and data that have nothing to show."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from dashboards.queries import costs
from dashboards.queries.errors import all_requests, failures, kinds, risen
from dashboards.queries.layers import UNNAMED, largest
from dashboards.time_range import TimeRange
from data.lake import Lake
from data.marts import USER_DIGITS, open_mart
from pipelines.build import build_mart
from tests.dashboards.conftest import END, PAGES, run_page
from tests.pipelines.test_marts import fill, records

ALL = TimeRange(date(2020, 1, 1), date(2030, 1, 1), "week")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("by", costs.PAYERS)
def test_cost_is_that_of_the_requests_by_whoever_pays(
    demo: Lake, rows: pl.DataFrame, by: costs.Payer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_mart(demo.demo) as mart:
        found = costs.payers(mart, ALL, by)
    shown = rows.with_columns(pl.col("user_hash").str.head(USER_DIGITS))
    exact = shown.group_by(costs.PAYERS[by][1]).agg(pl.col("cost_nano").sum() / 1e9, pl.len())
    assert {name: (usd, n) for name, usd, n in found.select("name", "usd", "requests").iter_rows()} == {
        name: (pytest.approx(usd), n) for name, usd, n in exact.iter_rows()
    }
    assert found["share"].sum() == pytest.approx(1)
    shown = run_page("cost", demo, monkeypatch, range="all", payer=by, grain="month")
    assert not shown.exception
    spent = next(one.value for one in shown.metric if one.label == "Spent")
    assert spent == f"${rows['cost_nano'].sum() / 1e9:,.2f}"
    assert shown.markdown[0].value.startswith(f"**Cost by month and {by}**")


def test_the_cost_of_one_key_is_that_of_its_requests(
    demo: Lake, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = rows["key_hash"][-1]
    page = run_page("cost", demo, monkeypatch, range="all", payer="key", **{"only-key": key})
    assert not page.exception
    mine = rows.filter(pl.col("key_hash") == key)
    assert page.metric[0].label == f"Spent by {key[:12]}…"
    assert page.metric[0].value == f"${mine['cost_nano'].sum() / 1e9:,.2f}"
    assert page.markdown[0].value.startswith(f"**Cost of {key[:12]}… by month**")
    page = run_page("cost", demo, monkeypatch, range="all", payer="key", **{"only-key": "nobody"})
    assert not page.exception and "No request of the key nobody" in page.info[0].value


def test_amounts_below_a_cent_are_not_shown_as_nothing(both: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_mart(both) as mart:
        spent = costs.payers(mart, ALL, "model")["usd"].sum()
    assert 0 < spent < 0.01
    page = run_page("cost", both, monkeypatch, data="live", range="all")
    assert float(page.metric[0].value.removeprefix("$")) == pytest.approx(spent, rel=0.06)


def test_what_rose_is_of_the_last_day_of_the_range(
    demo: Lake, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = rows["started_at"].dt.date()
    failed = rows.filter(pl.col("error_type").is_not_null())["started_at"].dt.date()
    chosen = failed.value_counts(sort=True)["started_at"][0]
    monkeypatch.setenv("PORTOLAN_DATA_DIR", str(demo.root))
    page = AppTest.from_file(str(PAGES / "errors.py"), default_timeout=60)
    page.query_params["range"] = "custom"
    page.query_params["days"] = [f"{chosen - timedelta(days=6)}", f"{chosen}"]
    page.run()
    assert not page.exception
    assert f"Up to {chosen + timedelta(days=1)} 00:00 UTC" in page.main.caption[0].value
    assert page.dataframe[0].value["failed"].sum() == (failed == chosen).sum()
    assert set(page.dataframe[0].value["requests"]) == {(day == chosen).sum()}


def test_layers_have_every_amount_in_one_order() -> None:
    days = [date(2026, 1, 1)] * 4 + [date(2026, 1, 2)] * 2
    frame = pl.DataFrame(
        {"period": days, "name": ["a", "b", "c", None, "b", "c"], "value": [5, 3, 1, 2, 9, 1], "requests": [1] * 6}
    )
    layers = largest(frame, 2)
    assert layers.rows() == [
        (date(2026, 1, 1), "b", 3, 1, 0), (date(2026, 1, 1), "a", 5, 1, 1), (date(2026, 1, 1), "others", 3, 2, 2),
        (date(2026, 1, 2), "b", 9, 1, 0), (date(2026, 1, 2), "others", 1, 1, 2),
    ]  # fmt: skip
    assert UNNAMED in set(largest(frame, 10)["name"])


def test_a_forecast_continues_the_pace_of_the_last_days(demo: Lake, rows: pl.DataFrame) -> None:
    today = END.date()
    with open_mart(demo.demo) as mart:
        found = costs.forecast(mart, today)
    day, usd = rows["started_at"].dt.date(), rows["cost_nano"] / 1e9
    month = usd.filter((day >= today.replace(day=1)) & (day <= today)).sum()
    pace = usd.filter((day >= today - timedelta(days=7)) & (day < today)).sum() / 7
    before = usd.filter((day >= today.replace(day=1)) & (day < today)).sum()
    assert found.so_far == pytest.approx(month)
    assert found.month == pytest.approx(before + pace * 13)


def test_a_switch_costs_the_same_tokens_at_the_other_models_price(demo: Lake, rows: pl.DataFrame) -> None:
    old, new = "anthropic/claude-sonnet-4", "google/gemini-2.5-flash"
    with open_mart(demo.demo) as mart:
        found = costs.switch(mart, ALL, old, new)
        assert costs.switch(mart, ALL, old, "nobody/none") is None
        same = costs.switch(mart, ALL, old, old)
    sums = {name: one for (name,), one in rows.group_by("model")}
    mine, other = sums[old], sums[new]
    reading = (other["cost_prompt_nano"].sum() + other["cost_cached_nano"].sum()) / other["prompt_tokens"].sum()
    writing = other["cost_completion_nano"].sum() / other["completion_tokens"].sum()
    then = (mine["prompt_tokens"].sum() * reading + mine["completion_tokens"].sum() * writing) / 1e9
    assert found == pytest.approx((mine["cost_nano"].sum() / 1e9, then))
    assert same is not None and same[0] == pytest.approx(same[1])


def test_caches_save_what_their_tokens_would_have_cost(demo: Lake, rows: pl.DataFrame) -> None:
    with open_mart(demo.demo) as mart:
        found = costs.cache_savings(mart, ALL)
    served = rows.filter(pl.col("provider").is_not_null() & pl.col("prompt_tokens").is_not_null())
    sums = served.group_by("model", "provider").agg(
        pl.col("cached_tokens", "prompt_tokens", "cost_prompt_nano", "cost_cached_nano").sum()
    )
    each = pl.col("cost_prompt_nano") / (pl.col("prompt_tokens") - pl.col("cached_tokens"))
    exact = sums.select((pl.col("cached_tokens") * each - pl.col("cost_cached_nano")).sum() / 1e9).item()
    assert found == pytest.approx(exact) and found > 0


def test_failed_requests_are_those_of_the_log(demo: Lake, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = rows.filter(pl.col("error_type").is_not_null())
    with open_mart(demo.demo) as mart:
        assert failures(mart, ALL)["value"].sum() == failed.height == kinds(mart, ALL)["requests"].sum()
        assert all_requests(mart, ALL) == rows.height
        until = END + timedelta(hours=1)
        found = {row["error"]: row for row in risen(mart, until, 1).to_dicts()}
    day = rows.filter(pl.col("started_at").is_between(until - timedelta(days=1), until))
    week = rows.filter(pl.col("started_at").is_between(until - timedelta(days=8), until - timedelta(days=1)))
    for error, row in found.items():
        now, before = ((part["error_type"] == error).sum() / part.height for part in (day, week))
        assert (row["share"], row["share_before"]) == (pytest.approx(now), pytest.approx(before))
        assert row["change"] == pytest.approx(now - before) and row["requests"] == day.height
    shown = run_page("errors", demo, monkeypatch, range="all")
    assert not shown.exception
    assert shown.metric[0].value == f"{failed.height:,}"
    assert [one.value.split("**")[1] for one in shown.markdown[:3]] == [
        "What rose in the last 24 hours", "Failed requests by month and error", "Where they failed",
    ]  # fmt: skip


def test_too_few_requests_have_no_change(demo: Lake) -> None:
    with open_mart(demo.demo) as mart:
        assert risen(mart, END, 1_000_000)["change"].null_count() == risen(mart, END, 1_000_000).height


@pytest.mark.parametrize(("name", "words"), [("cost", "Nothing was spent"), ("errors", "No request failed")])
def test_data_without_anything_to_show_say_so(
    tmp_path: Path, name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = records(30)
    for row in answered:
        row.status, row.error_type, row.cost_nano, row.charges = 200, None, 0, []
        row.cost_prompt_nano = row.cost_completion_nano = row.cost_cached_nano = 0
    lake = Lake(tmp_path)
    fill(lake, answered)
    build_mart(lake)
    shown = run_page(name, lake, monkeypatch)
    assert not shown.exception
    assert words in shown.info[0].value
