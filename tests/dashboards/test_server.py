"""Test what the server of the pages does before a browser asks: its first page, and the questions to a new version."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from dashboards import access
from data.lake import Lake
from pipelines.build import build_mart
from pipelines.marts.manifest import read_manifest
from pipelines.marts.publication import publish, write_version
from tests.dashboards.conftest import run_page
from tests.dashboards.site import serve_pages
from tests.pipelines.test_marts import fill, records
from tests.running import until

pytestmark = pytest.mark.filterwarnings("ignore")


def publish_again(lake: Lake) -> None:
    """Publish another version of the same marts."""
    manifest, candidate = read_manifest(lake), lake.marts / "candidate.tmp"
    write_version(lake, manifest, candidate)
    publish(lake, manifest, candidate)


def no_query(lakes: Any) -> Any:
    raise AssertionError("a question was asked of the marts")


def test_what_pages_have_asked_lately_is_known_of_a_new_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(tmp_path)
    fill(lake, records(30))
    build_mart(lake)
    monkeypatch.setattr(access, "_asked", {})
    assert not run_page("market", lake, monkeypatch).exception
    publish_again(lake)
    assert access.ask_again() == len(access._asked) > 3
    with monkeypatch.context() as changed:
        changed.setattr(access, "open_marts", no_query)
        assert not run_page("market", lake, monkeypatch).exception
        publish_again(lake)
        assert "was asked of the marts" in run_page("market", lake, monkeypatch).exception[0].value


def test_questions_of_long_ago_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(tmp_path)
    fill(lake, records(30))
    build_mart(lake)
    monkeypatch.setattr(access, "_asked", {})
    run_page("market", lake, monkeypatch)
    monkeypatch.setattr(access, "LATELY_S", 0.0)
    assert access.ask_again() == 0 and not access._asked


@pytest.mark.slow
def test_a_server_asks_before_any_browser_does(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    fill(lake, records(30))
    build_mart(lake)
    with serve_pages(lake.root) as site:

        def asked() -> int:
            with urlopen(f"{site}/_stcore/metrics") as response:
                found = re.search(r'"dashboards.access._answer".*result="miss"} (\d+)', response.read().decode())
            return int(found[1]) if found else 0

        until(lambda: asked() > 3, "the first page is run", 60)
        before = asked()
        publish_again(lake)
        until(lambda: asked() > before + 3, "a new version is asked the same", 60)
