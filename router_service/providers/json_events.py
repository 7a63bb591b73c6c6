"""Rewrite the events of an answer whose text was asked for as JSON in words, so that its text is JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from router_service.core.answer import Batch, EventBatch, commits
from router_service.core.events import Ended, Event, Failed, Finished, PartBegan, PartDelta, PartEnded
from router_service.core.parts import Text
from router_service.providers.json_text import JsonText
from router_service.providers.wire_format import DecodeContext, EventDecoder


@dataclass(slots=True)
class _ChoiceText:
    """Hold the text of one choice: ``open_part`` is the index of its open part of text.

    The end of that part, ``ended``, waits for the end of the choice, which says whether open brackets may be closed.
    """

    json: JsonText = field(default_factory=JsonText)
    open_part: int | None = None
    ended: PartEnded | None = None


class JsonTextEvents:
    """Rewrite the events of one answer in their order."""

    def __init__(self) -> None:
        self._choices: dict[int, _ChoiceText] = {}

    def rewrite(self, events: Sequence[Event]) -> list[Event]:
        """Return what ``events`` become. They keep the grammar of events."""
        return [made for event in events for made in self._take(event)]

    def _take(self, event: Event) -> list[Event]:
        match event:
            case PartBegan(part=Text() as part):
                choice = self._choices.setdefault(event.choice, _ChoiceText())
                closed, choice.open_part = self._release(choice), event.index
                opened = msgspec.structs.replace(part, text=choice.json.feed(part.text))
                return [*closed, PartBegan(event.choice, event.index, opened)]
            case PartDelta() if (found := self._open_at(event)) is not None:
                # The log probabilities are those of tokens that the client does not see.
                text = found.json.feed(event.text)
                return [msgspec.structs.replace(event, text=text, logprobs=None)] if text or event.citation else []
            case PartEnded() if (found := self._open_at(event)) is not None:
                found.ended = event
                return []
            case Finished() if event.choice in self._choices:
                return [*self._finish(event.choice, is_complete=event.reason == "stop"), event]
            case Ended() | Failed():
                return [*(e for choice in self._choices for e in self._finish(choice, is_complete=False)), event]
        return [event]

    def _open_at(self, event: PartDelta | PartEnded) -> _ChoiceText | None:
        choice = self._choices.get(event.choice)
        return choice if choice is not None and choice.open_part == event.index else None

    def _finish(self, number: int, *, is_complete: bool) -> list[Event]:
        """Return the rest of the text of a choice, and the end of its part."""
        choice = self._choices[number]
        if choice.open_part is None:
            return []
        rest = choice.json.end(is_complete=is_complete)
        written: list[Event] = [PartDelta(choice=number, index=choice.open_part, text=rest)] if rest else []
        return written + self._release(choice)

    @staticmethod
    def _release(choice: _ChoiceText) -> list[Event]:
        ended, choice.ended, choice.open_part = choice.ended, None, None
        return [] if ended is None else [ended]


class JsonEventDecoder:
    """Implement ``EventDecoder``: pass on what ``decoder`` reads, with text that is JSON."""

    def __init__(self, decoder: EventDecoder) -> None:
        self._decoder = decoder
        self._texts = JsonTextEvents()

    def feed(self, event: str | None, data: bytes) -> Batch | None:
        """Return what one event says."""
        batch = self._decoder.feed(event, data)
        if batch is None:
            return None
        events = self._texts.rewrite(batch.events())
        return EventBatch(events, has_content=commits(events))

    def end(self) -> list[Event]:
        """Return the events that close an answer whose stream has ended."""
        return self._texts.rewrite(self._decoder.end())


def with_json_text(events: list[Event], context: DecodeContext) -> list[Event]:
    """Return the events of a non-streaming response, whose text is JSON if it was asked for as JSON in words."""
    return JsonTextEvents().rewrite(events) if context.json_text else events


def decoding_json_text(decoder: EventDecoder, context: DecodeContext) -> EventDecoder:
    """Return ``decoder``, which passes on JSON alone if the text was asked for as JSON in words."""
    return JsonEventDecoder(decoder) if context.json_text else decoder
