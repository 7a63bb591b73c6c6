"""Test an error that comes after a keep-alive has begun the stream and before the answer has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from router_service.telemetry.lookup import find_on_disk
from tests.conftest import open_stack
from tests.running import until


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_stream_that_never_begins_ends_with_an_error_of_its_api(tmp_path: Path, path: str) -> None:
    body = {
        "model": "openai/gpt-oss-120b",
        "max_tokens": 50,
        "stream": True,
        "messages": [{"role": "user", "content": "hello"}],
        "provider": {"only": ["groq"]},
    }
    with open_stack(tmp_path, ttft_timeout=1.0, keepalive_interval=0.05) as stack:
        stack.lab.modes["*"] = {"mode": "hang"}
        with stack.client as client:
            answer = client.post(path, json=body)
        generation = answer.headers["x-generation-id"]
        until(lambda: find_on_disk(stack.lake, generation), "the record is in the log")
        row = find_on_disk(stack.lake, generation)
    assert row is not None
    # The client has seen 200; the record has the status of the error.
    assert (answer.status_code, row["status"], row["error_type"], row["finish_reason"]) == (
        200,
        504,
        "timeout",
        "error",
    )
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    if path == "/v1/messages":
        assert json.loads(data[-1])["type"] == "error"
        assert "message_start" not in answer.text
    else:
        *chunks, done = data
        assert done == "[DONE]"
        (chunk,) = map(json.loads, chunks)
        assert chunk["error"]["code"] == 504
        assert chunk["choices"][0]["finish_reason"] == "error"
