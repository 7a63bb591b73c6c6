"""Test how often a large prompt is decoded and held on its way from a client's body to a provider's.

The body itself is not counted: it is there before.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from itertools import product
from typing import Any, NamedTuple

import msgspec
import pytest

from data.catalogue import load_catalogue
from router_service.affinity.conversation import conversation_key
from router_service.api.skins.chat.endpoint import ChatEndpoint
from router_service.api.skins.messages.endpoint import MessagesEndpoint
from router_service.api.skins.responses.endpoint import ResponsesEndpoint
from router_service.api.skins.skin import Skin
from router_service.core.exchange import Exchange
from router_service.core.request import receive_request
from router_service.providers.formats import FORMATS
from tests.router_service.providers.formats.parameter_cases import endpoint_for

TEXT = "How does a pilot read the tide tables? " * 26_000
SKINS: dict[str, Skin] = {
    "chat": ChatEndpoint(load_catalogue()),
    "messages": MessagesEndpoint(),
    "responses": ResponsesEndpoint(load_catalogue()),
}
PLACES = {
    "openai_chat": ("openai", "gpt-4.1"),
    "openai_responses": ("openai", "gpt-5.2-codex"),
    "anthropic_messages": ("anthropic", "claude-sonnet-4-5"),
    "gemini": ("google", "gemini-2.5-pro"),
    "cohere": ("cohere", "command-a-03-2025"),
    "bedrock_converse": ("amazon-bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
}
# The encoder's buffer grows by half, and what is not used of it is not given back.
BUFFER = 0.5
# A large prompt of few values is counted level by level, each of which is copied for a moment.
READING = 3.15
# What is allocated beside the prompt, as a share of it.
SMALL = 0.15
# What is decoded beside the prompt, and the texts that the key of a conversation is made of, in slices.
OTHERS = 0.05


class Held(NamedTuple):
    """Hold what was allocated, as multiples of the body: the peaks of ``reading`` and after it, large ``copies``.

    ``decoded`` is what all calls of JSON decoders together have made.
    """

    reading: float
    peak: float
    copies: list[float]
    decoded: float


def measured(run: Callable[[], tuple[Any, int]], size: int) -> Held:
    """Return what ``run`` allocates when it is run again."""
    tracemalloc.start()
    try:
        # Everything that is made but once exists after the first run.
        run()
        tracemalloc.clear_traces()
        tracemalloc.reset_peak()
        kept, reading = run()
        peak = tracemalloc.get_traced_memory()[1]
        found = sorted((trace.size / size for trace in tracemalloc.take_snapshot().traces), reverse=True)
        del kept
        decoded = decoded_bytes(run)
    finally:
        tracemalloc.stop()
    return Held(reading / size, peak / size, [one for one in found if one > 0.4], decoded / size)


def decoded_bytes(run: Callable[[], Any]) -> int:
    """Return the bytes that the JSON decoders allocate in ``run``, whether what they make is kept or not."""
    sizes: list[int] = []
    before = 0

    def watch(frame: Any, event: str, called: Any) -> None:
        nonlocal before
        if isinstance(getattr(called, "__self__", None), msgspec.json.Decoder) or called is msgspec.json.decode:
            if event == "c_call":
                before = tracemalloc.get_traced_memory()[0]
                tracemalloc.reset_peak()
            else:
                sizes.append(tracemalloc.get_traced_memory()[1] - before)

    sys.setprofile(watch)
    try:
        run()
    finally:
        sys.setprofile(None)
    return sum(sizes)


def carried(skin: str, wire_format: str, place: tuple[str, str], turns: int) -> tuple[Held, bytes]:
    """Return what is held of a prompt once the skin has read it and the format has written it, and the result."""
    named = "input" if skin == "responses" else "messages"
    body = msgspec.json.encode({"model": "a/b", named: said(turns), "stream": True, "max_tokens": 1000})
    endpoint = endpoint_for(wire_format, *place)
    sent: list[bytes] = []

    def run() -> tuple[Any, int]:
        exchange = Exchange(receive_request(skin, {}))
        exchange.request = exchange.request.with_body(body)
        parsed = SKINS[skin].parse(exchange, b"", load_catalogue())
        reading = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        head = exchange.request.head
        assert head is not None
        conversation_key("key", head, {})
        encoded = FORMATS[wire_format].encode_source(parsed.source, endpoint, "gen-1")
        sent[:] = [encoded.request.body]
        return (exchange, parsed, encoded), reading

    return measured(run, len(body)), sent[0]


@pytest.mark.parametrize("place", [PLACES["openai_chat"], ("deepinfra", "openai/gpt-oss-120b")], ids=lambda one: one[0])
@pytest.mark.parametrize("turns", [1, 51])
def test_a_prompt_of_the_same_dialect_is_copied_twice_and_never_decoded(place: tuple[str, str], turns: int) -> None:
    """One copy are the messages that routing reads, the other one is the provider's body."""
    held, sent = carried("chat", "openai_chat", place, turns)
    assert len(held.copies) == 2 and held.decoded < OTHERS, held
    assert held.peak < 2 + BUFFER + SMALL and held.reading < READING
    assert TEXT[:1000].encode() in sent


@pytest.mark.parametrize(
    ("skin", "wire_format"), [pair for pair in product(SKINS, PLACES) if pair != ("chat", "openai_chat")]
)
def test_a_prompt_of_another_dialect_is_decoded_once_and_copied_twice(skin: str, wire_format: str) -> None:
    """The text is there once beside the two copies; nothing else of its size is alive even for a moment."""
    held, sent = carried(skin, wire_format, PLACES[wire_format], 1)
    # The messages that routing reads are written by an encoder, unless they are those of the client.
    most = 3 + SMALL + (BUFFER if skin == "chat" else 2 * BUFFER)
    assert len(held.copies) == 3 and 1 - OTHERS < held.decoded < 1 + OTHERS, held
    assert held.peak < most and held.reading < READING
    assert TEXT.encode() in sent
    many, _ = carried(skin, wire_format, PLACES[wire_format], 51)
    assert len(many.copies) == 2 and many.peak < most and many.decoded < 1 + OTHERS, many


def said(turns: int) -> list[dict[str, Any]]:
    """Return a conversation of about a megabyte."""
    text = TEXT[: len(TEXT) // turns]
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place in range(turns)]
