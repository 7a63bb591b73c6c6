"""Test the messages API with the Anthropic provider of the AI SDK."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.node_clients import NodeClients
from tests.clients.served import PDF, PNG, PNG_BYTES, ServedModel

pytestmark = [pytest.mark.slow, pytest.mark.client("@ai-sdk/anthropic")]
# The SDK asks for the most tokens of a model if it knows the id as Anthropic writes it, else for 128,000.
VENDOR_IDS = {"anthropic/claude-sonnet-4.5": "claude-sonnet-4-5"}
WAYS = pytest.mark.parametrize("way", ["generate", "stream"])


def use(node: NodeClients, served: ServedModel, case: str) -> Any:
    """Return what the script found in ``case``."""
    variables = served.environment() | {"PORTOLAN_MODEL": VENDOR_IDS.get(served.model, served.model)}
    return node.run("ai_sdk.mjs", case, **variables, PNG=PNG, PDF=PDF)


@WAYS
def test_a_text_is_answered(node: NodeClients, served: ServedModel, way: str) -> None:
    found = use(node, served, way)
    assert found["text"] and found["finishReason"] == "stop"
    assert found["usage"]["outputTokens"] == len(found["text"].split())
    assert not [kind for kind in found.get("types", []) if kind.startswith("error")]


def test_the_routers_own_id_needs_a_limit(node: NodeClients, served: ServedModel) -> None:
    variables = served.environment() | {"MAX_OUTPUT_TOKENS": "64"}
    assert node.run("ai_sdk.mjs", "generate", **variables)["finishReason"] == "stop"


@WAYS
@pytest.mark.parametrize("thinks", [False, True], ids=["plain", "reasoning"])
def test_a_tool_loop_comes_to_its_end(node: NodeClients, served: ServedModel, way: str, thinks: bool) -> None:
    """The SDK sends the reasoning of the first step back with its signature."""
    found = use(node, served, f"{way}_{'reasoning' if thinks else 'tools'}")
    call = {"place": "Genoa", "unit": "metre"}
    assert [step["calls"] for step in found["steps"]] == [[call], [call], []]
    assert found["text"].count("Genoa has been found") == 2 and found["finishReason"] == "stop"
    if way == "stream":
        assert ("reasoning-delta" in found["types"]) == (thinks and served.shows_thinking)
        assert found["types"].count("tool-result") == 2
        assert not [kind for kind in found["types"] if kind.startswith("error")]


def test_reasoning_comes_back_with_its_signature(node: NodeClients, served: ServedModel) -> None:
    found = use(node, served, "reasoning_history")
    assert bool(found["first"]["reasoning"]) == served.shows_thinking
    assert found["first"]["text"] and found["second"]["finishReason"] == "stop"


@pytest.mark.parametrize("case", ["object", "object_by_tool"])
def test_the_output_follows_a_schema(node: NodeClients, served: ServedModel, case: str) -> None:
    assert use(node, served, case) == {"place": "Genoa", "depth": 7}


def test_files_are_seen(node: NodeClients, served: ServedModel) -> None:
    assert f"image/png of {len(PNG_BYTES)} bytes" in use(node, served, "files")["text"]
