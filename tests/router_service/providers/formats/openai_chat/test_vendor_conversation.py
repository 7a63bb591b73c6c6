"""Test that a conversation which meets another dialect at every turn is never refused, and loses nothing that was said.

Each turn is sent to the lab's imitation of a vendor, which refuses what the vendor refuses and answers in its shapes.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from data.catalogue.types import Endpoint
from lab.server import Lab, create_app
from router_service.api.skins.chat.parse import parse_generation
from router_service.core.events import Event, Result
from router_service.core.request_source import RequestSource
from router_service.core.wire.chat import DIALECT
from router_service.core.wire.chat_traits import inspect_messages
from router_service.providers.credentials import Credentials
from router_service.providers.formats.openai_chat import dialect as dialects
from router_service.providers.formats.openai_chat.dialect import dialect_of
from router_service.upstream.client import open_client
from router_service.upstream.framing.sse import EventParser
from tests.conftest import serving
from tests.router_service.providers.formats.openai_chat.wire import FORMAT, calls_of, folded, reasoning_of, text_of
from tests.router_service.providers.formats.parameter_cases import endpoint_for

ROWS = list(dialects._rows())
IMAGE = "data:image/png;base64,iVBORw0KGgogdGhlIHF1YXk="
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("tide", "depth-of", "berths")
]


@pytest.fixture(scope="module")
def lab() -> Iterator[str]:
    with serving(create_app(Lab(time_scale=0.0, faults=False, strict=True))) as url:
        yield url


@pytest.fixture
async def upstream() -> AsyncIterator[Any]:
    client = open_client("direct", 60)
    yield client
    await client.close()


def encoded_turn(at: Endpoint, messages: list[Any], *, stream: bool, reasoning: Any) -> Any:
    """Return the request that a client's body becomes at ``at``."""
    body = {"model": "m", "messages": messages, "tools": TOOLS, "stream": stream, "max_tokens": 4000, **reasoning}
    fields = msgspec.json.decode(msgspec.json.encode(body), type=dict[str, Raw])
    source = RequestSource(DIALECT, fields, inspect_messages(fields["messages"]), stream, parse_generation)
    return FORMAT.encode_source(source, at, "gen-1")


async def asked(upstream: Any, at: Endpoint, messages: list[Any], *, stream: bool, reasoning: Any) -> Result:
    """Return the answer of ``at``, which must not refuse."""
    encoded = encoded_turn(at, messages, stream=stream, reasoning=reasoning)
    answer = await upstream.send(await Credentials(lab=True).sign(encoded.request, at), 60)
    assert answer.status == 200, (at.id, answer.body, encoded.request.body)
    if not stream:
        return folded(FORMAT.decode(answer.body, encoded.context))
    decoder, parser = FORMAT.decoder(encoded.context), EventParser()
    events: list[Event] = []
    for name, data in parser.feed(answer.body) + parser.finish():
        batch = decoder.feed(name, data)
        events += batch.events() if batch is not None else []
    return folded(events + decoder.end())


def as_message(result: Result) -> dict[str, Any]:
    """Return an answer as the router shows it, and as a client sends it back."""
    calls = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in calls_of(result)
    ]
    message = {"role": "assistant", "content": text_of(result) or None, "refusal": None}
    return message | {"reasoning": reasoning_of(result) or None} | ({"tool_calls": calls} if calls else {})


def next_turns(last: dict[str, Any], scenario: str, image: str | None) -> list[dict[str, Any]]:
    """Return the results of the calls of the last answer and, if there were none, what the user says."""
    if last.get("tool_calls"):
        return [{"role": "tool", "tool_call_id": call["id"], "content": "High water."} for call in last["tool_calls"]]
    said: list[dict[str, Any]] = [{"type": "text", "text": f"What now, pilot? [lab:scenario={scenario}]"}]
    return [{"role": "user", "content": said + ([{"type": "image_url", "image_url": {"url": image}}] if image else [])}]


@pytest.mark.parametrize("seed", range(8))
async def test_no_dialect_refuses_the_turns_of_the_others(lab: str, upstream: Any, seed: int) -> None:
    dice = random.Random(seed)
    rows = dice.sample(ROWS, len(ROWS))
    messages: list[Any] = [{"role": "system", "content": "You are a pilot."}]
    last: dict[str, Any] = {}
    for turn, provider in enumerate(rows):
        scenario = dice.choice(("text", "thinking", "tool", "parallel_tools", "text"))
        if not dialect_of(provider, "model-1").tools:
            scenario = "text"
        messages += next_turns(last, scenario, IMAGE if turn % 5 == 0 else None)
        at = msgspec.structs.replace(endpoint_for("openai_chat", provider, "model-1"), base_url=f"{lab}/{provider}/v1")
        if last.get("tool_calls") and dice.random() < 0.3:
            # The user says something before the model has read the results.
            messages.append({"role": dice.choice(("user", "system")), "content": "Hurry. [lab:scenario=text]"})
        reasoning = dice.choice(({}, {"reasoning": {"enabled": True}}, {"reasoning": {"enabled": False}}))
        if not dialect_of(provider, "model-1").tools and last.get("tool_calls"):
            # The scenario of a tool goes on after its results, and this vendor calls no tools.
            messages.append({"role": "user", "content": "Go on. [lab:scenario=text]"})
        result = await asked(upstream, at, messages, stream=dice.random() < 0.5, reasoning=reasoning)
        assert result.error is None and result.choices[0].finished is not None, provider
        assert "<think>" not in text_of(result)
        last = as_message(result)
        assert last["content"] or last.get("tool_calls"), provider
        messages.append(last)
    sent = encoded_turn(
        endpoint_for("openai_chat", "openai", "gpt-4.1"),
        [*messages, *next_turns(last, "text", None)],
        stream=False,
        reasoning={},
    )
    told = sent.request.body.decode()
    assert all(json_text(one["content"]) in told for one in messages if one["role"] == "assistant" and one["content"])


def json_text(text: str) -> str:
    """Return a text as it stands within JSON."""
    return msgspec.json.encode(text).decode()[1:-1]
