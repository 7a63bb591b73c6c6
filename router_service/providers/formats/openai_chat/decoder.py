"""Decode streams: one JSON chunk per event, ``[DONE]`` at the end.

A chunk whose choices were verified is a ``LazyBatch``. A reader may read the events of every batch, or the verified
choices where there are any and the events of the other batches. These stand on their own: reasoning, usage, the end and
failures are always events, and the beginning is a field of the batch whose choices came with it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from router_service.core.answer import Batch, EventBatch, LazyBatch, SplicedChoice, TextBatch
from router_service.core.errors import ApiError
from router_service.core.events import Began, Event, Failed
from router_service.providers.formats.openai_chat.dialect import NAME
from router_service.providers.formats.openai_chat.errors import find_error, typed_body
from router_service.providers.formats.openai_chat.odd_types import fitted_choices, fitted_piece, joined_halves
from router_service.providers.formats.openai_chat.repeated_text import MAX_FRAMES, ChunkFrame, decode_text, frame_of
from router_service.providers.formats.openai_chat.state import (
    AnswerState,
    began,
    began_of,
    encoded_delta,
    says_something,
)
from router_service.providers.formats.openai_chat.text_repair import TextJoiner, cleaned, read_escaped
from router_service.providers.formats.openai_chat.wire import (
    NULL,
    Choice,
    Chunk,
    OpeningChunk,
    Piece,
    VerifiedDelta,
    encoded_json,
    fitted_logprobs,
)
from router_service.providers.wire_format import DecodeContext

_decode_opening = msgspec.json.Decoder(OpeningChunk).decode
_decode_chunk = msgspec.json.Decoder(Chunk).decode
_decode_said = msgspec.json.Decoder(VerifiedDelta | None).decode
_decode_any = msgspec.json.Decoder().decode
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# As numbers: CPython looks for one in a fraction of the time that it needs for bytes of length one.
LINE_FEED, CARRIAGE_RETURN = 10, 13
_UNFINISHED = "The provider's stream ended before it was finished"


class ChatDecoder:
    """Implement ``EventDecoder``."""

    def __init__(self, context: DecodeContext) -> None:
        self._state = AnswerState(context)
        self._choices = context.choices
        self._unfinished = self._state.unfinished
        self._joiner = TextJoiner()
        self._held = self._joiner.held
        self._frame: ChunkFrame | None = None
        self._frames_left = MAX_FRAMES
        self._has_begun = False
        self._has_content = False
        self._closed = False

    def feed(self, event: str | None, data: bytes) -> Batch | None:  # noqa: ARG002 - the format names no events
        """Return what one event says."""
        if self._closed:
            return None
        if (frame := self._frame) is not None and data.startswith(frame.before) and data.endswith(frame.after):
            text = data[len(frame.before) : len(data) - len(frame.after)]
            if (found := self._take_text(frame, text)) is not None:
                return found
        # Verified bytes must stay on one line of the client's own stream.
        if not self._held and LINE_FEED not in data and CARRIAGE_RETURN not in data:
            try:
                if not self._has_begun:
                    opening = _decode_opening(data)
                    if opening.choices and opening.error is None:
                        saids = [_decode_said(choice.delta) for choice in opening.choices]
                        return self._take_typed(opening, opening.choices, saids, _began(opening))
                else:
                    chunk = _decode_chunk(data)
                    choices = chunk.choices
                    if choices and chunk.error is None:
                        if len(choices) == 1 and chunk.usage is None and chunk.x_groq is None:
                            choice = choices[0]
                            said = _decode_said(choice.delta)
                            # Most chunks add text to a choice that has begun: nothing in them has to be fitted.
                            if (
                                said is not None
                                and choice.index in self._unfinished
                                and choice.finish_reason is None
                                and not (
                                    said.tool_calls
                                    or said.images
                                    or said.function_call
                                    or said.annotations
                                    or choice.usage
                                )
                            ):
                                if self._frames_left and self._has_content and said.content:
                                    self._frames_left -= 1
                                    self._frame = frame_of(data, choice, said)
                                return self._take_plain(choice, said)
                            if said is not None and said.tool_calls and self._continues_call(choice, said):
                                return self._take_plain(choice, said)
                            return self._take_typed(chunk, choices, [said])
                        return self._take_typed(chunk, choices, [_decode_said(choice.delta) for choice in choices])
                    if chunk.usage is not None and chunk.error is None:
                        self._state.count(chunk.usage, chunk.x_groq, chunk.service_tier)
                        return EventBatch([*self._state.meter.take()])
            except _FAULTS:
                pass
        if data == b"[DONE]" or data.strip() == b"[DONE]":
            self._closed = True
            return EventBatch(self._closing())
        try:
            return self._feed_any(data)
        except ValueError:
            self._closed = True
            raise ApiError("provider_unavailable", "The provider's stream is not a chat stream") from None

    def end(self) -> list[Event]:
        """Return the events that close an answer whose stream has ended."""
        if self._closed:
            return []
        self._closed = True
        return self._closing()

    def _closing(self) -> list[Event]:
        return [*self._state.meter.take(), *self._state.closing(_UNFINISHED)]

    def _continues_call(self, choice: Choice, said: VerifiedDelta) -> bool:
        """Return whether a choice adds to a call that has begun, so that nothing but reasoning has to be fitted."""
        return bool(
            choice.index in self._unfinished
            and not (choice.finish_reason or said.images or said.function_call or choice.usage is not None)
            and said.tool_calls
            and self._state.continues_call(choice.index, said.tool_calls)
        )

    def _take_text(self, frame: ChunkFrame, text: bytes) -> Batch | None:
        """Take a chunk that has ``text`` in a known frame; ``None`` if it has to be read as any other."""
        if self._held or frame.delta.index not in self._unfinished or LINE_FEED in text or CARRIAGE_RETURN in text:
            return None
        try:
            said = decode_text(text)
        except _FAULTS:
            return None
        return TextBatch(frame.delta, text, NAME, self._text_events, said)

    def _text_events(self, batch: TextBatch) -> list[Event]:
        said = VerifiedDelta(content=batch.said)
        return self._state.assembler.take([Piece(batch.frame.index, said, None, None, batch.frame.logprobs)])

    def _take_plain(self, choice: Choice, said: VerifiedDelta) -> Batch:
        """Take the only choice of a chunk."""
        raw, logprobs = choice.delta, choice.logprobs
        if logprobs is not UNSET and logprobs != NULL:
            logprobs = choice.logprobs = fitted_logprobs(logprobs)
        if not self._has_content:
            self._has_content = says_something(said)
        expand = partial(self._plain_events, choice, said)
        if said.reasoning or said.reasoning_content or said.reasoning_details:
            return LazyBatch(None, [], self._has_content, expand)
        if said.reasoning_content is not UNSET:
            said.reasoning_content = UNSET
            raw = msgspec.Raw(encoded_json(said))
        spliced = SplicedChoice(choice.index, raw, None, None, logprobs)
        has_calls = bool(said.tool_calls)
        return LazyBatch(NAME, [spliced], self._has_content, expand, None, has_calls, not has_calls, (said,))

    def _plain_events(self, choice: Choice, said: VerifiedDelta) -> list[Event]:
        return self._state.assembler.take([Piece(choice.index, said, None, None, choice.logprobs)])

    def _take_typed(
        self, chunk: Chunk, choices: list[Choice], saids: list[VerifiedDelta | None], opening: Began | None = None
    ) -> Batch | None:
        """Take a chunk whose fields have the documented types; ``opening`` is set for the first."""
        state = self._state
        if chunk.usage is not None or chunk.x_groq is not None:
            state.count(chunk.usage, chunk.x_groq, chunk.service_tier)
            if (failed := self._failed(chunk.x_groq)) is not None:
                return failed
        spliced: list[SplicedChoice] = []
        pieces: list[Piece] = []
        as_events = False
        for choice, said in zip(choices, saids, strict=True):
            if choice.error and (failed := self._failed({"error": choice.error})) is not None:
                return failed
            index, raw, logprobs = self._known_index(choice.index, len(choices)), choice.delta, choice.logprobs
            if choice.usage is not None:
                state.count(choice.usage)
            if index in state.finished:
                continue
            if logprobs is not UNSET and logprobs != NULL:
                logprobs = fitted_logprobs(logprobs)
            piece = Piece(index, said or VerifiedDelta(), choice.finish_reason or None, None, logprobs)
            if said is None or (_is_special(said) and not state.fit(piece)):
                raw = encoded_delta(piece)
            as_events = self._mark(piece) or as_events
            spliced.append(SplicedChoice(index, raw, piece.reason, piece.native, logprobs))
            pieces.append(piece)
        if opening is not None:
            self._has_begun = True
        return self._batch(pieces, spliced, as_events, opening)

    def _mark(self, piece: Piece) -> bool:
        """Note what ``piece`` says; return whether it has reasoning, which is always read as events."""
        said, state = piece.said, self._state
        if piece.native is None:
            state.unfinished.add(piece.index)
        else:
            state.finish(piece)
        if not self._has_content:
            self._has_content = says_something(said)
        return bool(said.reasoning or said.reasoning_details)

    def _batch(
        self, pieces: list[Piece], spliced: list[SplicedChoice], as_events: bool, opening: Began | None = None
    ) -> Batch | None:
        if not pieces:
            return None
        expand = partial(self._events, opening, pieces)
        if as_events:
            return LazyBatch(None, [], self._has_content, expand)
        has_calls = bool(pieces[0].said.tool_calls)
        if len(pieces) > 1:
            has_calls = any(piece.said.tool_calls for piece in pieces)
        saids = [piece.said for piece in pieces]
        return LazyBatch(NAME, spliced, self._has_content, expand, opening, has_calls, said=saids)

    def _events(self, opening: Began | None, pieces: list[Piece]) -> list[Event]:
        found = self._state.assembler.take(pieces)
        return found if opening is None else [opening, *found]

    def _feed_any(self, data: bytes) -> Batch | None:
        """Take any event. Raises ``ValueError`` for one that is not JSON."""
        if not data.strip():
            return None
        damaged = bool(self._held)
        try:
            found = _decode_any(data)
        except _FAULTS:
            found, damaged = read_escaped(data), True
        if not isinstance(found, dict | list):
            return None
        choices = fitted_choices(found.get("choices") if isinstance(found, dict) else None, "delta")
        if damaged:
            joined_halves(choices, self._joiner)
            found, choices = cleaned([found, choices])
        if isinstance(found, list):
            return self._failed(found)
        is_error = found.get("error") or found.get("object") == "error" or found.get("base_resp")
        if is_error or "choices" not in found:
            failed = self._failed(found)
            if failed is not None:
                return failed
        return self._take_any(found, choices)

    def _take_any(self, found: dict[str, Any], choices: list[dict[str, Any]]) -> Batch | None:
        state = self._state
        state.count(found.get("usage"), found.get("x_groq"), found.get("service_tier"))
        if (failed := self._failed(found.get("x_groq"))) is not None:
            return failed
        spliced: list[SplicedChoice] = []
        pieces: list[Piece] = []
        as_events = False
        for choice in choices:
            if choice.get("error") and (failed := self._failed({"error": choice["error"]})) is not None:
                return failed
            state.count_choice(choice, "delta")
            index = choice["index"] = self._known_index(choice["index"], len(choices))
            if index in state.finished:
                continue
            piece = fitted_piece(choice)
            state.fit(piece, complete="message" in choice)
            as_events = self._mark(piece) or as_events
            spliced.append(SplicedChoice(piece.index, encoded_delta(piece), piece.reason, piece.native, piece.logprobs))
            pieces.append(piece)
        if pieces and not self._has_begun:
            self._has_begun = True
            return self._batch(pieces, spliced, as_events, began(found))
        metered = [] if pieces else state.meter.take()
        return EventBatch([*metered]) if metered else self._batch(pieces, spliced, as_events)

    def _known_index(self, index: int, count: int) -> int:
        """Return the index of a choice: where one was asked for, an unknown index means the one that is open."""
        state = self._state
        if (
            index in state.unfinished
            or index in state.finished
            or self._choices != 1
            or count != 1
            or len(state.unfinished) != 1
        ):
            return index
        return next(iter(state.unfinished))

    def _failed(self, found: Any) -> Batch | None:
        facts = find_error(found)
        if facts is None:
            return None
        self._closed = True
        return EventBatch([*self._state.meter.take(), Failed(typed_body(facts))])


def _began(opening: OpeningChunk) -> Began:
    return began_of(opening.id, opening.service_tier, opening.system_fingerprint)


def _is_special(said: VerifiedDelta) -> bool:
    """Return whether a delta has a field that may have to be fitted."""
    return bool(
        said.tool_calls or said.reasoning_content is not UNSET or said.images or said.function_call or said.annotations
    )
