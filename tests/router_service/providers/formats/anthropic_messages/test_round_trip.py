"""An answer that is appended to the conversation returns to its provider as the provider wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router_service.core.events import fold
from router_service.core.generation import Message
from tests.router_service.providers.formats.anthropic_messages.messages_world import (
    CONTEXT,
    FORMAT,
    ask,
    body_of,
    endpoint,
    events_of,
    result,
    user,
)
from tests.wire_cases import WireCase, load_cases

CASES = [
    case
    for case in load_cases("anthropic_messages")
    if case.status == 200 and case.response is not None and case.name not in ("error_in_200", "not_json", "odd_types")
]


def resent(parts: list[Any], content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the assistant turn of a conversation that goes on after ``parts``; its calls get results."""
    results = [result(block["id"]) for block in content if block["type"] == "tool_use"]
    request = ask(user("?"), Message(role="assistant", parts=parts), *results, user("Go on."))
    turns = body_of(request, endpoint())["messages"]
    return list(turns[1]["content"]) if turns[1:] and turns[1]["role"] == "assistant" else []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_blocks_of_an_answer_return_unchanged(case: WireCase) -> None:
    """Signatures, redacted thinking, hosted calls, citations and unknown blocks are equal to the provider's own."""
    assert case.response is not None
    content = json.loads(case.response)["content"]
    parts = fold(FORMAT.decode(case.response, CONTEXT)).choices[0].parts
    assert resent(parts, content) == content


@pytest.mark.parametrize("name", ["thinking", "server_tools", "tools_named", "block_unknown", "tools_without_input"])
def test_the_blocks_of_a_stream_return_as_those_of_the_response(name: str) -> None:
    """Return what was streamed as the same blocks."""
    case = next(case for case in CASES if case.name == name)
    assert case.stream is not None
    assert case.response is not None
    content = json.loads(case.response)["content"]
    assert resent(fold(events_of([case.stream])).choices[0].parts, content) == content


def test_every_documented_block_returns_unchanged() -> None:
    """Blocks of every kind that the vendor documents make the way there and back, odd fields included."""
    content: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "", "signature": "only a signature"},
        {"type": "redacted_thinking", "data": "ZGF0YQ=="},
        {"type": "server_tool_use", "id": "s1", "name": "code_execution", "input": {"code": "1"}, "caller": {}},
        {
            "type": "code_execution_tool_result",
            "tool_use_id": "s1",
            "content": {"type": "code_execution_result", "stdout": "1\n", "return_code": 0, "content": []},
        },
        {"type": "mcp_tool_use", "id": "m1", "name": "echo", "server_name": "x", "input": {}},
        {"type": "mcp_tool_result", "tool_use_id": "m1", "is_error": False, "content": [{"type": "text", "text": "e"}]},
        {"type": "container_upload", "file_id": "f"},
        {"type": "compaction", "content": "Summary."},
        {"type": "text", "text": "18 C", "citations": [{"type": "page_location", "start_page_number": 1}]},
        {
            "type": "tool_use",
            "id": "toolu_1",
            "name": "get_weather",
            "input": {"n": 12345678901234567890123, "f": 1.5},
            "caller": {"type": "code_execution_20260120", "tool_id": "s1"},
        },
    ]  # fmt: skip
    body = json.dumps({"type": "message", "content": content, "stop_reason": "tool_use"}).encode()
    assert resent(fold(FORMAT.decode(body, CONTEXT)).choices[0].parts, content) == content
