"""Test that Dagster's web server answers for known hosts alone."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from pipelines.webserver import HOSTS_VARIABLE, KnownHosts, known_hosts


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv(HOSTS_VARIABLE, "data.example, ,Other.example")
    served = Starlette(routes=[Route("/", lambda request: PlainTextResponse("runs"))])
    with TestClient(KnownHosts(served, known_hosts())) as client:
        yield client


def ask(client: TestClient, **headers: str) -> httpx2.Response:
    return client.get("/", headers=headers)  # type: ignore[return-value]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "localhost"},
        {"host": "LOCALHOST:3000"},
        {"host": "127.0.0.1:3000", "origin": "http://127.0.0.1:3000"},
        {"host": "[::1]:3000", "origin": "http://localhost:8501"},
        {"host": "data.example", "origin": "https://data.example"},
        {"host": "other.example"},
    ],
)
def test_known_hosts_are_served(client: TestClient, headers: dict[str, str]) -> None:
    assert ask(client, **headers).text == "runs"


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example"},
        {"host": "127.0.0.1.rebound.example"},
        {"host": "localhost", "origin": "http://rebound.example"},
        {"host": "localhost", "origin": "null"},
        {"host": "localhost", "origin": "http://localhost@rebound.example"},
        {"host": "data.example.rebound.example"},
        {"host": "[::1"},
        {"host": ""},
    ],
)
def test_other_hosts_and_pages_are_refused(client: TestClient, headers: dict[str, str]) -> None:
    response = ask(client, **headers)
    assert response.status_code == 403 and HOSTS_VARIABLE in response.text
