"""Test how often a large prompt is held on its way from a client's body to a provider's, in every wire format."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import pytest

from data.catalogue import load_catalogue
from router_service.affinity.conversation import conversation_key
from router_service.api.skins.chat.endpoint import ChatEndpoint
from router_service.core.exchange import Exchange
from router_service.core.request import receive_request
from router_service.providers.formats import FORMATS
from tests.router_service.providers.formats.parameter_cases import endpoint_for

TEXT = "How does a pilot read the tide tables? " * 26_000
# A provider of each format that copies messages (the first two), or that needs their parts.
SPLICED = (("openai_chat", "openai", "gpt-4.1"), ("openai_chat", "deepinfra", "openai/gpt-oss-120b"))
TRANSLATED = (
    ("openai_responses", "openai", "gpt-5.2-codex"),
    ("anthropic_messages", "anthropic", "claude-sonnet-4-5"),
    ("gemini", "google", "gemini-2.5-pro"),
    ("cohere", "cohere", "command-a-03-2025"),
)
# The encoder's buffer grows by half, and what is not used of it is not given back.
BUFFER = 0.5
# A large prompt of few values is counted level by level, each of which is copied for a moment.
READING = 3.15
# What is allocated beside the prompt, as a share of it.
SMALL = 0.15


class Held(NamedTuple):
    """Hold what was allocated, as multiples of the body: the peaks of ``reading`` and after it, large ``copies``."""

    reading: float
    peak: float
    copies: list[float]


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
    finally:
        tracemalloc.stop()
    del kept
    return Held(reading / size, peak / size, [one for one in found if one > 0.4])


def carried(wire_format: str, provider: str, model: str, messages: list[dict[str, Any]]) -> tuple[Held, bytes]:
    """Return what is held of a prompt once the chat skin has read it and the format has written it, and the result."""
    body = msgspec.json.encode({"model": "a/b", "messages": messages, "stream": True})
    skin, endpoint = ChatEndpoint(load_catalogue()), endpoint_for(wire_format, provider, model)
    sent: list[bytes] = []

    def run() -> tuple[Any, int]:
        exchange = Exchange(receive_request("chat", {}))
        exchange.request = exchange.request.with_body(body)
        parsed = skin.parse(exchange, b"", load_catalogue())
        reading = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        head = exchange.request.head
        assert head is not None
        conversation_key("key", head, {})
        encoded = FORMATS[wire_format].encode_source(parsed.source, endpoint, "gen-1")
        sent[:] = [encoded.request.body]
        return (exchange, parsed, encoded), reading

    return measured(run, len(body)), sent[0]


@pytest.mark.parametrize(("wire_format", "provider", "model"), SPLICED, ids=lambda one: one.replace("/", "-"))
@pytest.mark.parametrize("turns", [1, 51])
def test_a_prompt_of_the_same_dialect_is_copied_twice_and_never_decoded(
    wire_format: str, provider: str, model: str, turns: int
) -> None:
    """One copy are the messages that routing reads, the other one is the provider's body."""
    held, sent = carried(wire_format, provider, model, said(turns))
    assert len(held.copies) == 2, held
    assert held.peak < 2 + BUFFER + SMALL and held.reading < READING
    assert TEXT[:1000].encode() in sent


@pytest.mark.parametrize(("wire_format", "provider", "model"), TRANSLATED, ids=lambda one: one)
def test_a_prompt_of_another_dialect_is_decoded_once_and_copied_twice(
    wire_format: str, provider: str, model: str
) -> None:
    """The text is there once; nothing else of its size is alive even for a moment."""
    held, sent = carried(wire_format, provider, model, said(1))
    assert len(held.copies) == 3, held
    assert held.peak < 3 + BUFFER + SMALL and held.reading < READING
    assert TEXT.encode() in sent
    many, _ = carried(wire_format, provider, model, said(51))
    assert len(many.copies) == 2 and many.peak < 3 + BUFFER + SMALL


def said(turns: int) -> list[dict[str, Any]]:
    """Return a conversation of about a megabyte."""
    text = TEXT[: len(TEXT) // turns]
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place in range(turns)]
