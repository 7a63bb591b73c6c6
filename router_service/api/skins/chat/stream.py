"""Render an answer as a stream of chunks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from router_service.api.skins.chat.choice_stream import ChoiceStream
from router_service.api.skins.chat.render import ResponseHead, system_fingerprint
from router_service.api.skins.error_envelope import error_object
from router_service.api.skins.usage_json import ChatUsage
from router_service.core.answer import Batch, DeltaFrame, SplicedChoice, TextBatch
from router_service.core.errors import ApiError
from router_service.core.events import Began, Ended, Event, Failed, Finished, Metered, PartBegan, PartDelta, PartEnded
from router_service.core.parts import Opaque, Reasoning
from router_service.core.wire.chat import DIALECT

DONE = b"data: [DONE]\n\n"
HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_encode = msgspec.json.Encoder().encode
# Clients take an error chunk for the end of a choice.
_FAILED = msgspec.Raw(b'[{"index":0,"delta":{"content":""},"finish_reason":"error","native_finish_reason":null}]')


class _CallIndex(msgspec.Struct):
    index: int = 0


class _SplicedCalls(msgspec.Struct):
    tool_calls: list[_CallIndex] | None = None


_spliced_calls = msgspec.json.Decoder(_SplicedCalls)


class ChatStreamRenderer:
    """Render the batches of one answer, in order, to server-sent events; each result consists of complete ones.

    Batches of the chat dialect are spliced: their verified deltas are sent unchanged. Between them others may come as
    events, as reasoning does. Where reasoning is excluded, everything is read as events. ``ended`` is true and
    ``error`` is set once a batch has ended the answer: then ``close`` or ``fail`` sends what ends the stream.
    """

    def __init__(self, head: ResponseHead, *, exclude_reasoning: bool = False) -> None:
        self._exclude_reasoning = exclude_reasoning
        self._choices: dict[int, ChoiceStream] = {}
        self._fingerprint: str | None = None
        self._reasons = False
        # The chunk around a text, for the frame of the delta that was rendered last.
        self._frame: DeltaFrame | None = None
        self._before = self._after = b""
        self.ended = False
        self.error: ApiError | None = None
        self.served_by(head)

    def served_by(self, head: ResponseHead) -> None:
        """Set what all later chunks say of the answer; an unknown service tier is left out."""
        self._head = head
        fields: dict[str, Any] = {
            "id": head.id,
            "object": "chat.completion.chunk",
            "created": head.created,
            "model": head.model,
            "provider": head.provider,
        }
        if head.service_tier is not None:
            fields["service_tier"] = head.service_tier
        if self._fingerprint is not None:
            fields["system_fingerprint"] = self._fingerprint
        self._prefix = b"data: " + _encode(fields)[:-1] + b',"choices":'
        self._frame = None

    def render(self, batch: Batch) -> bytes:
        """Return the chunks of ``batch``, empty if it has nothing for the client."""
        if type(batch) is TextBatch and batch.frame is self._frame:
            return self._before + batch.text + self._after
        if batch.dialect != DIALECT or self._exclude_reasoning:
            return self.feed(batch.events())
        if batch.is_plain and not self._reasons:
            if type(batch) is TextBatch:
                self._keep_frame(batch.frame)
            return self._prefix + _encode(batch.spliced) + b"}\n\n"
        if batch.began is not None:
            self._note(batch.began)
        if self._reasons and any(choice.has_open_reasoning for choice in self._choices.values()):
            return self._end_reasoning(batch.events()) + self._splice(batch)
        return self._splice(batch)

    def feed(self, events: Iterable[Event]) -> bytes:
        """Return the chunks of ``events``."""
        found: list[bytes] = []
        for event in events:
            match event:
                case PartDelta():
                    choice = self._choice(event.choice)
                    choice.add(event)
                case PartBegan():
                    choice = self._choice(event.choice)
                    if isinstance(event.part, Reasoning | Opaque):
                        if self._exclude_reasoning and isinstance(event.part, Reasoning):
                            continue
                        self._reasons, self._frame = True, None
                    choice.begin(event)
                case PartEnded():
                    choice = self._choice(event.choice)
                    choice.end(event)
                case Finished():
                    choice = self._choice(event.choice)
                    choice.finish(event, with_signatures=not self._exclude_reasoning)
                case _:
                    self._note(event)
                    continue
            if choice.found:
                self._take(choice, found)
        return b"".join(found)

    def close(self, usage: ChatUsage, **more: Any) -> bytes:
        """Return the end of a complete stream: the usage, with ``more`` fields, and the last event."""
        return self._chunk((), {"usage": usage, **more}) + DONE

    def fail(self, error: ApiError, **more: Any) -> bytes:
        """Return the end of a stream that broke: the error, with ``more`` fields, and the last event."""
        return self._chunk(_FAILED, {"error": error_object(error), **more}) + DONE

    def _note(self, event: Event) -> None:
        match event:
            case Began():
                self._fingerprint = system_fingerprint(event) or self._fingerprint
                if self._fingerprint is not None or event.service_tier is not None:
                    self._served_in(event.service_tier)
            case Ended():
                self.ended = True
            case Failed():
                self.ended, self.error = True, event.error
            case Metered():
                # The usage that the client sees is priced by the caller.
                if event.service_tier not in (None, self._head.service_tier):
                    self._served_in(event.service_tier)

    def _served_in(self, tier: str | None) -> None:
        self.served_by(msgspec.structs.replace(self._head, service_tier=tier or self._head.service_tier))

    def _choice(self, number: int) -> ChoiceStream:
        choice = self._choices.get(number)
        if choice is None:
            choice = self._choices[number] = ChoiceStream(number, self._head.id, self._head.created)
        return choice

    def _take(self, choice: ChoiceStream, found: list[bytes]) -> None:
        """Add the chunks of ``choice``. SDKs want choices to begin in the order of their numbers."""
        for number in range(choice.number):
            lower = self._choice(number)
            if not lower.is_announced:
                lower.announce()
                found += [self._chunk((one,)) for one in lower.found]
                lower.found = []
        found += [self._chunk((one,)) for one in choice.found]
        choice.found = []

    def _keep_frame(self, frame: DeltaFrame) -> None:
        """Keep the chunk around the texts of ``frame``, so that each of them is sent by joining three pieces."""
        choice = SplicedChoice(frame.index, msgspec.Raw(frame.before + frame.after), None, None, frame.logprobs)
        encoded = self._prefix + _encode((choice,)) + b"}\n\n"
        text_at = len(self._prefix) + len(b'[{"index":%d,"delta":' % frame.index) + len(frame.before)
        self._frame, self._before, self._after = frame, encoded[:text_at], encoded[text_at:]

    def _end_reasoning(self, events: Iterable[Event]) -> bytes:
        """Return what closes open reasoning; the rest of ``events`` is spliced."""
        found: list[bytes] = []
        for event in events:
            if isinstance(event, PartEnded):
                choice = self._choice(event.choice)
                choice.end_reasoning(event)
                if choice.found:
                    self._take(choice, found)
        return b"".join(found)

    def _splice(self, batch: Batch) -> bytes:
        spliced = batch.spliced
        for one in spliced:
            choice = self._choice(one.index)
            choice.is_announced = True
            choice.is_finished = choice.is_finished or one.finish_reason is not None
            if batch.has_calls:
                calls = _spliced_calls.decode(one.delta).tool_calls or ()
                choice.call_count = max([choice.call_count, *(call.index + 1 for call in calls)])
        if len(spliced) == 1 or len({one.index for one in spliced}) == len(spliced):
            return self._chunk(spliced) if spliced else b""
        # Several deltas of one choice in one chunk are more than SDKs expect.
        return b"".join(self._chunk((one,)) for one in spliced)

    def _chunk(self, choices: Any, more: dict[str, Any] | None = None) -> bytes:
        rest = b"," + _encode(more)[1:] if more else b"}"
        return self._prefix + _encode(choices) + rest + b"\n\n"
