"""Test chat completions with the LiteLLM SDK, as a compatible API and as OpenRouter, and the responses API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.clients.python_clients import PythonClient, open_client
from tests.clients.served import ServedModel

pytestmark = [pytest.mark.slow, pytest.mark.client("litellm")]
ROUTES = pytest.mark.parametrize("route", ["openai", "openrouter"])


@pytest.fixture
def client(tmp_path: Path) -> PythonClient:
    """Return what runs scripts with the pinned LiteLLM."""
    return open_client("litellm", tmp_path / "home")


def use(client: PythonClient, served: ServedModel, *arguments: str, script: str = "litellm_sdk.py") -> Any:
    """Return what the script found. Prices are those of the package, so that nothing is read from the Internet."""
    variables = served.environment() | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    return client.ask(script, *arguments, **variables)


# The package takes seconds to start, so one process tries several things.
@ROUTES
def test_completions_whole_and_streamed(client: PythonClient, served: ServedModel, route: str) -> None:
    found = use(client, served, route, "text", "tools", "structured", "failures")
    for way in ("whole", "stream"):
        (choice,) = found["text"][way]["choices"]
        assert choice["message"]["content"] and choice["finish_reason"] == "stop"
        assert found["text"][way]["usage"]["completion_tokens"] == len(choice["message"]["content"].split())
        check_loop(found["tools"][way])
        assert found["structured"][way] == {"place": "Genoa", "depth": 7}
        busy, overloaded = found["failures"][way]
        assert busy[:2] == ["RateLimitError", 429]
        assert overloaded[:2] == ["ServiceUnavailableError", 503]


@ROUTES
def test_a_tool_loop_with_reasoning(client: PythonClient, thinking: ServedModel, route: str) -> None:
    """LiteLLM sends the reasoning back in fields of its own as well."""
    for messages in use(client, thinking, route, "reasoning")["reasoning"].values():
        check_loop(messages)
        assert messages[1]["reasoning_content"]


def test_responses_whole_and_streamed(client: PythonClient, served_responses: ServedModel) -> None:
    cases = ("text", "tools", "reasoning", "structured", "failures")
    found = use(client, served_responses, *cases, script="litellm_responses.py")
    for way in ("whole", "stream"):
        response = found["text"][way]
        said = "".join(part["text"] for item in response["output"] for part in item.get("content", ()))
        assert response["status"] == "completed" and said.split()
        for case in ("tools", "reasoning"):
            items = found[case][way]
            assert sum(item.get("type") == "function_call" for item in items) == 2
            assert items[-1]["content"][0]["text"].count("Genoa has been found") == 2
        thoughts = [item for item in found["reasoning"][way] if item.get("type") == "reasoning"]
        assert bool(thoughts) == served_responses.shows_thinking
        assert all(item["encrypted_content"] for item in thoughts)
        assert found["structured"][way] == {"place": "Genoa", "depth": 7}
        busy, overloaded = found["failures"][way]
        assert busy[:2] == ["RateLimitError", 429]
        assert overloaded[:2] == ["ServiceUnavailableError", 503]


def check_loop(messages: list[Any]) -> None:
    assert [one["role"] for one in messages] == ["user", "assistant", "tool", "assistant", "tool", "assistant"]
    assert messages[-1]["content"].count("Genoa has been found") == 2
