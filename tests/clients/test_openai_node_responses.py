"""Test the responses API with OpenAI's SDK for Node."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.node_clients import NodeClients
from tests.clients.served import PNG, PNG_BYTES, ServedModel

pytestmark = [pytest.mark.slow, pytest.mark.client("openai for Node")]
SCRIPT = "openai_responses.mjs"
WAYS = pytest.mark.parametrize("way", ["", "_streamed"], ids=["whole", "streamed"])


def use(node: NodeClients, served: ServedModel, case: str, **variables: str) -> Any:
    """Return what the script found in ``case``."""
    return node.run(SCRIPT, case, **served.environment(), **variables)


def test_a_text_is_answered(node: NodeClients, served_responses: ServedModel) -> None:
    found = use(node, served_responses, "create")
    assert (found["status"], found["model"]) == ("completed", served_responses.model)
    assert found["usage"]["output_tokens"] == len(found["output_text"].split()) > 0


def test_a_text_is_streamed(node: NodeClients, served_responses: ServedModel) -> None:
    found = use(node, served_responses, "stream")
    assert found["text"] == found["response"]["output_text"] != ""
    assert found["types"][0] == "response.created" and found["types"][-1] == "response.completed"


def test_the_output_follows_a_schema(node: NodeClients, served_responses: ServedModel) -> None:
    assert use(node, served_responses, "parse") == [{"place": "Genoa", "depth": 7}] * 2


def test_arguments_are_parsed(node: NodeClients, served_responses: ServedModel) -> None:
    assert use(node, served_responses, "parse_tool") == [[{"place": "Genoa", "unit": "metre"}]] * 2


@WAYS
def test_a_tool_loop_comes_to_its_end(node: NodeClients, served_responses: ServedModel, way: str) -> None:
    """The items of the responses are sent back as the SDK has them."""
    found = use(node, served_responses, f"tools{way}")
    assert found["text"].count("Genoa has been found") == 2
    calls = [item for item in found["input"] if item.get("type") == "function_call"]
    assert [item["name"] for item in calls] == ["find_port"] * 2


@WAYS
def test_a_tool_loop_with_reasoning(node: NodeClients, served_responses: ServedModel, way: str) -> None:
    found = use(node, served_responses, f"reasoning{way}")
    assert found["text"].count("Genoa has been found") == 2
    thoughts = [item for item in found["input"] if item.get("type") == "reasoning"]
    assert bool(thoughts) == served_responses.shows_thinking
    assert all(item["encrypted_content"] and (item["summary"] or item["content"]) for item in thoughts)


def test_an_image_is_seen(node: NodeClients, served_responses: ServedModel) -> None:
    assert f"image/png of {len(PNG_BYTES)} bytes" in use(node, served_responses, "image", PNG=PNG)


def test_failures_are_the_sdks_errors(node: NodeClients, served_responses: ServedModel) -> None:
    found = use(node, served_responses, "failures")
    assert [(found[case]["name"], found[case]["status"]) for case in ("busy", "overloaded", "key")] == [
        ("RateLimitError", 429),
        ("InternalServerError", 503),
        ("AuthenticationError", 401),
    ]
    # The SDK makes an exception of the event of an error.
    assert found["cut"]["name"] == "APIError" and found["cut"]["message"]
