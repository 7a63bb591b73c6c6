"""Test chat completions with two providers of the AI SDK: OpenRouter's, and the one for compatible APIs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.node_clients import NodeClients
from tests.clients.served import PNG, PNG_BYTES, ServedModel

CLIENT_NAMES = ("@ai-sdk/openai-compatible", "@openrouter/ai-sdk-provider")
pytestmark = pytest.mark.slow
WAYS = pytest.mark.parametrize("way", ["generate", "stream"])


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.client(name)) for name in CLIENT_NAMES])
def provider(request: pytest.FixtureRequest) -> str:
    """Return the name of a provider's package."""
    return str(request.param)


def use(node: NodeClients, served: ServedModel, provider: str, case: str) -> Any:
    """Return what the script found in ``case``."""
    return node.run("chat_ai_sdk.mjs", case, **served.environment(), PROVIDER=provider, PNG=PNG)


@WAYS
def test_a_text_is_answered(node: NodeClients, served: ServedModel, provider: str, way: str) -> None:
    found = use(node, served, provider, way)
    assert found["text"] and found["finishReason"] == "stop"
    assert found["usage"]["outputTokens"] == len(found["text"].split())
    assert not [kind for kind in found.get("types", []) if kind.startswith("error")]
    if provider == "@openrouter/ai-sdk-provider":
        assert found["providerMetadata"]["openrouter"]["usage"]["cost"] > 0


@WAYS
def test_a_tool_loop_comes_to_its_end(node: NodeClients, served: ServedModel, provider: str, way: str) -> None:
    check_loop(use(node, served, provider, f"{way}_tools"), way)


@WAYS
def test_a_tool_loop_with_reasoning(node: NodeClients, thinking: ServedModel, provider: str, way: str) -> None:
    """The SDK sends the reasoning of the first step back with the next one."""
    found = use(node, thinking, provider, f"{way}_reasoning")
    check_loop(found, way)
    if way == "stream":
        assert "reasoning-delta" in found["types"]


def check_loop(found: Any, way: str) -> None:
    call = {"place": "Genoa", "unit": "metre"}
    assert [step["calls"] for step in found["steps"]] == [[call], [call], []]
    assert found["text"].count("Genoa has been found") == 2 and found["finishReason"] == "stop"
    if way == "stream":
        assert found["types"].count("tool-result") == 2
        assert not [kind for kind in found["types"] if kind.startswith("error")]


def test_reasoning_is_sent_back(node: NodeClients, thinking: ServedModel, provider: str) -> None:
    found = use(node, thinking, provider, "history")
    assert found["first"]["reasoning"] and found["first"]["text"]
    assert found["second"]["finishReason"] == "stop"


@pytest.mark.parametrize("case", ["object", "output", "output_streamed"])
def test_the_output_follows_a_schema(node: NodeClients, served: ServedModel, provider: str, case: str) -> None:
    found = use(node, served, provider, case)
    if case == "output_streamed":
        assert found["partial"] > 1
        found = found["output"]
    assert found == {"place": "Genoa", "depth": 7}


def test_an_image_is_seen(node: NodeClients, served: ServedModel, provider: str) -> None:
    assert f"image/png of {len(PNG_BYTES)} bytes" in use(node, served, provider, "image")["text"]


def test_failures_are_the_sdks_errors(node: NodeClients, served: ServedModel, provider: str) -> None:
    found = use(node, served, provider, "failures")
    assert [(found[case]["name"], found[case]["status"]) for case in ("busy", "overloaded")] == [
        ("AI_APICallError", 429),
        ("AI_APICallError", 503),
    ]
    assert [kind for kind in found["cut"]["types"] if kind.startswith("error")]
