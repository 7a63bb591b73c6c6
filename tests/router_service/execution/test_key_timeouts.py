"""A key's own patience, first token and stall, by a real router: it is the default that a request may replace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data.record.attempt import CLIENT_DEADLINE
from lab.server import Lab
from tests.conftest import Stack, open_stack

CHAT = "/api/v1/chat/completions"
ORDER = ["groq", "deepinfra"]
# Seconds: far longer than any test waits. What ends sooner was ended by the key or the request.
INSTALLATION = {"ttft_timeout": 60.0, "stall_timeout": 60.0, "answer_timeout": 60.0, "total_timeout": 120.0}


def send(stack: Stack, key: str, stream: bool, **provider: Any) -> tuple[str, dict[str, Any]]:
    """The answer's text and its generation."""
    body = {
        "model": "openai/gpt-oss-120b",
        "messages": [{"role": "user", "content": "Count to three."}],
        "max_tokens": 8,
        "stream": stream,
        "provider": {"order": ORDER} | provider,
    }
    headers = {"authorization": f"Bearer {key}"}
    with stack.client as client:
        answer = client.post(CHAT, json=body, headers=headers)
        path = f"/api/v1/generation/explain?id={answer.headers['x-generation-id']}"
        found: dict[str, Any] = client.get(path, headers=headers).json()["data"]
    return answer.text, found


def faults(found: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(a["endpoint"].split(":")[0], a["error_type"]) for a in found["attempts"]]


@pytest.mark.parametrize("stream", [False, True])
def test_a_keys_ttft_timeout_moves_on(tmp_path: Path, stream: bool) -> None:
    with open_stack(tmp_path, **INSTALLATION) as stack:
        stack.lab.modes["groq"] = {"mode": "hang"}
        text, found = send(stack, stack.new_key(ttft_timeout=2.0), stream)
    assert "Deep Infra" in text
    assert faults(found) == [("groq", CLIENT_DEADLINE), ("deepinfra", None)]


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_replaces_its_keys_ttft_timeout(tmp_path: Path, stream: bool) -> None:
    # The lab's first tokens come after some tenths of a second.
    with open_stack(tmp_path, Lab(time_scale=1.0, faults=False), **INSTALLATION) as stack:
        key = stack.new_key(ttft_timeout=0.01)
        _, impatient = send(stack, key, stream, allow_fallbacks=False)
        text, patient = send(stack, key, stream, ttft_timeout=60)
    assert faults(impatient) == [("groq", CLIENT_DEADLINE), ("deepinfra", CLIENT_DEADLINE)]
    assert faults(patient) == [("groq", None)]
    assert "Groq" in text


def test_a_keys_stall_timeout_ends_a_silent_stream_and_a_request_replaces_it(tmp_path: Path) -> None:
    with open_stack(tmp_path, **INSTALLATION) as stack:
        stack.lab.modes["groq"] = {"mode": "stall"}
        key = stack.new_key(stall_timeout=0.2)
        text, found = send(stack, key, True)
        longer, waited = send(stack, key, True, stall_timeout=1.5)
    for answer, outcome in ((text, found), (longer, waited)):
        assert '"finish_reason":"error"' in answer and '"error_type":"timeout"' in answer
        assert faults(outcome) == [("groq", CLIENT_DEADLINE)]
    # Silence is as long as it was allowed to be, at the least.
    assert waited["attempts"][0]["duration_ms"] >= 1500


def test_a_key_without_timeouts_has_the_installations(tmp_path: Path) -> None:
    with open_stack(tmp_path, **INSTALLATION | {"ttft_timeout": 2.0}) as stack:
        stack.lab.modes["groq"] = {"mode": "hang"}
        _, found = send(stack, stack.new_key(sort="price"), True)
    assert faults(found) == [("groq", "timeout"), ("deepinfra", None)]
