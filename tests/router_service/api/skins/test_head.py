"""Test that routing knows every parameter of a request that did not come as a chat body."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from router_service.api.skins.head import head_of
from router_service.core.generation import (
    GenerationRequest,
    Message,
    OutputFormat,
    ReasoningOptions,
    Sampling,
    Tool,
    ToolChoice,
)
from router_service.core.parts import Media, Opaque, Reasoning, Text, ToolCall, ToolResult
from router_service.core.wire.anthropic import BETA_HEADER
from router_service.core.wire.anthropic import DIALECT as MESSAGES
from router_service.core.wire.chat import DIALECT as CHAT
from router_service.planning.eligibility import missing_parameters, profile_of
from tests.conftest import Stack, open_stack

NAMES = {
    "verbosity": GenerationRequest(verbosity="low"),
    "modalities": GenerationRequest(modalities=["text"]),
    "metadata": GenerationRequest(metadata={"a": "b"}),
    "n": GenerationRequest(sampling=Sampling(n=2)),
    "parallel_tool_calls": GenerationRequest(tool_choice=ToolChoice(parallel=False)),
    "web_search_options": GenerationRequest(extras={CHAT: {"web_search_options": msgspec.Raw(b"{}")}}),
    "stop": GenerationRequest(sampling=Sampling(stop=["a"])),
    "seed": GenerationRequest(sampling=Sampling(seed=0)),
    "tools": GenerationRequest(tools=[Tool(name="a")]),
    "response_format": GenerationRequest(output=OutputFormat(kind="json_object")),
    "reasoning": GenerationRequest(reasoning=ReasoningOptions(effort="low")),
    "stream": GenerationRequest(stream=True),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_is_named(name: str) -> None:
    assert name in head_of(NAMES[name], "a/b").names


def test_messages_are_written_as_chat_messages() -> None:
    call = ToolCall(call_id="c1", name="tide", arguments="{}")
    seen = Media(kind="image", url="https://a.example/b.png")
    parts = [Opaque(dialect=MESSAGES, raw=msgspec.Raw(b"{}"), text="Tides"), Reasoning(text="hm", signature="s"), call]
    result = ToolResult(call_id="c1", content=[Text(text="noon"), seen])
    turns = [Message(role="assistant", parts=parts), Message(role="user", parts=[result])]
    head = head_of(GenerationRequest(messages=turns), "a/b")
    image = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
    assert msgspec.json.decode(head.messages) == [
        {
            "role": "assistant",
            "content": "Tides",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "tide", "arguments": "{}"}}],
            "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s"}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "noon"}, image]},
    ]
    assert head.modality == "image"


def test_a_request_without_parameters_names_none() -> None:
    assert head_of(GenerationRequest(), "a/b").names == ["messages", "model"]


def test_a_field_of_one_dialect_reaches_endpoints_of_that_format_alone(tmp_path: Path) -> None:
    extras = {"mcp_servers": msgspec.Raw(b"[]"), "thinking": msgspec.Raw(b"{}"), BETA_HEADER: ["x"]}
    head = head_of(GenerationRequest(extras={MESSAGES: extras}), "a/b")
    assert head.names == ["mcp_servers", "messages", "model"]
    parameters = profile_of(head, 100, 0).parameters
    with open_stack(tmp_path) as stack:
        endpoints = [one for offers in stack.services.catalogue.endpoints.values() for one in offers]
    missing = {one.wire_format: missing_parameters(parameters, one) for one in endpoints}
    assert missing.pop("anthropic_messages") == []
    assert len(missing) >= 4 and all(found == ["mcp_servers"] for found in missing.values())


@pytest.mark.parametrize(
    ("model", "status"), [("anthropic/claude-sonnet-4.5", 200), ("openai/gpt-oss-120b", 404)], ids=["own", "other"]
)
def test_a_required_field_of_the_messages_api_selects_its_format(stack: Stack, model: str, status: int) -> None:
    body = {
        "model": model,
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "hello"}],
        "context_management": {"edits": []},
        "provider": {"require_parameters": True},
    }
    with stack.client as client:
        answer = client.post("/v1/messages", json=body, headers={"anthropic-beta": "context-management-2025-06-27"})
    assert answer.status_code == status, answer.text
    if status == 404:
        assert "context_management" in answer.text
