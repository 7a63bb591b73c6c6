"""Ask the analytics API through a router, with the official SDK: two processes, keys, formats and faults."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import httpx2
import polars as pl
import pytest
from openrouter import OpenRouter
from openrouter.errors import OpenRouterError
from openrouter.utils import RetryConfig
from starlette.testclient import TestClient

from dashboards.analytics.app import AnalyticsOptions, create_analytics_app
from data.lake import Lake
from data.record.lake_files import listing
from lab.market.write import fill_demo_lake
from pipelines.build import build_mart
from router_service.admission.key_changes import create_recorded
from router_service.admission.keys import NewKey, hash_key, open_database
from tests.running import Running, answers, free_port, until

ONCE = RetryConfig("none", None, False)  # type: ignore[arg-type]
TOKEN = "a secret of the test"


class Served(NamedTuple):
    """Hold a router with analytics, its lake, and two keys: one for management, and one with requests of its own."""

    url: str
    analytics: str
    lake: Lake
    management: str
    own: str
    running: Running

    def sdk(self, key: str) -> OpenRouter:
        return OpenRouter(api_key=key, server_url=f"{self.url}/api/v1", retry_config=ONCE)

    def get(self, path: str, key: str | None = None, **fields: str) -> httpx2.Response:
        headers = {"authorization": f"Bearer {key or self.management}"}
        return httpx2.get(f"{self.url}/api/v1{path}", headers=headers, params=fields, timeout=60)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("analytics")
    lake, end = Lake(folder / "data").create(), datetime.now(UTC)
    fill_demo_lake(lake, end, 2, 2_000)
    database = open_database(lake.database)
    management, own = (create_recorded(database, NewKey(name, management=name == "all")) for name in ("all", "own"))
    # One of the market's keys becomes one that the test has.
    file = listing(lake).files[-1].path
    rows = pl.read_parquet(file)
    rows.with_columns(
        key_hash=pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit(hash_key(own))).otherwise(pl.col("key_hash"))
    ).write_parquet(file)
    build_mart(lake, end)
    ports = free_port(), free_port()
    url, analytics = (f"http://127.0.0.1:{port}" for port in ports)
    where = ("--data-dir", str(lake.root))
    secret = {"PORTOLAN_ANALYTICS_TOKEN": TOKEN}
    with (
        Running(folder / "analytics.log", "analytics", "--port", str(ports[1]), *where, **secret) as running,
        Running(
            folder / "router.log", "serve", "--port", str(ports[0]), *where, PORTOLAN_ANALYTICS_URL=analytics, **secret
        ),
    ):
        until(lambda: answers(f"{url}/health"), "the router serves")
        until(lambda: _status(f"{analytics}/analytics/meta") == 401, "the analytics process serves")
        yield Served(url, analytics, lake, management, own, running)


def _status(url: str) -> int:
    try:
        return httpx2.get(url, timeout=5).status_code
    except httpx2.TransportError:
        return 0


def rows_of(served: Served) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(one.path) for one in listing(served.lake).files], how="diagonal_relaxed")


def test_the_sdk_reads_every_answer(served: Served) -> None:
    sdk = served.sdk(served.management)
    meta = sdk.analytics.get_analytics_meta().data
    assert {"request_count", "p99_latency"} <= {one.name for one in meta.metrics} and len(meta.operators) == 8
    end = datetime.now(UTC)
    found = sdk.analytics.query_analytics(
        metrics=["request_count", "total_usage"],
        dimensions=["model"],
        granularity="week",
        time_range={"start": end - timedelta(days=70), "end": end},
        order_by={"field": "request_count", "direction": "desc"},
    )
    assert found.data.metadata.row_count == len(found.data.data) > 0 and not found.data.metadata.truncated
    activity = sdk.analytics.get_user_activity().data
    assert activity and all(one.model == one.model_permaslug for one in activity)
    ranking = sdk.datasets.get_rankings_daily()
    assert ranking.data and ranking.meta.version == "v1"
    apps = sdk.datasets.get_app_rankings(sort="trending")
    assert apps is not None and apps.result.data[0].rank == 1
    costs = sdk.datasets.get_session_cost(limit=5)
    assert costs is not None and costs.result.meta.version == "v1"
    tasks = sdk.classifications.get_task_classifications().data
    assert tasks.window_days == 7 and sum(one.usage_share for one in tasks.macro_categories) == pytest.approx(1)


def test_a_key_sees_its_own_requests_and_management_sees_all(served: Served) -> None:
    rows, end = rows_of(served), datetime.now(UTC)
    query = {
        "metrics": ["request_count"],
        "time_range": {"start": (end - timedelta(days=90)).isoformat(), "end": end.isoformat()},
    }
    counts = {}
    for name in ("management", "own"):
        headers = {"authorization": f"Bearer {getattr(served, name)}"}
        body = httpx2.post(f"{served.url}/api/v1/analytics/query", json=query, headers=headers, timeout=60).json()
        counts[name] = body["data"]["data"][0]["request_count"]
    mine = rows.filter(pl.col("key_hash") == hash_key(served.own)).height
    assert counts == {"management": rows.height, "own": mine} and mine > 0
    keys = [served.get("/key", key).json()["data"]["is_management_key"] for key in (served.management, served.own)]
    assert keys == [True, False]
    other = served.get("/activity", served.own, api_key_hash="f" * 64)
    assert other.status_code == 404 and "management key" in other.json()["error"]["message"]
    assert served.get("/activity", "sk-or-v1-none").status_code == 401


def test_rows_come_as_csv_and_as_parquet(served: Served) -> None:
    rows = served.get("/datasets/rankings-daily").json()["data"]
    written = served.get("/datasets/rankings-daily", format="csv")
    assert written.headers["content-type"].startswith("text/csv")
    assert list(csv.DictReader(io.StringIO(written.text))) == rows
    packed = served.get("/datasets/rankings-daily", format="parquet")
    assert pl.read_parquet(io.BytesIO(packed.content)).to_dicts() == rows
    tags = pl.read_parquet(io.BytesIO(served.get("/classifications/task", format="parquet").content))
    assert {"tag", "usage_share"} <= set(tags.columns)


@pytest.mark.parametrize("prefix", ["/api/v1", "/v1"])
@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/activity?date=soon", 400, "date must be a day"),
        ("/activity?user_id=u", 400, "use api_key_hash"),
        ("/datasets/app-rankings?limit=1000", 400, "limit: Input should be less than or equal to 100"),
        ("/datasets/app-rankings?category=coding", 400, "Apps have no categories here"),
        ("/datasets/rankings-daily?period=year", 400, "period: Input should be"),
        ("/datasets/rankings-daily?format=xml", 400, "format: Input should be"),
        ("/datasets/rankings-daily?data=demo", 404, "No mart has been published yet"),
        ("/classifications/task?window=30d", 400, "window: Input should be '7d'"),
        ("/datasets/other", 404, "There is nothing at GET"),
    ],
)
def test_a_wrong_question_gets_the_envelope(served: Served, prefix: str, path: str, status: int, sentence: str) -> None:
    headers = {"authorization": f"Bearer {served.management}"}
    found = httpx2.get(f"{served.url}{prefix}{path}", headers=headers, timeout=60)
    error = found.json()["error"]
    assert (found.status_code, error["code"]) == (status, status) and sentence in error["message"]
    assert error["metadata"]["error_type"]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "The body is not valid JSON at character 1: "),
        (b"[]", "The body must be a JSON object"),
        (b'{"metrics": []}', "metrics: List should have at least 1 item"),
        (b'{"metrics": ["request_count"], "limit": 0}', "limit: Input should be greater than or equal to 1"),
        (b'{"metrics": ["request_count"], "colour": 1}', "colour: Extra inputs are not permitted"),
        (b'{"metrics": ["' + b"x" * 300_000 + b'"]}', "bytes"),
    ],
)
def test_a_malformed_query_gets_the_envelope(served: Served, body: bytes, sentence: str) -> None:
    headers = {"authorization": f"Bearer {served.management}"}
    found = httpx2.post(f"{served.url}/api/v1/analytics/query", content=body, headers=headers, timeout=60)
    assert found.status_code in (400, 413), found.text
    assert sentence in found.json()["error"]["message"]


def test_the_process_answers_nobody_but_the_router(served: Served) -> None:
    for headers in ({}, {"x-portolan-analytics-token": "wrong"}, {"x-portolan-analytics-scope": "all"}):
        assert httpx2.get(f"{served.analytics}/activity", headers=headers).status_code == 401


def test_a_router_without_analytics_says_how_to_get_them(served: Served, tmp_path: Path) -> None:
    """First the process is ended, then a router is asked that never had one."""
    served.running.process.kill()
    served.running.process.wait(30)
    gone = served.get("/activity")
    assert gone.status_code == 503 and "does not answer" in gone.json()["error"]["message"]
    with pytest.raises(OpenRouterError):
        served.sdk(served.management).analytics.get_analytics_meta()
    port, key = free_port(), create_recorded(open_database(Lake(tmp_path).create().database), NewKey("a"))
    with Running(tmp_path / "output", "serve", "--port", str(port), "--data-dir", str(tmp_path)):
        until(lambda: answers(f"http://127.0.0.1:{port}/health"), "the router serves")
        found = httpx2.get(
            f"http://127.0.0.1:{port}/api/v1/analytics/meta", headers={"authorization": f"Bearer {key}"}, timeout=60
        )
    assert found.status_code == 404 and "start `portolan analytics`" in found.json()["error"]["message"]


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:1", 200), ("127.0.0.1:1", 200), ("[::1]:1", 200), ("evil.example", 400), ("127.0.0.1.evil", 400)],
)
def test_without_a_token_other_hosts_get_nothing(tmp_path: Path, host: str, status: int) -> None:
    """A page on the web may have a name that resolves to loopback."""
    client = TestClient(create_analytics_app(AnalyticsOptions(Lake(tmp_path))))
    assert client.get("/analytics/meta", headers={"host": host}).status_code == status
