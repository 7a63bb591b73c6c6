"""A client's impatience is its own: it moves on at once, and no endpoint is worse off for anybody else."""

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
# Timeouts in a row that eject, and one more.
ENOUGH = 4


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """The installation waits longer than the impatient of these tests and shorter than the patient."""
    with open_house(tmp_path, ttft_timeout=0.6, answer_timeout=0.6, stall_timeout=0.6) as opened:
        yield opened


def ask(house: House, stream: bool, **provider: Any) -> list[str]:
    """``ENOUGH`` requests; each one's answer."""
    with house.client as client:
        # Conversations of their own: none is kept to whom served the one before.
        bodies = [body(stream, user=str(number), provider=ORDER | provider) for number in range(ENOUGH)]
        return [client.post(CHAT, json=sent).text for sent in bodies]


def status(house: House) -> int:
    with house.client as client:
        found = client.get("/api/v1/models/openai/gpt-oss-120b/endpoints").json()["data"]["endpoints"]
    return int(next(row for row in found if row["tag"] == "groq")["status"])


@pytest.mark.parametrize("stream", [False, True])
def test_a_deadline_shorter_than_the_routers_moves_on_and_ejects_nobody(house: House, stream: bool) -> None:
    house.lab.modes["groq"] = {"mode": "hang"}
    answers = ask(house, stream, ttft_timeout=0.05)
    assert all("Deep Infra" in answer for answer in answers)
    assert status(house) == 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_deadline_longer_than_the_routers_ejects_who_misses_it(house: House, stream: bool) -> None:
    house.lab.modes["groq"] = {"mode": "hang"}
    ask(house, stream, ttft_timeout=0.8)
    assert status(house) == EJECTED


def test_a_silence_longer_than_one_client_bears_ejects_nobody(house: House) -> None:
    house.lab.modes["groq"] = {"mode": "stall"}
    answers = ask(house, True, stall_timeout=0.05)
    assert all('"error_type":"timeout"' in answer for answer in answers)
    assert status(house) == 0


def test_a_silence_longer_than_the_router_bears_ejects(house: House) -> None:
    house.lab.modes["groq"] = {"mode": "stall"}
    ask(house, True, stall_timeout=0.8)
    assert status(house) == EJECTED


def test_a_gateway_timeout_is_the_providers_own_whoever_asks(house: House) -> None:
    house.lab.modes["groq"] = {"mode": "error", "status": 504}
    ask(house, False, ttft_timeout=0.5)
    assert status(house) == EJECTED


def test_the_record_tells_it_from_a_timeout_and_the_client_need_not(house: House) -> None:
    house.lab.modes["*"] = {"mode": "hang"}
    with house.client as client:
        answer = client.post(CHAT, json=body(False, provider=ORDER | {"ttft_timeout": 0.05}))
        told = client.get("/api/v1/generation/explain", params={"id": answer.headers["x-generation-id"]}).json()["data"]
    error = answer.json()["error"]
    assert (answer.status_code, error["metadata"]["error_type"]) == (504, "timeout")
    assert {before["code"] for before in error["metadata"]["previous_errors"]} == {"timeout"}
    assert {attempt["error_type"] for attempt in told["attempts"]} == {CLIENT_DEADLINE}
    assert "and was given up, as long as the client or its key wanted to wait" in told["summary"]
