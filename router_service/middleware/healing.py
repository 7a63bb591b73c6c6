"""Repair JSON that a model wrote almost right, as the reference's plugin ``response-healing`` does.

It acts on non-streaming responses to requests for JSON. An answer that was cut off is not repaired, because what is
missing cannot be guessed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import json_repair
import msgspec

from router_service.core.events import Event, Finished, PartBegan, PartDelta
from router_service.core.exchange import Exchange
from router_service.core.generation import GenerationRequest
from router_service.core.parts import Text
from router_service.middleware.middleware import Answer, Needs, Next

# Repairing takes about 30 µs a character, in a thread that shares the interpreter with all requests.
MAX_REPAIRED_CHARACTERS = 16_000
# Extracting is fast; this bounds what is decoded at once on the event loop.
MAX_EXTRACTED_CHARACTERS = 256_000
_FAULTS = (msgspec.DecodeError, UnicodeError, RecursionError)


class ResponseHealing:
    """Implement ``Middleware``."""

    name = "response-healing"
    needs: Needs = "text"

    async def __call__(self, exchange: Exchange, request: GenerationRequest, next: Next) -> Answer:
        answer = await next(exchange, request)
        return answer if request.stream or request.output.kind == "text" else _HealedAnswer(answer)


class _HealedAnswer:
    """Implement ``Answer`` by the events of a complete answer, whose texts are repaired."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def batches(self) -> AsyncGenerator[list[Event]]:
        async with aclosing(self._answer.batches()) as batches:
            events = [event async for batch in batches for event in batch]
        complete = {event.choice for event in events if isinstance(event, Finished) and event.reason == "stop"}
        texts: dict[tuple[int, int], str] = {}
        for event in events:
            if isinstance(event, PartBegan) and isinstance(event.part, Text) and event.choice in complete:
                texts[event.choice, event.index] = event.part.text
            elif isinstance(event, PartDelta) and (event.choice, event.index) in texts:
                texts[event.choice, event.index] += event.text
        healed = {place: found for place, text in texts.items() if (found := await heal(text)) is not None}
        yield [_with_healed(event, healed) for event in events]


def _with_healed(event: Event, healed: dict[tuple[int, int], str]) -> Event:
    """Return ``event`` with the text of its part, which its beginning has alone."""
    if isinstance(event, PartBegan) and isinstance(event.part, Text):
        text = healed.get((event.choice, event.index))
        if text is not None:
            return PartBegan(event.choice, event.index, msgspec.structs.replace(event.part, text=text))
    elif isinstance(event, PartDelta) and (event.choice, event.index) in healed:
        # The probabilities are those of tokens that the client does not see.
        return msgspec.structs.replace(event, text="", logprobs=None)
    return event


async def heal(text: str) -> str | None:
    """Return the JSON that ``text`` was meant to be, or ``None`` where it is JSON already or cannot be repaired.

    A JSON value between other text is returned as it was written. Otherwise brackets, commas, quotes and unquoted keys
    are repaired.
    """
    if len(text) > MAX_EXTRACTED_CHARACTERS or _is_json(text):
        return None
    start = min((place for bracket in "{[" if (place := text.find(bracket)) >= 0), default=-1)
    if start < 0:
        return None
    end = text.rfind("}" if text[start] == "{" else "]")
    if end > start and _is_json(text[start : end + 1]):
        return text[start : end + 1]
    if len(text) > MAX_REPAIRED_CHARACTERS:
        return None
    return await asyncio.to_thread(_repair, text[start:])


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except _FAULTS:
        return False
    return True


def _repair(text: str) -> str | None:
    try:
        found = json_repair.repair_json(text, return_objects=True, skip_json_loads=True)
        return msgspec.json.encode(found).decode() if isinstance(found, dict | list) and found else None
    except (ValueError, TypeError, RecursionError):
        return None
