"""Test that a provider's failure before the first byte fails no request that has another endpoint."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from router_service.settings import Settings
from router_service.telemetry.lookup import find_on_disk
from tests.conftest import Stack, open_stack
from tests.running import until

MODEL = "openai/gpt-oss-120b"
CHAT = "/api/v1/chat/completions"


def body(stream: bool, **more: object) -> dict[str, object]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "stream": stream, **more}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mode", ["error", "rate_limit"])
def test_the_next_endpoint_serves_and_the_log_has_the_reason(stack: Stack, stream: bool, mode: str) -> None:
    stack.lab.modes["groq"] = {"mode": mode}
    with stack.client as client:
        answer = client.post(CHAT, json=body(stream, provider={"order": ["groq", "deepinfra"]}))
        assert answer.status_code == 200
        found = client.get("/api/v1/generation", params={"id": answer.headers["x-generation-id"]}).json()["data"]
    assert [r["provider_name"] for r in found["provider_responses"]] == ["Groq", "Deep Infra"]
    until(lambda: find_on_disk(stack.lake, found["id"]), "the record is in the log")
    row = find_on_disk(stack.lake, found["id"])
    assert row is not None
    assert row["attempts"][1]["reason"].startswith("fallback:")
    assert (row["policy"], row["propensity"]) == ("order", 1.0)
    assert row["attempts"][0]["ttft_us"] is None


def test_a_hanging_provider_is_left_at_the_deadline_of_the_first_token(tmp_path: Path) -> None:
    with open_stack(tmp_path, ttft_timeout=2.0) as stack, stack.client as client:
        stack.lab.modes["groq"] = {"mode": "hang"}
        answer = client.post(CHAT, json=body(True, provider={"order": ["groq", "deepinfra"]}))
    assert "Deep Infra" in answer.text
    assert ": OPENROUTER PROCESSING" in answer.text


@pytest.mark.parametrize(("path", "keepalive"), [(CHAT, ": OPENROUTER PROCESSING"), ("/v1/messages", "event: ping")])
@pytest.mark.parametrize(("model", "provider"), [(MODEL, "groq"), ("anthropic/claude-haiku-4.5", "anthropic")])
def test_a_stream_that_is_silent_after_its_first_token_is_kept_alive(
    stack: Stack, path: str, keepalive: str, model: str, provider: str
) -> None:
    """Proxies and SDKs end a connection on which nothing arrives: the openrouter Python SDK after 5 s."""
    # Behind the events of the messages format that come before any text.
    stack.lab.modes[provider] = {"mode": "stall", "after": 5}
    with stack.client as client:
        request = body(True, max_tokens=100, provider={"order": [provider], "allow_fallbacks": False})
        with client.stream("POST", path, json=request | {"model": model}) as answer:
            lines = (line for line in answer.iter_lines() if line)
            next(line for line in lines if line.startswith("data: "))
            found = [next(line for line in lines if line == keepalive) for _ in range(4)]
    assert found == [keepalive] * 4


def test_the_first_keep_alive_comes_before_sdks_give_up() -> None:
    assert Settings().keepalive_interval < 5.0


@pytest.mark.parametrize("mode", ["reset", "stall"])
def test_after_the_first_token_nothing_is_retried(stack: Stack, mode: str) -> None:
    stack.lab.modes["groq"] = {"mode": mode}
    with stack.client as client:
        request = body(True, provider={"order": ["groq", "deepinfra"]})
        if mode == "stall":
            with client.stream("POST", CHAT, json=request) as answer:
                next(line for line in answer.iter_lines() if line.startswith("data: "))
                # Long enough to be tried elsewhere.
                time.sleep(1.5)
        else:
            text = client.post(CHAT, json=request).text
            assert '"finish_reason":"error"' in text
            assert text.endswith("data: [DONE]\n\n")
    assert {name.split(":")[0] for name in stack.lab.calls} == {"groq"}


def test_without_fallbacks_the_error_of_the_provider_is_returned(stack: Stack) -> None:
    stack.lab.modes["groq"] = {"mode": "rate_limit"}
    with stack.client as client:
        answer = client.post(CHAT, json=body(False, provider={"only": ["groq"], "allow_fallbacks": False}))
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["error"]["metadata"]["provider_name"] == "Groq"


def test_the_next_model_is_tried(stack: Stack) -> None:
    stack.lab.modes["anthropic"] = {"mode": "error"}
    request = body(False, models=[MODEL], provider={"only": ["anthropic", "groq"]})
    with stack.client as client:
        answer = client.post(CHAT, json=request | {"model": "anthropic/claude-haiku-4.5"})
    assert answer.json()["model"] == MODEL


def test_a_client_disconnect_cancels_the_provider_call(stack: Stack) -> None:
    stack.lab.modes["groq"] = {"mode": "stall"}
    with stack.client as client:
        with client.stream("POST", CHAT, json=body(True, provider={"only": ["groq"]})) as answer:
            next(answer.iter_lines())
            generation = answer.headers["x-generation-id"]
        until(lambda: sum(stack.lab.cancelled.values()) == 1, "the provider's call is closed")
        found = client.get("/api/v1/generation", params={"id": generation}).json()["data"]
    assert found["cancelled"] is True
