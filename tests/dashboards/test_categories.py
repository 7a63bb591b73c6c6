"""The page on categories: shares, leads, prices and profiles against the requests themselves."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from dashboards.queries.categories import leads, prices, profiles, with_author
from dashboards.queries.slices import FIELDS, MODEL, Slice, history
from data.lake import Lake
from data.marts import open_mart
from tests.dashboards.conftest import END, FAILED, run_page, titles

pytestmark = pytest.mark.filterwarnings("ignore")
BEGIN, STOP = datetime(2026, 8, 3, tzinfo=UTC), END + timedelta(hours=1)


@pytest.mark.parametrize("of", ["category", "tag", "language", "code"])
def test_tokens_and_cost_of_a_value_are_those_of_its_requests(demo: Lake, rows: pl.DataFrame, of: str) -> None:
    with open_mart(demo.demo) as mart:
        found = with_author(history(mart, Slice(MODEL, across=of), "month", BEGIN, STOP))
    column = FIELDS[of].column
    kept = rows.filter((pl.col("started_at") >= BEGIN) & (pl.col("started_at") < STOP)).drop_nulls(column)
    tokens = pl.col("prompt_tokens").fill_null(0) + pl.col("completion_tokens").fill_null(0)
    exact = kept.group_by(column, "author").agg(tokens.sum(), pl.len(), pl.col("cost_nano").sum() / 1e9)
    got = found.group_by("value", "author").agg(pl.col("tokens", "requests", "cost_usd").sum())
    assert {(row[0], row[1]): row[2:] for row in got.iter_rows()} == {
        (row[0], row[1]): (row[2], row[3], pytest.approx(row[4])) for row in exact.iter_rows()
    }
    priced = prices(found)
    one = priced.row(0, named=True)
    mine = kept.filter(pl.col("model") == one["model"])
    assert one["usd_per_million"] == pytest.approx(mine["cost_nano"].sum() / 1e3 / mine.select(tokens.sum()).item())


def lead_rows(*rows: tuple[int, str, str, int, int]) -> pl.DataFrame:
    made = [(date(2026, month, 1), value, name, tokens, n) for month, value, name, tokens, n in rows]
    return pl.DataFrame(made, schema=["period", "value", "model", "tokens", "requests"], orient="row")


def test_a_lead_is_unbroken_up_to_the_last_period_that_has_ended() -> None:
    rows = lead_rows(
        (1, "x", "a", 5, 30), (2, "x", "b", 6, 20), (2, "x", "a", 4, 20), (3, "x", "a", 99, 3),
        (4, "x", "b", 30, 30), (4, "x", "a", 10, 10), (5, "x", "a", 99, 99), (1, "y", "a", 1, 1),
    )  # fmt: skip
    found = leads(rows, "model", "month", date(2026, 5, 20), 20)
    # March has too few requests, and May is running.
    assert found.rows() == [("x", "b", date(2026, 2, 1), 0.75, "a", 253, 212)]
    assert leads(rows, "model", "month", date(2026, 6, 1), 20)["leader"].to_list() == ["a"]


def test_a_profile_is_the_mix_of_an_author() -> None:
    rows = lead_rows((1, "x", "a", 30, 3), (2, "x", "a", 30, 3), (1, "y", "a", 40, 4), (1, "y", "b", 5, 1))
    found = profiles(rows.rename({"model": "author"}), 5, 5)
    assert found.rows() == [("a", "x", 0.6, 60, 6), ("a", "y", 0.4, 40, 4), ("b", "y", 1.0, 5, 1)]


@pytest.mark.parametrize("query", [
    {"data": "demo", "range": "all"},
    {"data": "demo", "of": "Language", "language": "Chinese (zh)", "leaders": "author"},
    {"data": "both", "of": "Programming language", "code": "python", "grain": "month"},
])  # fmt: skip
def test_the_page_shows_what_its_address_says(
    both: Lake, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = run_page("categories", both, monkeypatch, **query)
    assert not page.exception
    label, grain = query.get("of", "Category").lower(), query.get("grain", "month" if "range" in query else "week")
    value = query.get("language", query.get("code", "programming"))
    assert titles(page) == [
        f"Share of tokens by {grain} and {label}", f"Who leads each {label}, and since when",
        f"Share of {value} by {grain} and {query.get('leaders', 'model')}", f"Price against use in {value}",
        f"What authors are used for, by {label}",
    ]  # fmt: skip


def test_data_without_labels_say_so(both: Lake, empty: Lake, failed: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run_page("categories", both, monkeypatch, data="live")
    assert not page.exception and "PORTOLAN_CATEGORY_SHARE" in page.info[0].value
    page = run_page("categories", empty, monkeypatch)
    assert not page.exception and "portolan demo-data" in page.info[0].value
    page = run_page("categories", failed, monkeypatch)
    assert not page.exception and f"From {FAILED} requests" in page.main.caption[-1].value
