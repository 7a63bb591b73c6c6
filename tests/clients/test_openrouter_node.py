"""Test chat completions and the catalogue with OpenRouter's SDK for Node, which validates every shape."""

from __future__ import annotations

import pytest

from tests.clients.node_clients import NodeClients
from tests.clients.served import PNG, PNG_BYTES, ServedModel

pytestmark = [pytest.mark.slow, pytest.mark.client("@openrouter/sdk")]
SCRIPT = "openrouter_sdk.mjs"


def test_a_text_is_answered(node: NodeClients, served: ServedModel) -> None:
    found = node.run(SCRIPT, "send", **served.environment())
    assert found["choices"][0]["message"]["content"] and found["choices"][0]["finishReason"] == "stop"
    assert found["model"] == served.model and found["usage"]["cost"] > 0


def test_a_text_is_streamed(node: NodeClients, served: ServedModel) -> None:
    chunks = node.run(SCRIPT, "stream", **served.environment())
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert chunks[-1]["usage"]["completionTokens"] == len(text.split()) > 0


def test_a_tool_loop_comes_to_its_end(node: NodeClients, served: ServedModel) -> None:
    """The messages of the answers are sent back as the SDK has them."""
    turns = node.run(SCRIPT, "tools", **served.environment())
    assert len(turns) == 6 and turns[-1]["content"].count("Genoa has been found") == 2


def test_a_tool_loop_with_reasoning(node: NodeClients, thinking: ServedModel) -> None:
    turns = node.run(SCRIPT, "reasoning", **thinking.environment())
    assert len(turns) == 6 and turns[-1]["content"].count("Genoa has been found") == 2
    assert turns[1]["reasoning"] and [one["type"] for one in turns[1]["reasoningDetails"]] == ["reasoning.text"]


def test_an_image_is_seen(node: NodeClients, served: ServedModel) -> None:
    assert f"image/png of {len(PNG_BYTES)} bytes" in node.run(SCRIPT, "image", **served.environment(), PNG=PNG)


def test_the_catalogue_and_the_account(node: NodeClients, served: ServedModel) -> None:
    found = node.run(SCRIPT, "catalogue", **served.environment())
    assert found["generation"]["model"] == served.model
    assert found["generation"]["totalCost"] == pytest.approx(found["cost"])
    assert found["listed"] and found["endpoints"] and found["providers"] and found["key"] > 0


def test_failures_are_the_sdks_errors(node: NodeClients, served: ServedModel) -> None:
    found = node.run(SCRIPT, "failures", **served.environment())
    assert [(one["name"], one["status"]) for one in found] == [
        ("BadRequestResponseError", 400),
        ("TooManyRequestsResponseError", 429),
        ("ServiceUnavailableResponseError", 503),
        ("UnauthorizedResponseError", 401),
    ]
    assert all(one["message"] for one in found)
