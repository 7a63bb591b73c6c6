"""Single requests: which ones filters keep, the explanation of one, and the way to them from a chart."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from dashboards.analytics.lake_rows import LONGEST, open_rows, query_rows
from dashboards.queries.requests import MOST, explanation, moments_of, newest, record
from dashboards.request_list import RequestsOf
from dashboards.time_range import TimeRange
from data.lake import Lake
from tests.dashboards.conftest import END, FAILED, run_page
from tests.pipelines.test_marts import fill, records

pytestmark = pytest.mark.filterwarnings("ignore")
BEGIN, STOP = datetime(2026, 10, 20, tzinfo=UTC), END + timedelta(hours=1)
KEPT: dict[str, tuple[tuple[tuple[str, str], ...], pl.Expr]] = {
    "all": ((), pl.lit(value=True)),
    "failed": ((("status", "failed"),), pl.col("error_type").is_not_null()),
    "answered": ((("status", "answered"), ("model", "openai/gpt-5")), (pl.col("model") == "openai/gpt-5")
                 & pl.col("error_type").is_null()),
    "tried": ((("provider", "deepinfra"), ("status", "failed")), pl.col("error_type").is_not_null()
              & pl.col("attempts").list.eval(pl.element().struct.field("provider") == "deepinfra").list.any()),
    "labels": ((("category", "programming"), ("language", "de"), ("tools", "offered")),
               (pl.col("category") == "programming") & (pl.col("natural_language") == "de") & (pl.col("tools") > 0)),
    "error": ((("error", "timeout"), ("country", "US")),
              (pl.col("error_type") == "timeout") & (pl.col("country") == "US")),
}  # fmt: skip


@pytest.fixture(scope="module")
def lake_rows(demo: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_rows([demo.demo], BEGIN, STOP) as connection:
        yield connection


@pytest.mark.parametrize("case", KEPT)
def test_the_newest_requests_are_those_that_the_filters_keep(
    lake_rows: duckdb.DuckDBPyConnection, rows: pl.DataFrame, case: str
) -> None:
    filters, condition = KEPT[case]
    kept = rows.filter((pl.col("started_at") >= BEGIN) & (pl.col("started_at") < STOP), condition)
    exact = kept.sort("started_at", descending=True).head(MOST)
    found = newest(lake_rows, filters, BEGIN, STOP)
    assert found["id"].to_list() == exact["generation_id"].to_list()
    assert found["cost_usd"].to_list() == [pytest.approx(nano / 1e9) for nano in exact["cost_nano"]]
    if case == "all":
        assert found.height == MOST


def test_one_request_is_explained(lake_rows: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    again = rows.filter((pl.col("started_at") >= BEGIN) & (pl.col("attempts").list.len() == 2)).row(0, named=True)
    found = record(lake_rows, again["generation_id"])
    assert found is not None and found["attempts"][1]["provider"] == again["attempts"][1]["provider"]
    said = explanation(found, {again["attempts"][0]["provider"]: "The First"})
    assert said.summary.startswith(f"{again['model']} was asked for;") and "The First was tried first" in said.summary
    assert said.attempts["error"].to_list() == [one["error_type"] for one in again["attempts"]]
    assert said.endpoints["probability"].sum() == pytest.approx(1)
    assert "Policy price" in said.decision
    assert record(lake_rows, "gen-nobody") is None


def test_the_routers_own_ids_say_when_they_arrived() -> None:
    begin, end = moments_of("gen-1763000000-abc") or (END, END)
    assert begin < datetime.fromtimestamp(1763000000, UTC) < end
    assert moments_of("gen-demo-5") is None


def test_single_requests_are_read_of_the_last_days_of_a_range() -> None:
    year = RequestsOf(TimeRange(date(2026, 1, 1), date(2027, 1, 1), "month"))
    begin, end = year.recent.moments
    assert end - begin == LONGEST and end == datetime(2027, 1, 1, tzinfo=UTC)


def test_the_page_lists_and_explains_what_its_address_says(both: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run_page("single_requests", both, monkeypatch, data="demo", status="failed", range="30 days")
    assert not page.exception
    ids = page.dataframe[0].value["id"].to_list()
    assert ids and page.dataframe[0].value["error"].notna().all()
    page = run_page("single_requests", both, monkeypatch, data="demo", id=ids[0])
    assert not page.exception
    assert page.markdown[0].value == f"**Why {ids[0]} went where it went**"
    live = run_page("single_requests", both, monkeypatch, data="live", range="all")
    assert not live.exception and len(live.dataframe[0].value) == MOST
    # The id says when the request arrived, whatever the range.
    first = live.dataframe[0].value["id"].iloc[-1]
    page = run_page("single_requests", both, monkeypatch, data="both", range="1 day", id=first)
    assert not page.exception and page.markdown[0].value.startswith(f"**Why {first}")
    page = run_page("single_requests", both, monkeypatch, data="live", id="gen-none")
    assert "No request has the id" in page.info[0].value


@pytest.mark.parametrize(("name", "query", "drill"), [
    ("market", {}, "leaders-by-author"),
    ("rankings", {"category": "programming", "range": "30 days"}, "models-by-tokens-with-category-programming"),
    ("categories", {"of": "Language", "language": "German (de)"}, "price-against-use-in-german-de"),
    ("model", {"model": "openai/gpt-5"}, "providers-side-by-side"),
    ("providers", {}, "429s-by-week-and-provider"), ("cost", {}, "cost-by-model"), ("errors", {}, "where-they-failed"),
])  # fmt: skip
def test_each_chart_drills_to_its_requests(
    demo: Lake, rows: pl.DataFrame, name: str, query: dict[str, str], drill: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = run_page(name, demo, monkeypatch, **query)
    before = len(page.dataframe)
    page.session_state[f"{drill}-drill"] = True
    page.run()
    assert not page.exception
    listed = next(one.value for one in page.dataframe if "ttft_s" in one.value.columns and "id" in one.value.columns)
    assert len(page.dataframe) == before + 1 and 0 < len(listed) <= MOST
    mine = rows.filter(pl.col("generation_id").is_in(listed["id"].to_list()))
    if name == "rankings":
        assert set(mine["category"]) == {"programming"}
    if name == "categories":
        assert set(mine["natural_language"]) == {"de"}
    if name == "model":
        assert set(mine["model"]) == {"openai/gpt-5"}
    if name == "errors":
        assert mine["error_type"].null_count() == 0


def test_a_damaged_file_and_one_that_is_removed_are_left_out(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    fill(lake, records(FAILED))
    (good,) = lake.requests.glob("*/*.parquet")
    begin = datetime.fromisoformat(good.parent.name.removeprefix("day=")).replace(tzinfo=UTC)
    end = begin + timedelta(days=1)

    def ids(rows: duckdb.DuckDBPyConnection) -> list[str]:
        return newest(rows, (), begin, end)["id"].to_list()

    whole = query_rows([lake], begin, end, ids)
    assert len(whole) == FAILED
    damaged, removed = (good.with_name(f"{name}.parquet") for name in ("damaged", "removed"))
    content = bytearray(good.read_bytes())
    content[200 : len(content) // 2] = bytes(len(content) // 2 - 200)
    damaged.write_bytes(content)
    shutil.copy(good, removed)

    def remove_first(rows: duckdb.DuckDBPyConnection) -> list[str]:
        removed.unlink(missing_ok=True)
        return ids(rows)

    assert query_rows([lake], begin, end, remove_first) == whole
    assert query_rows([lake], begin, end, ids) == whole


def test_data_without_requests_say_so(empty: Lake, failed: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run_page("single_requests", empty, monkeypatch)
    assert not page.exception and "portolan demo-data" in page.info[0].value
    page = run_page("single_requests", failed, monkeypatch, status="answered")
    assert not page.exception and "No request of" in page.main.caption[0].value
    page = run_page("single_requests", failed, monkeypatch)
    assert len(page.dataframe[0].value) == FAILED
