"""Test the life of keys on a running router of two workers: revoked, expired, rotated, listed, audited."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.lake import Lake
from portolan.stack import OWN_KEY_FILE, own_key
from router_service.admission.key_changes import read_events, revoke
from router_service.admission.keys import open_database, read_keys
from tests.fuzz.market import FaultyMarket, faulty_market, good
from tests.running import portolan, until


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyMarket]:
    with faulty_market(tmp_path_factory.mktemp("keys"), {"ok": good}, "--workers", "2") as opened:
        yield opened


def keys(market: FaultyMarket, *arguments: str) -> str:
    """Run ``portolan keys`` and return what it prints."""
    done = portolan("keys", *arguments, "--data-dir", str(market.lake.root))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def status(market: FaultyMarket, key: str) -> int:
    """Return the status of a request with ``key`` on a new connection, which any worker may take."""
    with market.client() as client:
        return client.get("/api/v1/key", headers={"authorization": f"Bearer {key}"}).status_code


def follows(market: FaultyMarket, key: str, wanted: int) -> None:
    """Wait until ten requests in a row have the status: all workers have followed then."""
    until(lambda: all(status(market, key) == wanted for _ in range(10)), f"status {wanted}")


def test_a_revoked_key_is_refused_by_all_workers(market: FaultyMarket) -> None:
    key = keys(market, "create", "--name", "revoked")
    follows(market, key, 200)
    assert "is revoked" in keys(market, "revoke", "revoked")
    follows(market, key, 401)
    assert "revoked, since" in keys(market, "list") and ", revoked: " in keys(market, "list")


def test_a_key_expires_and_its_end_can_be_moved(market: FaultyMarket) -> None:
    key = keys(market, "create", "--name", "expiring", "--expires-in", "30d")
    follows(market, key, 200)
    keys(market, "expire", "expiring", "--in", "0s")
    follows(market, key, 401)
    assert ", expired " in keys(market, "list")
    keys(market, "expire", "expiring", "--in", "never")
    follows(market, key, 200)
    done = portolan("keys", "expire", "expiring", "--in", "soon", "--data-dir", str(market.lake.root))
    assert done.returncode == 2 and "write 45s, 90m, 12h or 30d" in done.stderr


def test_a_rotated_key_has_the_rules_of_the_old_one(market: FaultyMarket) -> None:
    """The old key serves for its grace, and the name means the new one afterwards."""
    old = keys(market, "create", "--name", "rotated", "--policy", "zdr=true")
    new = keys(market, "rotate", "rotated", "--grace", "1h")
    follows(market, old, 200)
    follows(market, new, 200)
    assert keys(market, "list").count("zdr=true") == 2
    newer = keys(market, "rotate", f"{new[:12]}...{new[-3:]}", "--grace", "0s")
    follows(market, new, 401)
    follows(market, newer, 200)


def test_the_last_use_is_listed_and_changes_are_audited(market: FaultyMarket) -> None:
    key = keys(market, "create", "--name", "used")
    follows(market, key, 200)
    until(lambda: any(one.name == "used" and one.last_used_at for one in known(market)), "its use is written")
    lines = keys(market, "audit").splitlines()
    assert "create" in lines[0] and key[-3:] in lines[0] and key not in keys(market, "audit")


def known(market: FaultyMarket):  # type: ignore[no-untyped-def]
    """Return the keys of the database."""
    return read_keys(open_database(market.lake.database))


def test_portolan_up_has_one_key(tmp_path: Path) -> None:
    """It is the same at each start, is readable for its owner alone, and another one once it was revoked."""
    first = own_key(tmp_path)
    assert own_key(tmp_path) == first
    assert stat.S_IMODE((tmp_path / OWN_KEY_FILE).stat().st_mode) == 0o600
    engine = open_database(Lake(tmp_path).database)
    revoke(engine, read_keys(engine)[0])
    assert own_key(tmp_path) != first
    assert [event.action for event in read_events(engine, 9)] == ["create", "revoke", "create"]
