"""Test that a conversation goes on at a model of another wire format, as the SDK has kept it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from tests.clients.served import MODELS, PNG, asking
from tests.conftest import Stack
from tests.router_service.conversation.spoken import SPOKEN

pytestmark = [pytest.mark.slow, pytest.mark.client("anthropic for Python")]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
TOOL: Any = {
    "name": "find_port",
    "description": "Find a port",
    "input_schema": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
FORTH, BACK = sorted(MODELS.values()), sorted(MODELS.values(), reverse=True)


@pytest.fixture
def client(strict_stack: Stack) -> Iterator[anthropic.Anthropic]:
    """Yield a client; afterwards the lab has refused nothing."""
    strict_stack.lab.refused.clear()
    with anthropic.Anthropic(base_url=strict_stack.url, api_key=strict_stack.key, max_retries=0) as made:
        yield made
    assert not strict_stack.lab.refused


def ask(client: anthropic.Anthropic, model: str, turns: list[Any], **body: Any) -> Any:
    """Append the streamed answer to ``turns`` and return it."""
    with client.messages.stream(model=model, max_tokens=2048, messages=turns, **body) as stream:
        message = stream.get_final_message()
    turns.append({"role": "assistant", "content": message.content})
    return message


@pytest.mark.parametrize("models", [FORTH, BACK], ids=" to ".join)
@pytest.mark.parametrize("scenario", ["thinking", "redacted", "citations", "hosted", "every_event"])
def test_an_answer_is_sent_to_the_other_model(client: anthropic.Anthropic, models: list[str], scenario: str) -> None:
    turns: list[Any] = [{"role": "user", "content": asking(scenario)}]
    first = ask(client, models[0], turns, thinking=THINKING, tools=[TOOL])
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "Found"}
        for block in first.content
        if block.type == "tool_use"
    ]
    for model in (models[1], models[0]):
        turns.append({"role": "user", "content": [*results, {"type": "text", "text": asking("text")}]})
        assert ask(client, model, turns, thinking=THINKING, tools=[TOOL]).stop_reason == "end_turn"
        results = []


@pytest.mark.parametrize("models", [FORTH, BACK], ids=" to ".join)
@pytest.mark.parametrize("thinks", [False, True], ids=["plain", "thinking"])
def test_a_tool_loop_alternates_between_models(client: anthropic.Anthropic, models: list[str], thinks: bool) -> None:
    """Each model gets calls, results and thinking that the other made in the same turn."""
    turns: list[Any] = [{"role": "user", "content": asking("tool_loop:4")}]
    body: dict[str, Any] = {"tools": [TOOL]} | ({"thinking": THINKING} if thinks else {})
    for number in range(4):
        call = ask(client, models[number % 2], turns, **body).content[-1]
        assert call.name == "find_port" and call.input == {"place": "Genoa"}
        turns.append(
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": call.id, "content": f"{number} miles"}],
            }
        )
    last = ask(client, models[0], turns, **body)
    assert last.stop_reason == "end_turn"
    assert all(f'"{number} miles"' in last.content[-1].text for number in range(4))


def test_a_conversation_goes_through_every_format(client: anthropic.Anthropic) -> None:
    """Each turn is answered in another wire format, and has thinking, a call, or the picture of a result."""
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    picture: Any = {"type": "image", "source": source}
    scenarios = itertools.cycle(("thinking", "tool", "text"))
    turns: list[Any] = []
    results: list[Any] = []
    models = list(dict.fromkeys(spoken.places[0].model for spoken in SPOKEN.values()))
    for number, model in enumerate(models * 3):
        shown = [picture] if number % 4 == 0 else []
        said = {"type": "text", "text": asking(next(scenarios))}
        turns.append({"role": "user", "content": [*results, *shown, said]})
        message = ask(client, model, turns, thinking=THINKING, tools=[TOOL])
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": [{"type": "text", "text": "Found"}, picture]}
            for block in message.content
            if block.type == "tool_use"
        ]
        assert message.stop_reason == ("tool_use" if results else "end_turn")
