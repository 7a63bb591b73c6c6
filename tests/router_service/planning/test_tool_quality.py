"""Test the effect of malformed tool calls on the route of the next request, with a real router and lab."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from router_service.planning.planner import MEASUREMENT_INTERVAL_S
from router_service.planning.strategies.adjusted import EXPLORATION
from router_service.planning.strategies.exacto import MIN_TOOL_REQUESTS
from router_service.telemetry.lookup import find_on_disk
from tests.conftest import Stack
from tests.running import until

CHAT = "/api/v1/chat/completions"
OPEN, CLAUDE = "openai/gpt-oss-120b", "anthropic/claude-haiku-4.5"
PROVIDERS = ("groq", "deepinfra", "fireworks", "cerebras", "baseten")
TOOL = {
    "type": "function",
    "function": {
        "name": "find_port",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    },
}


def body(model: str, stream: bool = False, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "where to?"}]
    return {"model": model, "messages": messages, "stream": stream, "tools": [TOOL], **more}


def row_of(stack: Stack, answer: httpx2.Response) -> dict[str, Any]:
    found: list[dict[str, Any] | None] = []

    def logged() -> bool:
        found.append(find_on_disk(stack.lake, answer.headers["x-generation-id"]))
        return found[-1] is not None

    until(logged, "the record is on disk")
    assert found[-1] is not None
    return found[-1]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "provider"), [(OPEN, "groq"), (CLAUDE, "anthropic")])
@pytest.mark.parametrize("fault", [None, "invalid_json", "unknown_name", "schema_mismatch"])
def test_the_record_contains_the_tool_call_fault(
    stack: Stack, model: str, provider: str, stream: bool, fault: str | None
) -> None:
    if fault:
        stack.lab.modes[provider] = {"mode": "garble", "code": fault}
    with stack.client as client:
        answer = client.post(CHAT, json=body(model, stream, provider={"only": [provider]}))
    assert answer.status_code == 200
    row = row_of(stack, answer)
    assert (row["finish_reason"], row["tool_calls"], row["tool_call_fault"]) == ("tool_calls", 1, fault)


def test_responses_without_tool_calls_are_not_judged(stack: Stack) -> None:
    with stack.client as client:
        answer = client.post(CHAT, json=body(OPEN, tool_choice="none"))
    row = row_of(stack, answer)
    assert (row["finish_reason"], row["tool_calls"], row["tool_call_fault"]) != ("tool_calls", 0, None)
    assert row["tool_calls"] is None


def test_an_endpoint_whose_tool_calls_are_malformed_loses_its_traffic(stack: Stack) -> None:
    """Send enough requests: exacto then puts it last, and adjusted shares leave it the exploration share."""
    stack.lab.modes["groq"] = {"mode": "garble", "rate": 0.5}

    def send(provider: str) -> int:
        with stack.client as client:
            request = body(OPEN, provider={"only": [provider]})
            return sum(client.post(CHAT, json=request).status_code == 200 for _ in range(MIN_TOOL_REQUESTS))

    with ThreadPoolExecutor(len(PROVIDERS)) as pool:
        assert list(pool.map(send, PROVIDERS)) == [MIN_TOOL_REQUESTS] * len(PROVIDERS)
    # Plans may use earlier measurements for so long, and those contain too few requests for some providers.
    time.sleep(MEASUREMENT_INTERVAL_S)
    with stack.client as client:

        def shares(**provider: Any) -> dict[str, float]:
            request = body(OPEN, provider={"only": list(PROVIDERS), **provider})
            rows = client.post("/api/v1/route/preview", json=request).json()["data"]["endpoints"]
            return {row["tag"].split("/")[0]: row["probability"] for row in rows}

        until(lambda: shares(sort="exacto")["groq"] == 0, "exacto sends it no request")
        assert list(shares(sort="exacto"))[-1] == "groq"
        adjusted = shares(strategy="adjusted")
        assert adjusted["groq"] == pytest.approx(EXPLORATION / len(adjusted))
        stack.lab.calls.clear()
        for _ in range(20):
            client.post(CHAT, json=body(OPEN, provider={"only": list(PROVIDERS), "sort": "exacto"}))
    assert not [name for name in stack.lab.calls if name.startswith("groq:")]


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_that_ends_with_an_error_counts_as_a_failure_of_the_endpoint(stack: Stack, stream: bool) -> None:
    stack.lab.modes["groq"] = {"mode": "fail_at_end"}
    with stack.client as client:
        for _ in range(10):
            answer = client.post(CHAT, json=body(OPEN, stream, tools=[], provider={"only": ["groq"]}))
            assert answer.status_code == 200
        rows = client.get(f"/api/v1/models/{OPEN}/endpoints").json()["data"]["endpoints"]
    assert next(row for row in rows if row["tag"] == "groq")["uptime_last_5m"] == 0.0
    attempts = row_of(stack, answer)["attempts"]
    assert attempts[-1]["error_type"] == "provider_unavailable"
