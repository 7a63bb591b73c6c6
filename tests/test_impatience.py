"""Test that a client's own deadline falls back at once and does not affect the endpoint for other clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.schema import CLIENT_DEADLINE
from tests.conftest import House, open_house
from tests.test_fallback import CHAT, body

ORDER = {"order": ["groq", "deepinfra"]}
EJECTED = -5
# Three timeouts in a row eject an endpoint; this is one more.
ENOUGH = 4


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return a router whose timeouts lie between the shorter and the longer client deadlines of these tests."""
    with open_house(tmp_path, ttft_timeout=0.6, answer_timeout=0.6, stall_timeout=0.6) as opened:
        yield opened


def ask(house: House, stream: bool, **provider: Any) -> list[str]:
    """Send ``ENOUGH`` requests and return the text of each response."""
    with house.client as client:
        # Each request is a conversation of its own, so that stickiness does not apply.
        bodies = [body(stream, user=str(number), provider=ORDER | provider) for number in range(ENOUGH)]
        return [client.post(CHAT, json=sent).text for sent in bodies]


def status(house: House) -> int:
    with house.client as client:
        found = client.get("/api/v1/models/openai/gpt-oss-120b/endpoints").json()["data"]["endpoints"]
    return int(next(row for row in found if row["tag"] == "groq")["status"])


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_deadline_shorter_than_the_routers_falls_back_and_ejects_no_endpoint(
    house: House, stream: bool
) -> None:
    house.lab.modes["groq"] = {"mode": "hang"}
    answers = ask(house, stream, ttft_timeout=0.05)
    assert all("Deep Infra" in answer for answer in answers)
    assert status(house) == 0


@pytest.mark.parametrize("stream", [False, True])
def test_an_endpoint_that_misses_a_deadline_longer_than_the_routers_is_ejected(house: House, stream: bool) -> None:
    house.lab.modes["groq"] = {"mode": "hang"}
    ask(house, stream, ttft_timeout=0.8)
    assert status(house) == EJECTED


def test_a_stall_longer_than_the_clients_timeout_ejects_no_endpoint(house: House) -> None:
    house.lab.modes["groq"] = {"mode": "stall"}
    answers = ask(house, True, stall_timeout=0.05)
    assert all('"error_type":"timeout"' in answer for answer in answers)
    assert status(house) == 0


def test_a_stall_longer_than_the_routers_timeout_ejects_the_endpoint(house: House) -> None:
    house.lab.modes["groq"] = {"mode": "stall"}
    ask(house, True, stall_timeout=0.8)
    assert status(house) == EJECTED


def test_a_gateway_timeout_counts_against_the_endpoint_for_any_client_deadline(house: House) -> None:
    house.lab.modes["groq"] = {"mode": "error", "status": 504}
    ask(house, False, ttft_timeout=0.5)
    assert status(house) == EJECTED


def test_the_record_distinguishes_a_client_deadline_from_a_timeout_and_the_response_does_not(house: House) -> None:
    house.lab.modes["*"] = {"mode": "hang"}
    with house.client as client:
        answer = client.post(CHAT, json=body(False, provider=ORDER | {"ttft_timeout": 0.05}))
        told = client.get("/api/v1/generation/explain", params={"id": answer.headers["x-generation-id"]}).json()["data"]
    error = answer.json()["error"]
    assert (answer.status_code, error["metadata"]["error_type"]) == (504, "timeout")
    assert {before["code"] for before in error["metadata"]["previous_errors"]} == {"timeout"}
    assert {attempt["error_type"] for attempt in told["attempts"]} == {CLIENT_DEADLINE}
    assert "and was given up, as long as the client or its key wanted to wait" in told["summary"]
