"""Decode streams in tests of the formats, and check what was decoded."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from router_service.core.errors import ApiError
from router_service.core.events import Ended, Event, Failed, Folding, Metered
from router_service.providers.wire_format import DecodeContext, WireFormat
from router_service.upstream.framing.sse import EventParser


def decode_stream(wire: WireFormat, pieces: Iterable[bytes], context: DecodeContext) -> list[Event]:
    """Decode a stream that arrives in ``pieces`` as the router does: bytes of no event fail the answer."""
    decoder, parser, found = wire.decoder(context), EventParser(), []
    try:
        for parsed in [*(parser.feed(piece) for piece in pieces), parser.finish()]:
            for event, data in parsed:
                batch = decoder.feed(event, data)
                found += batch.events() if batch is not None else []
    except ApiError as error:
        found.append(Failed(error))
    return found + decoder.end()


def check_grammar(events: list[Event]) -> Folding:
    """Fold ``events``; they must end once, and their counts never fall."""
    folding = Folding()
    for event in events:
        folding.add(event)
    assert folding.over
    assert sum(isinstance(event, Ended | Failed) for event in events) == 1
    counts = [event.usage for event in events if isinstance(event, Metered)]
    for before, after in itertools.pairwise(counts):
        assert after.prompt_tokens >= before.prompt_tokens
        assert after.completion_tokens >= before.completion_tokens
    return folding
