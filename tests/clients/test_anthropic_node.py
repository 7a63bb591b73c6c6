"""Test the messages API with the official SDK for Node."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.node_clients import NodeClients
from tests.clients.served import ServedModel

pytestmark = [pytest.mark.slow, pytest.mark.client("@anthropic-ai/sdk")]
BEGIN, END = ["message_start"], ["message_delta", "message_stop"]


def use(node: NodeClients, served: ServedModel, case: str) -> Any:
    """Return what the script found in ``case``."""
    return node.run("anthropic_sdk.mjs", case, **served.environment())


def kinds(message: dict[str, Any]) -> list[str]:
    """Return the types of the content blocks."""
    return [block["type"] for block in message["content"]]


def test_a_message_is_created(node: NodeClients, served: ServedModel) -> None:
    found = use(node, served, "create")
    assert found["request_id"].startswith("gen-")
    message = found["message"]
    assert (message["type"], message["model"], message["stop_reason"]) == ("message", served.model, "end_turn")
    assert message["content"][0]["text"] and message["usage"]["output_tokens"] > 0


def test_a_stream_is_put_together(node: NodeClients, served: ServedModel) -> None:
    found = use(node, served, "stream")
    message, events = found["message"], found["events"]
    assert (kinds(message), message["stop_reason"], message["model"]) == (["text"], "end_turn", served.model)
    assert found["text"] == message["content"][0]["text"] != ""
    assert events[:1] == BEGIN and events[-2:] == END
    assert use(node, served, "raw_events")[:2] == ["message_start", "content_block_start"]


def test_a_tool_loop_with_thinking_comes_to_its_end(node: NodeClients, served: ServedModel) -> None:
    turns = use(node, served, "tool_loop")
    thinking = ["thinking"] if served.shows_thinking else []
    assert [kinds(turn) for turn in turns] == [
        [*thinking, "text", "tool_use"],
        ["text", "tool_use"],
        ["text", "tool_use"],
        ["text"],
    ]
    assert turns[-1]["stop_reason"] == "end_turn"
    assert all(f"Genoa is {number} miles away" in turns[-1]["content"][-1]["text"] for number in (1, 2, 3))


def test_the_tool_runner_comes_to_its_end(node: NodeClients, served: ServedModel) -> None:
    message = use(node, served, "tool_runner")
    assert message["stop_reason"] == "end_turn"
    assert message["content"][0]["text"].count("Genoa has been found") == 2


def test_thinking_comes_back_with_its_signature(node: NodeClients, served: ServedModel) -> None:
    found = use(node, served, "thinking")
    if served.shows_thinking:
        assert kinds(found["first"]) == ["thinking", "redacted_thinking", "text"]
        assert found["first"]["content"][0]["signature"]
    else:
        assert kinds(found["first"]) == ["text"]
    assert found["second"]["stop_reason"] == "end_turn"


def test_features_in_beta_are_passed_on(node: NodeClients, served: ServedModel) -> None:
    message = use(node, served, "beta")
    assert message["stop_reason"] == "tool_use" and message["content"][-1]["input"] == {"place": "Genoa"}


def test_tokens_are_counted(node: NodeClients, served: ServedModel) -> None:
    assert use(node, served, "count_tokens")["input_tokens"] > 0
    assert use(node, served, "create")["message"]["content"]
