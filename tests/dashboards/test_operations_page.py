"""The page on operations: requests a second, overhead, waits, losses and freshness against what was logged."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import polars as pl
import pytest

from dashboards.installation import SILENT_S
from dashboards.queries.operations import (
    BUSIEST,
    IN_LAKE,
    IN_MARTS,
    LEVELS,
    LONGEST_OF,
    MEAN,
    mart_files,
    overhead,
    refresh_table,
    set_aside,
    set_aside_ids,
    traffic,
    traffic_by_hour,
    waits_over_time,
    workers,
)
from dashboards.time_range import TimeRange
from data.lake import Lake
from data.marts import open_mart
from data.refreshes import Refresh, append_refresh
from data.worker_reports import WorkerReport, read_reports
from pipelines.build import build_mart
from pipelines.marts.catalogue import MARTS
from router_service.telemetry import worker_board
from tests.dashboards.conftest import FAILED, run_page, titles
from tests.pipelines.test_marts import START_US, fill, records

pytestmark = pytest.mark.filterwarnings("ignore")
BEGIN, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 18, 15, tzinfo=UTC)
PROVIDER = "deepinfra"
REFRESHED = datetime(2026, 11, 17, 10, tzinfo=UTC)


def worker(name: str, **values: object) -> WorkerReport:
    made = {
        "worker": name, "pid": 1, "at": 1.0, "log_healthy": True, "written": 100, "dropped": 0, "waiting": 0,
        "unlogged": 0, "write_failures": 0, "refusals_unrecorded": 0, "policy_failures": 0, "policy_version": None,
        "catalogue_version": "c", "keys_known": 1, "keys_stale_reads": 0, "outages": [], "sharing": {},
    }  # fmt: skip
    return msgspec.convert(made | values, WorkerReport)


def refreshes() -> list[Refresh]:
    """Return four refreshes of two hours: one failed, one found nothing new."""
    found = [(0, True, True, 20, 10.0, 70.0), (20, True, True, 30, 14.0, 90.0), (40, False, False, 0, None, None),
             (80, True, True, 5, 40.0, 100.0), (100, True, False, 0, None, None)]  # fmt: skip
    return [
        Refresh(
            at=(REFRESHED + timedelta(minutes=minutes)).isoformat(), seconds=9.5, succeeded=succeeded, moved=moved,
            failed=() if succeeded else ("published_mart",), listed=succeeded, requests=requests, lake_wait_s=lake_s,
            marts_wait_s=marts_s,
        )
        for minutes, succeeded, moved, requests, lake_s, marts_s in found
    ]  # fmt: skip


@pytest.fixture(scope="module")
def mart(demo: Lake) -> duckdb.DuckDBPyConnection:
    return open_mart(demo.demo)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Return live data of which three requests are set aside, beside refreshes and the reports of two workers."""
    lake, rows = Lake(tmp_path_factory.mktemp("live")), records(300)
    for row in rows:
        row.overhead_us = 1500
    for row in rows[:3]:
        row.cost_prompt_nano = -1
    fill(lake, rows)
    build_mart(lake)
    for one in refreshes():
        append_refresh(lake, one)
    for report in (worker("a"), worker("b", dropped=2, unlogged=1, log_healthy=False)):
        (lake.health / f"server.{report.worker}.worker").write_bytes(msgspec.json.encode(report))
    (lake.health / "server.torn.worker").write_bytes(b"{")
    return lake


@pytest.mark.parametrize("filters", [(), (("provider", PROVIDER),)])
def test_requests_a_second_are_those_of_the_log(
    mart: duckdb.DuckDBPyConnection, rows: pl.DataFrame, filters: tuple[tuple[str, str], ...]
) -> None:
    mine = rows.filter((pl.col("started_at") >= BEGIN) & (pl.col("started_at") < END))
    if filters:
        mine = mine.filter(pl.col("provider") == PROVIDER)
    hour = pl.col("started_at").dt.truncate("1h").dt.replace_time_zone(None)
    counts = dict(mine.group_by(hour).agg(pl.len()).iter_rows())
    found = traffic_by_hour(mart, BEGIN, END, filters)
    assert found.height == (END - BEGIN) // timedelta(hours=1)
    assert dict(found.filter(pl.col("requests") > 0).select("hour", "requests").iter_rows()) == counts
    assert found["value"].sum() * 3600 == pytest.approx(mine.height)
    weekly = traffic(mart, "week", BEGIN, END, filters)
    last = weekly.filter(pl.col("period") == date(2026, 11, 16)).sort("name")
    since = datetime(2026, 11, 16)
    of_week = [count for moment, count in counts.items() if moment >= since]
    hours = (END.replace(tzinfo=None) - since) / timedelta(hours=1)
    assert last["name"].to_list() == [BUSIEST, MEAN]
    assert last["value"].to_list() == pytest.approx([max(of_week) / 3600, sum(of_week) / hours / 3600])
    assert last["requests"].to_list() == [max(of_week), sum(of_week)]


@pytest.mark.parametrize("unit", ["hour", "week", None])
def test_overhead_is_that_of_the_log(mart: duckdb.DuckDBPyConnection, rows: pl.DataFrame, unit: str | None) -> None:
    mine = rows.filter(
        (pl.col("started_at") >= BEGIN) & (pl.col("started_at") < END) & pl.col("provider").is_not_null()
    )
    found = overhead(mart, unit, BEGIN, END, ())  # type: ignore[arg-type]
    started = pl.col("started_at").dt.replace_time_zone(None)
    period = {"hour": started.dt.truncate("1h"), "week": started.dt.truncate("1w").dt.date()}.get(
        unit or "", pl.lit(date(2000, 1, 1))
    )
    for name, level in LEVELS.items():
        exact = mine.group_by(period.alias("period")).agg(
            (pl.col("overhead_us").sort().gather((pl.len() * level).ceil().cast(pl.Int64) - 1).first() / 1000),
            n=pl.len(),
        )
        of_level = found.filter(pl.col("name") == name).drop("name")
        assert {moment: (value, n) for moment, value, n in of_level.iter_rows()} == {
            moment: (pytest.approx(value, rel=0.011), n) for moment, value, n in exact.iter_rows()
        }


def test_waits_are_the_median_and_the_longest_of_each_hour() -> None:
    found = waits_over_time(refreshes(), "hour")
    first, second = REFRESHED.replace(tzinfo=None), REFRESHED.replace(tzinfo=None) + timedelta(hours=1)
    assert {(moment, name): (value, n) for moment, name, value, n in found.iter_rows()} == {
        (first, IN_LAKE): (12, 50), (first, f"{IN_LAKE}, {LONGEST_OF}"): (14, 50), (first, IN_MARTS): (80, 50),
        (first, f"{IN_MARTS}, {LONGEST_OF}"): (90, 50), (second, IN_LAKE): (40, 5), (second, IN_MARTS): (100, 5),
        (second, f"{IN_LAKE}, {LONGEST_OF}"): (40, 5), (second, f"{IN_MARTS}, {LONGEST_OF}"): (100, 5),
    }  # fmt: skip
    assert waits_over_time(refreshes(), "day")["value"].to_list() == [14, 40, 90, 100]
    assert waits_over_time([], "day").is_empty()
    assert refresh_table(refreshes())["result"].to_list() == [
        "nothing new", "new version", "failed", "new version", "new version"
    ]  # fmt: skip
    assert refresh_table(refreshes())["said"].to_list()[2] == "published_mart"


def test_workers_are_those_that_report(live: Lake) -> None:
    assert SILENT_S == worker_board.SILENT_S
    reports = read_reports(live)
    now = max(at for _, at in reports)
    assert workers(reports, now, SILENT_S).select("worker", "state", "lost", "unlogged").rows() == [
        ("a", "runs", 0, 0), ("b", "runs, cannot write its log", 2, 1)
    ]  # fmt: skip
    assert set(workers(reports, now + timedelta(hours=3), SILENT_S)["state"]) == {"ended or silent, for 3 h"}


def test_what_is_set_aside_and_what_marts_consist_of(live: Lake) -> None:
    whole = TimeRange(date(2026, 1, 1), date(2027, 1, 1), "day")
    with open_mart(live) as mart:
        aside, ids, files = set_aside(mart, whole), set_aside_ids(mart, whole), mart_files(mart)
    assert aside.select("name", "value").rows() == [("negative", 3)]
    assert set(ids["generation_id"]) == {row.generation_id for row in records(3)}
    assert files["mart"].to_list() == sorted(mart.name for mart in MARTS)
    arrivals = files.row(by_predicate=pl.col("mart") == "arrivals_hourly", named=True)
    assert arrivals["newest"] >= "2026-11-17" and arrivals["rows"] == len(
        {(START_US + n * 97_000_000) // 3_600_000_000 for n in range(3, 300)}
    )


def test_the_page_shows_a_live_installation(live: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run_page("operations", live, monkeypatch)
    assert not page.exception
    assert titles(page) == [
        "Records of the router's workers", "Requests a second by hour", "Router's overhead by hour, ms",
        "Requests by hour of day", "Time until a request can be read by hour, s",
        "Requests set aside by day and reason", "Requests that were set aside", "Freshness of each mart", "Refreshes",
    ]  # fmt: skip
    figures = {one.label: (one.value, one.delta) for one in page.metric}
    assert figures["Last refresh"][0] == "succeeded" and figures["It took"] == ("9.5 s", "nothing new")
    assert figures["Records lost"] == ("2", "of 202") and figures["Served unlogged"][0] == "1"
    assert figures["Requests"][0] == "297"
    assert "From 297 requests" in page.main.caption[-1].value
    page = run_page("operations", live, monkeypatch, hourly="false", grain="week", range="all")
    assert not page.exception and "Router's overhead by week, ms" in titles(page)


@pytest.mark.parametrize("query", [{}, {"range": "52 weeks"}, {"range": "all", "provider": PROVIDER}])
def test_the_page_shows_the_synthetic_market(
    demo: Lake, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = run_page("operations", demo, monkeypatch, **query)
    assert not page.exception
    unit = {"52 weeks": "week", "all": "month"}.get(query.get("range", ""), "hour")
    assert titles(page) == [
        f"Requests a second by {unit}", f"Router's overhead by {unit}, ms", "Requests by hour of day",
        "Freshness of each mart",
    ]  # fmt: skip
    assert any("The synthetic market has no router" in one.value for one in page.caption)
    page.session_state[f"requests-a-second-by-{unit}-drill"] = True
    page.run()
    assert not page.exception
    listed = next(one.value for one in page.dataframe if "ttft_s" in one.value.columns)
    assert len(listed) and ("provider" not in query or PROVIDER in set(listed["provider"]))


def test_a_failed_refresh_is_shown_although_nothing_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path).create()
    append_refresh(lake, refreshes()[2])
    page = run_page("operations", lake, monkeypatch)
    assert not page.exception
    assert page.metric[0].value == "failed"
    assert page.markdown[0].value == ":red[Last refresh: published mart]"
    assert "portolan refresh" in page.info[0].value


def test_other_data_are_shown_or_say_what_is_missing(
    both: Lake, empty: Lake, failed: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = run_page("operations", both, monkeypatch, data="both", range="30 days")
    assert not page.exception and page.metric[0].value == "none"
    assert any("No router has reported" in one.value for one in page.caption)
    assert any("is recorded that added requests" in one.value for one in page.caption)
    page = run_page("operations", both, monkeypatch, data="live", provider="nobody")
    assert not page.exception and "leave a filter out" in page.info[0].value
    page = run_page("operations", empty, monkeypatch)
    assert not page.exception and "portolan demo-data" in page.info[0].value
    page = run_page("operations", failed, monkeypatch)
    assert not page.exception and f"From {FAILED} requests" in page.main.caption[-1].value
    assert any("was answered by a provider" in one.value for one in page.caption)
