"""Test on a running router what is lost, and what is said, when its data are deleted or replaced under it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from router_service.admission.keys import create_key, open_database
from router_service.telemetry.lookup import find_on_disk
from tests.fuzz.market import FaultyMarket, faulty_market, good
from tests.running import until


@pytest.fixture
def market(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[FaultyMarket]:
    """Start a router; a test may parametrize it with settings."""
    with faulty_market(tmp_path, {"ok": good}, **getattr(request, "param", {})) as opened:
        yield opened


def ask(market: FaultyMarket, key: str | None = None) -> httpx2.Response:
    """Send one request."""
    with market.client() as client:
        headers = {"authorization": f"Bearer {key or market.key}"}
        return client.post("/api/v1/chat/completions", json=market.body("ok", stream=False), headers=headers)


def health(market: FaultyMarket) -> httpx2.Response:
    """Return the response of ``/health``."""
    with market.client() as client:
        return client.get("/health")


def log_is(market: FaultyMarket, status: int) -> None:
    """Wait until the health has ``status`` and nothing waits that can be written."""
    until(lambda: health(market).status_code == status, f"the health answers {status}")


def block_log(market: FaultyMarket) -> None:
    """Put a file in the place of the log's folder."""
    shutil.rmtree(market.lake.log)
    market.lake.log.write_text("no folder")


def test_records_of_a_deleted_folder_are_written_again(market: FaultyMarket) -> None:
    """Read what was written to the deleted segment from its descriptor, so that no acknowledged request is lost."""
    ids = [ask(market).headers["x-generation-id"] for _ in range(5)]
    until(lambda: health(market).json()["log"]["waiting"] == 0, "the records are written")
    shutil.rmtree(market.lake.log)
    ids += [ask(market).headers["x-generation-id"] for _ in range(5)]
    until(lambda: all(find_on_disk(market.lake, one) for one in ids), "all records are on disk")
    log_is(market, 200)


def test_requests_are_served_without_a_log_and_say_so(market: FaultyMarket) -> None:
    """Their records wait, and are written when the fault goes away."""
    block_log(market)
    log_is(market, 503)
    response = ask(market)
    assert response.status_code == 200 and response.headers["x-portolan-logged"] == "false"
    assert health(market).json()["status"] == "log_unwritable" and health(market).json()["log"]["unlogged"] == 1
    with market.client() as client:
        assert "requests_unlogged_total 1.0" in client.get("/metrics").text
    market.lake.log.unlink()
    log_is(market, 200)
    again = ask(market)
    assert "x-portolan-logged" not in again.headers
    found = response.headers["x-generation-id"], again.headers["x-generation-id"]
    until(lambda: all(find_on_disk(market.lake, one) for one in found), "both records are on disk")


@pytest.mark.parametrize("market", [{"PORTOLAN_LOG_REQUIRED": "true"}], indirect=True)
def test_a_required_log_refuses_before_dispatch(market: FaultyMarket) -> None:
    assert ask(market).status_code == 200
    block_log(market)
    log_is(market, 503)
    served = sum(market.provider.served.values())
    response = ask(market)
    assert response.status_code == 503 and "request log cannot be written" in response.json()["error"]["message"]
    assert response.headers["retry-after"] == "1"
    assert sum(market.provider.served.values()) == served
    market.lake.log.unlink()
    until(lambda: ask(market).status_code == 200, "requests are served again")


def test_keys_outlive_their_database_and_follow_another_one(market: FaultyMarket) -> None:
    """A deleted or corrupt database is reported, and the last keys stay; a new one of the same name is read."""
    assert ask(market).status_code == 200
    database = market.lake.database
    for file in database.parent.glob(f"{database.name}*"):
        file.unlink()
    until(lambda: health(market).json()["keys"]["stale_reads"] > 0, "the missing database is noticed")
    assert ask(market).status_code == 200
    assert not database.exists()
    database.write_bytes(b"this is no database" * 100)
    before = health(market).json()["keys"]["stale_reads"]
    until(lambda: health(market).json()["keys"]["stale_reads"] > before + 1, "the corrupt database is noticed")
    assert ask(market).status_code == 200
    draft = database.with_suffix(".new")
    engine = open_database(draft)
    key = create_key(engine, "another")
    # The last connection writes the log of the database into its file.
    engine.dispose()
    for file in database.parent.glob(f"{database.name}*"):
        file.unlink()
    draft.replace(database)
    until(lambda: ask(market, key).status_code == 200, "the new key is known")
    until(lambda: ask(market).status_code == 401, "the old key is not")
    assert "Traceback" not in market.running.output
