"""Write the events of an answer as the chunks of a text completion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from data.catalogue.types import Catalogue
from router_service.api.metadata import metadata
from router_service.api.skins.completions.render import (
    LegacyLogprobs,
    completion_head,
    legacy_finish_reason,
    opening_reasoning,
    opening_text,
)
from router_service.api.skins.error_envelope import error_object
from router_service.api.skins.usage_json import usage_json
from router_service.core.answer import Batch
from router_service.core.errors import ApiError
from router_service.core.events import Ended, Event, Failed, Finished, PartBegan, PartDelta, PartEnded
from router_service.core.exchange import Exchange
from router_service.core.outgoing_json import outgoing_json

_DONE = b"data: [DONE]\n\n"


class _OpenChoice(msgspec.Struct):
    """Hold one choice. ``texts`` are its open parts by index: the first is sent at once, and what later ones say waits.

    ``over`` are those that have ended while they waited, ``thoughts`` the open parts of reasoning.
    """

    texts: dict[int, list[PartDelta]]
    over: set[int]
    thoughts: set[int]
    logprobs: LegacyLogprobs


class CompletionRenderer:
    """Implement ``StreamRenderer``."""

    __slots__ = ("_catalogue", "_choices", "_exchange", "_exclude_reasoning", "_found", "over")

    def __init__(self, exchange: Exchange, catalogue: Catalogue, *, exclude_reasoning: bool = False) -> None:
        self.over = False
        self._exchange = exchange
        self._catalogue = catalogue
        self._exclude_reasoning = exclude_reasoning
        self._choices: dict[int, _OpenChoice] = {}
        self._found: list[bytes] = []

    def render(self, batches: Sequence[Batch]) -> bytes:
        """Return complete server-sent events for ``batches``."""
        for batch in batches:
            for event in batch.events():
                if self.over:
                    break
                try:
                    self._event(event)
                except ApiError as error:
                    self._fail(error)
        return self._take()

    def fail(self, error: ApiError) -> bytes:
        """Return the chunk that ends a stream which has no answer; none if the stream is over."""
        if not self.over:
            self._fail(error)
        return self._take()

    def _event(self, event: Event) -> None:
        match event:
            case PartBegan():
                self._begin(event)
            case PartDelta():
                self._add(event)
            case PartEnded():
                self._end(event)
            case Finished():
                reason = legacy_finish_reason(event)
                self._say(event.choice, "", finish_reason=reason, native_finish_reason=event.native)
            case Failed():
                raise event.error
            case Ended():
                more = {"usage": usage_json(self._exchange)} | metadata(self._exchange, self._catalogue)
                self._close(completion_head(self._exchange) | {"choices": []} | more)

    def _choice(self, number: int) -> _OpenChoice:
        if number not in self._choices:
            self._choices[number] = _OpenChoice({}, set(), set(), LegacyLogprobs())
        return self._choices[number]

    def _begin(self, event: PartBegan) -> None:
        choice = self._choice(event.choice)
        text, thought = opening_text(event.part), opening_reasoning(event.part)
        if text is not None:
            choice.texts[event.index] = []
            self._add(PartDelta(choice=event.choice, index=event.index, text=text))
        elif thought is not None and not self._exclude_reasoning:
            choice.thoughts.add(event.index)
            self._add(PartDelta(choice=event.choice, index=event.index, text=thought))

    def _add(self, event: PartDelta) -> None:
        choice = self._choice(event.choice)
        if event.index in choice.thoughts and event.text:
            self._say(event.choice, "", reasoning=event.text)
        elif event.index in choice.texts and (event.text or event.logprobs is not None):
            if event.index == next(iter(choice.texts)):
                self._say_text(choice, event)
            else:
                choice.texts[event.index].append(event)

    def _end(self, event: PartEnded) -> None:
        """Close a part, and send what waited for it."""
        choice = self._choice(event.choice)
        if event.index not in choice.texts:
            return
        choice.over.add(event.index)
        while choice.texts and (first := next(iter(choice.texts))) in choice.over:
            del choice.texts[first]
            for waited in choice.texts[next(iter(choice.texts))] if choice.texts else ():
                self._say_text(choice, waited)

    def _say_text(self, choice: _OpenChoice, event: PartDelta) -> None:
        logprobs = None if event.logprobs is None else choice.logprobs.of([event.logprobs])
        self._say(event.choice, event.text, logprobs=logprobs)

    def _say(self, number: int, text: str, **more: Any) -> None:
        choice = {"index": number, "text": text, "logprobs": None, "finish_reason": None, **more}
        self._write(completion_head(self._exchange) | {"choices": [choice]})

    def _fail(self, error: ApiError) -> None:
        choice = {"index": 0, "text": "", "logprobs": None, "finish_reason": "error", "native_finish_reason": None}
        more = {"error": error_object(error)} | metadata(self._exchange, self._catalogue, error)
        self._close(completion_head(self._exchange) | {"choices": [choice]} | more)

    def _close(self, chunk: dict[str, Any]) -> None:
        self.over = True
        self._write(chunk)
        self._found.append(_DONE)

    def _write(self, chunk: dict[str, Any]) -> None:
        self._found.append(b"data: %b\n\n" % outgoing_json(chunk))

    def _take(self) -> bytes:
        found = b"".join(self._found)
        self._found.clear()
        return found
