"""Test the responses API with the OpenAI provider of the AI SDK."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.node_clients import NodeClients
from tests.clients.served import PNG, PNG_BYTES, ServedModel

pytestmark = [pytest.mark.slow, pytest.mark.client("@ai-sdk/openai")]
# The SDK shows summaries of reasoning alone, which OpenAI writes, and returns other reasoning without showing it.
SUMMARISES = "openai_responses"
WAYS = pytest.mark.parametrize("way", ["generate", "stream"])


def use(node: NodeClients, served: ServedModel, case: str) -> Any:
    """Return what the script found in ``case``."""
    return node.run("responses_ai_sdk.mjs", case, **served.environment(), PNG=PNG)


@WAYS
def test_a_text_is_answered(node: NodeClients, served_responses: ServedModel, way: str) -> None:
    found = use(node, served_responses, way)
    assert found["text"] and found["finishReason"] == "stop"
    assert found["usage"]["outputTokens"] == len(found["text"].split())
    assert not [kind for kind in found.get("types", []) if kind.startswith("error")]


@WAYS
@pytest.mark.parametrize("thinks", [False, True], ids=["plain", "reasoning"])
def test_a_tool_loop_comes_to_its_end(node: NodeClients, served_responses: ServedModel, way: str, thinks: bool) -> None:
    """The SDK sends the reasoning of the first step back with its encrypted content."""
    found = use(node, served_responses, f"{way}_{'reasoning' if thinks else 'tools'}")
    call = {"place": "Genoa", "unit": "metre"}
    assert [step["calls"] for step in found["steps"]] == [[call], [call], []]
    assert found["text"].count("Genoa has been found") == 2 and found["finishReason"] == "stop"
    if way == "stream":
        if thinks:
            assert ("reasoning-delta" in found["types"]) == (served_responses.wire_format == SUMMARISES)
            assert ("reasoning-start" in found["types"]) == served_responses.shows_thinking
        assert found["types"].count("tool-result") == 2
        assert not [kind for kind in found["types"] if kind.startswith("error")]


def test_items_that_are_not_stored_are_refused_with_what_to_send(
    node: NodeClients, served_responses: ServedModel
) -> None:
    found = use(node, served_responses, "stored_tools")
    assert found["name"] == "AI_APICallError" and "send the item itself" in found["message"]


def test_reasoning_is_sent_back(node: NodeClients, served_responses: ServedModel) -> None:
    found = use(node, served_responses, "history")
    assert bool(found["first"]["reasoning"]) == (served_responses.wire_format == SUMMARISES)
    assert found["first"]["text"] and found["second"]["finishReason"] == "stop"


@pytest.mark.parametrize("case", ["object", "output", "output_streamed"])
def test_the_output_follows_a_schema(node: NodeClients, served_responses: ServedModel, case: str) -> None:
    found = use(node, served_responses, case)
    if case == "output_streamed":
        assert found["partial"] > 1
        found = found["output"]
    assert found == {"place": "Genoa", "depth": 7}


def test_an_image_is_seen(node: NodeClients, served_responses: ServedModel) -> None:
    assert f"image/png of {len(PNG_BYTES)} bytes" in use(node, served_responses, "image")["text"]


def test_failures_are_the_sdks_errors(node: NodeClients, served_responses: ServedModel) -> None:
    found = use(node, served_responses, "failures")
    assert [(found[case]["name"], found[case]["status"]) for case in ("busy", "overloaded")] == [
        ("AI_APICallError", 429),
        ("AI_APICallError", 503),
    ]
    assert [kind for kind in found["cut"]["types"] if kind.startswith("error")]
