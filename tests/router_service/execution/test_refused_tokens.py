"""Test that a conversation goes on where a provider refuses the tokens of its earlier reasoning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lab.server import Lab
from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest, Message
from router_service.core.parts import Reasoning, Text, ToolCall
from router_service.providers.refused_tokens import refuses_tokens, without_tokens
from tests.conftest import Stack, open_stack

CHAT = "/api/v1/chat/completions"
CLAUDE = {"model": "anthropic/claude-sonnet-4.5", "provider": {"only": ["anthropic"]}}
CODEX = {"model": "openai/gpt-5.2-codex", "provider": {"only": ["openai"]}}
GEMINI = {"model": "google/gemini-3-flash-preview", "provider": {"only": ["google"]}}
SIGNED = {
    "type": "reasoning.text",
    "text": "earlier thought",
    "signature": "bm90LW91cnM=",
    "format": "anthropic-claude-v1",
}
REDACTED = {"type": "reasoning.encrypted", "data": "bm90LW91cnM=", "format": "anthropic-claude-v1"}
THOUGHT = {"type": "reasoning.encrypted", "data": "bm90LW91cnM=", "format": "google-gemini-v1"}
SEALED = {"type": "reasoning.encrypted", "data": "bm90LW91cnM=", "id": "rs_1", "format": "openai-responses-v1"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    lab = Lab(time_scale=0.0, faults=False, strict=True)
    with open_stack(tmp_path_factory.mktemp("tokens"), lab) as found:
        yield found


def conversation(detail: dict[str, Any]) -> list[dict[str, Any]]:
    answer = {"role": "assistant", "content": "An answer.", "reasoning_details": [detail]}
    return [{"role": "user", "content": "A question."}, answer, {"role": "user", "content": "Another question."}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "detail"), [(CLAUDE, SIGNED), (CLAUDE, REDACTED), (CODEX, SEALED), (GEMINI, THOUGHT)]
)
def test_tokens_of_another_account_are_sent_once_and_then_left_out(
    stack: Stack, model: dict[str, Any], detail: dict[str, Any], stream: bool
) -> None:
    """The provider refuses them first; the second call succeeds, and the answer reports what was left out."""
    before, refused = sum(stack.lab.calls.values()), sum(stack.lab.refused.values())
    with stack.client as client:
        answer = client.post(CHAT, json=model | {"messages": conversation(detail), "stream": stream})
    assert answer.status_code == 200, answer.text
    assert "reasoning" in answer.headers["x-portolan-dropped-parameters"]
    assert sum(stack.lab.refused.values()) == refused + 1
    assert sum(stack.lab.calls.values()) == before + 2


def test_a_refusal_of_the_second_call_is_final(stack: Stack) -> None:
    """The provider refuses the tokens and then the rest of the request: it is not called a third time."""
    before = sum(stack.lab.calls.values())
    stack.lab.modes["*"] = {"mode": "error", "status": 400, "code": "invalid_request"}
    try:
        with stack.client as client:
            answer = client.post(CHAT, json=CLAUDE | {"messages": conversation(SIGNED)})
    finally:
        del stack.lab.modes["*"]
    assert answer.status_code == 400
    assert sum(stack.lab.calls.values()) == before + 2


@pytest.mark.parametrize(
    ("sentence", "status", "expected"),
    [
        ("messages.1.content.0: Invalid `signature` in `thinking` block", 400, True),
        ("messages.3.content.1: Invalid `data` in `redacted_thinking` block", 400, True),
        ("The encrypted content gAAA... could not be verified. Reason: ...", 400, True),
        ("Thought signature is not valid", 400, True),
        ("Invalid `signature` in `thinking` block", 500, False),
        ("messages: at least one message is required", 400, False),
        ("The request signature we calculated does not match the signature you provided", 403, False),
    ],
)
def test_the_sentences_of_providers(sentence: str, status: int, expected: bool) -> None:
    assert refuses_tokens(ApiError("invalid_request", sentence, upstream_status=status)) is expected


def test_readable_text_is_kept() -> None:
    parts = [
        Reasoning(text="why", signature="s", origin="o"),
        Reasoning(encrypted="e"),
        Text(text="what"),
        ToolCall(call_id="c", name="f", arguments="{}", signature="t"),
    ]
    request = GenerationRequest(
        messages=[Message(role="user", parts=[Text(text="q")]), Message(role="assistant", parts=parts)]
    )
    found = without_tokens(request)
    assert found is not None
    assert [(type(part).__name__, part.signature) for part in found.messages[1].parts] == [
        ("Reasoning", None),
        ("Text", None),
        ("ToolCall", None),
    ]
    assert without_tokens(found) is None
