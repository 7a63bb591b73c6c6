"""Let middleware change the text of an answer without knowing events: all other events pass by it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

import msgspec

from router_service.core.events import Event, Failed, PartBegan, PartDelta, PartEnded
from router_service.core.parts import Text
from router_service.middleware.middleware import Answer


class TextFilter(Protocol):
    """Change the text of one part. It may hold text back until more of it, or its end, has arrived."""

    def feed(self, text: str) -> str:
        """Return what to pass on now."""

    def end(self) -> str:
        """Return what was held back."""


class FilteredAnswer:
    """Implement ``Answer``: each text part of ``answer`` passes through a filter of its own, by choice and part."""

    def __init__(self, answer: Answer, make_filter: Callable[[], TextFilter]) -> None:
        self._answer = answer
        self._make_filter = make_filter
        self._filters: dict[tuple[int, int], TextFilter] = {}

    async def batches(self) -> AsyncGenerator[list[Event]]:
        async with aclosing(self._answer.batches()) as batches:
            async for events in batches:
                yield [found for event in events for found in self._filtered(event)]

    def _filtered(self, event: Event) -> list[Event]:
        match event:
            case PartBegan(part=Text() as part):
                made = self._filters[event.choice, event.index] = self._make_filter()
                text = made.feed(part.text) if part.text else ""
                return [PartBegan(event.choice, event.index, msgspec.structs.replace(part, text=text))]
            case PartDelta() if (found := self._filters.get((event.choice, event.index))) is not None:
                return [_with_text(event, found.feed(event.text))] if event.text else [event]
            case PartEnded():
                found = self._filters.pop((event.choice, event.index), None)
                rest = found.end() if found is not None else ""
                return [*self._rest(event.choice, event.index, rest), event]
            case Failed():
                # The client has a right to what was held back of an answer that broke.
                return [*(one for place, f in self._filters.items() for one in self._rest(*place, f.end())), event]
        return [event]

    def _rest(self, choice: int, index: int, text: str) -> list[Event]:
        return [PartDelta(choice=choice, index=index, text=text)] if text else []


def _with_text(event: PartDelta, text: str) -> PartDelta:
    """Return ``event`` with ``text``; the probabilities of other tokens than the client sees would mislead it."""
    return event if text == event.text else msgspec.structs.replace(event, text=text, logprobs=None)
