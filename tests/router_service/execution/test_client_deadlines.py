"""Test that a client's own deadline falls back at once and does not affect the endpoint for other clients."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from data.record.attempt import CLIENT_DEADLINE
from tests.conftest import Stack, open_stack
from tests.router_service.execution.test_fallback import CHAT, body

ORDER = {"order": ["groq", "deepinfra"]}
EJECTED = -5
# Three timeouts in a row eject an endpoint; this is one more.
ENOUGH = 4
# Seconds that a client, the installation and another client wait: time enough for an answer on a busy machine.
IMPATIENT_S, INSTALLATION_S, PATIENT_S = 2.0, 2.5, 3.0


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """The installation waits longer than the impatient of these tests and shorter than the patient."""
    limits = dict.fromkeys(("ttft_timeout", "answer_timeout", "stall_timeout"), INSTALLATION_S)
    with open_stack(tmp_path, **limits) as opened:
        yield opened


def ask(stack: Stack, stream: bool, **provider: Any) -> list[str]:
    """``ENOUGH`` requests at a time; each one's answer."""
    # Conversations of their own: none is kept to whom served the one before.
    bodies = [body(stream, user=str(number), provider=ORDER | provider) for number in range(ENOUGH)]
    with stack.client as client, ThreadPoolExecutor(ENOUGH) as pool:
        return list(pool.map(lambda sent: client.post(CHAT, json=sent).text, bodies))


def status(stack: Stack) -> int:
    with stack.client as client:
        found = client.get("/api/v1/models/openai/gpt-oss-120b/endpoints").json()["data"]["endpoints"]
    return int(next(row for row in found if row["tag"] == "groq")["status"])


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_deadline_shorter_than_the_routers_falls_back_and_ejects_no_endpoint(
    stack: Stack, stream: bool
) -> None:
    stack.lab.modes["groq"] = {"mode": "hang"}
    answers = ask(stack, stream, ttft_timeout=IMPATIENT_S)
    assert all("Deep Infra" in answer for answer in answers)
    assert status(stack) == 0


@pytest.mark.parametrize("stream", [False, True])
def test_an_endpoint_that_misses_a_deadline_longer_than_the_routers_is_ejected(stack: Stack, stream: bool) -> None:
    stack.lab.modes["groq"] = {"mode": "hang"}
    ask(stack, stream, ttft_timeout=PATIENT_S)
    assert status(stack) == EJECTED


def test_a_stall_longer_than_the_clients_timeout_ejects_no_endpoint(stack: Stack) -> None:
    stack.lab.modes["groq"] = {"mode": "stall"}
    answers = ask(stack, True, stall_timeout=0.05)
    assert all('"error_type":"timeout"' in answer for answer in answers)
    assert status(stack) == 0


def test_a_stall_longer_than_the_routers_timeout_ejects_the_endpoint(stack: Stack) -> None:
    stack.lab.modes["groq"] = {"mode": "stall"}
    ask(stack, True, stall_timeout=PATIENT_S)
    assert status(stack) == EJECTED


def test_a_gateway_timeout_counts_against_the_endpoint_for_any_client_deadline(stack: Stack) -> None:
    stack.lab.modes["groq"] = {"mode": "error", "status": 504}
    ask(stack, False, ttft_timeout=IMPATIENT_S)
    assert status(stack) == EJECTED


def test_the_record_distinguishes_a_client_deadline_from_a_timeout_and_the_response_does_not(
    stack: Stack,
) -> None:
    stack.lab.modes["*"] = {"mode": "hang"}
    with stack.client as client:
        answer = client.post(CHAT, json=body(False, provider=ORDER | {"ttft_timeout": 0.05}))
        told = client.get("/api/v1/generation/explain", params={"id": answer.headers["x-generation-id"]}).json()["data"]
    error = answer.json()["error"]
    assert (answer.status_code, error["metadata"]["error_type"]) == (504, "timeout")
    assert {before["code"] for before in error["metadata"]["previous_errors"]} == {"timeout"}
    assert {attempt["error_type"] for attempt in told["attempts"]} == {CLIENT_DEADLINE}
    assert "and was given up, as long as the client or its key wanted to wait" in told["summary"]
