"""Test the responses API with ``callModel`` of OpenRouter's SDK for Node, which validates every shape."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.node_clients import NodeClients
from tests.clients.served import PNG, PNG_BYTES, ServedModel

pytestmark = [pytest.mark.slow, pytest.mark.client("@openrouter/sdk")]


def use(node: NodeClients, served: ServedModel, case: str) -> Any:
    """Return what the script found in ``case``."""
    return node.run("openrouter_call_model.mjs", case, **served.environment(), PNG=PNG)


def test_a_text_is_answered(node: NodeClients, served_responses: ServedModel) -> None:
    found = use(node, served_responses, "text")
    assert found["text"] and found["response"]["status"] == "completed"
    assert found["response"]["model"] == served_responses.model
    usage = found["response"]["usage"]
    assert usage["outputTokens"] == len(found["text"].split()) and usage["cost"] > 0


def test_a_text_is_streamed(node: NodeClients, served_responses: ServedModel) -> None:
    found = use(node, served_responses, "stream")
    assert len(found["pieces"]) > 1 and "".join(found["pieces"]) == found["text"]
    assert found["types"][0] == "response.created" and "response.completed" in found["types"]


@pytest.mark.parametrize("case", ["tools", "tools_streamed"])
def test_a_tool_loop_comes_to_its_end(node: NodeClients, served_responses: ServedModel, case: str) -> None:
    """The SDK sends the items back as it has read them."""
    found = use(node, served_responses, case)
    assert found["found"] == ["Genoa", "Genoa"]
    assert found["text"].count("Genoa has been found") == 2


def test_calls_are_returned(node: NodeClients, served_responses: ServedModel) -> None:
    (call,) = use(node, served_responses, "tool_calls")
    assert (call["name"], call["arguments"]) == ("find_port", {"place": "Genoa"})


def test_a_tool_loop_with_reasoning(node: NodeClients, served_responses: ServedModel) -> None:
    """The SDK has a stream of readable reasoning, and summaries, which OpenAI writes, among its events."""
    found = use(node, served_responses, "reasoning")
    shown = {"anthropic_messages": (True, False), "openai_chat": (False, False), "openai_responses": (False, True)}
    assert (bool(found["thought"]), found["summary"] > 0) == shown[served_responses.wire_format]
    assert found["text"].count("Genoa has been found") == 1


def test_an_image_is_seen(node: NodeClients, served_responses: ServedModel) -> None:
    assert f"image/png of {len(PNG_BYTES)} bytes" in use(node, served_responses, "image")


def test_failures_are_the_sdks_errors(node: NodeClients, served_responses: ServedModel) -> None:
    found = use(node, served_responses, "failures")
    assert [(found[case]["name"], found[case]["status"]) for case in ("busy", "overloaded")] == [
        ("TooManyRequestsResponseError", 429),
        ("ServiceUnavailableResponseError", 503),
    ]
    assert found["cut"]["message"]
