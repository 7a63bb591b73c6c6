"""Test chat completions with the official OpenAI SDK for Node."""

from __future__ import annotations

import pytest

from tests.clients.node_clients import NodeClients
from tests.clients.served import PNG, PNG_BYTES, ServedModel

pytestmark = [pytest.mark.slow, pytest.mark.client("openai for Node")]
SCRIPT = "openai_sdk.mjs"


def test_a_text_is_answered(node: NodeClients, served: ServedModel) -> None:
    found = node.run(SCRIPT, "create", **served.environment())
    (choice,) = found["completion"]["choices"]
    assert choice["message"]["content"] and choice["finish_reason"] == "stop"
    assert found["completion"]["model"] == served.model and found["completion"]["usage"]["cost"] > 0
    assert found["request_id"]


def test_the_stream_helper_collects_the_answer(node: NodeClients, served: ServedModel) -> None:
    found = node.run(SCRIPT, "stream", **served.environment())
    (choice,) = found["completion"]["choices"]
    assert choice["message"]["content"] == found["text"] != ""
    assert found["completion"]["usage"]["completion_tokens"] == len(found["text"].split())


def test_the_output_is_parsed(node: NodeClients, served: ServedModel) -> None:
    wanted = {"place": "Genoa", "depth": 7}
    assert node.run(SCRIPT, "parse", **served.environment()) == [wanted, wanted]


@pytest.mark.parametrize("case", ["run_tools", "run_tools_streamed"])
def test_the_tool_runner_comes_to_its_end(node: NodeClients, served: ServedModel, case: str) -> None:
    found = node.run(SCRIPT, case, **served.environment())
    assert found["seen"] == [{"place": "Genoa"}] * 2
    assert found["text"].count("Genoa has been found") == 2 and found["messages"] == 6


def test_reasoning_is_shown_and_sent_back(node: NodeClients, thinking: ServedModel) -> None:
    for found in node.run(SCRIPT, "reasoning", **thinking.environment()):
        assert found["message"]["reasoning"] and found["message"]["reasoning_details"]
        assert found["last"]["choices"][0]["finish_reason"] == "stop"


def test_an_image_is_seen(node: NodeClients, served: ServedModel) -> None:
    assert f"image/png of {len(PNG_BYTES)} bytes" in node.run(SCRIPT, "image", **served.environment(), PNG=PNG)


def test_failures_are_the_sdks_errors(node: NodeClients, served: ServedModel) -> None:
    found = node.run(SCRIPT, "failures", **served.environment())
    assert {case: one["name"] for case, one in found.items()} == {
        "busy": "RateLimitError",
        "overloaded": "InternalServerError",
        "cut": "APIError",
        "key": "AuthenticationError",
    }
    assert [found[case]["status"] for case in ("busy", "overloaded", "key")] == [429, 503, 401]
    assert all(one["message"] for one in found.values())
