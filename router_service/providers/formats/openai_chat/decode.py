"""Decode non-streaming responses to the events of the same answer as a stream.

A message that was verified, or fitted, is spliced like the deltas of a stream: it is the complete message then. One
with reasoning is always read as events, since its form for clients is another.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from router_service.core.answer import Batch, EventBatch, SplicedChoice, SplicedResponse
from router_service.core.errors import ApiError
from router_service.core.events import Began, Event, Failed, Metered
from router_service.core.usage import Usage
from router_service.providers.formats.openai_chat.assembler import Assembler
from router_service.providers.formats.openai_chat.dialect import NAME
from router_service.providers.formats.openai_chat.errors import find_error, typed_body
from router_service.providers.formats.openai_chat.odd_types import fitted_choices, fitted_piece
from router_service.providers.formats.openai_chat.state import AnswerState, began, began_of, encoded_delta
from router_service.providers.formats.openai_chat.usage import DocumentedUsage, UsageMeter
from router_service.providers.formats.openai_chat.wire import (
    NULL,
    Piece,
    VerifiedDelta,
    encoded_json,
    finish_reason,
    fitted_logprobs,
)
from router_service.providers.lenient_json import read_leniently
from router_service.providers.wire_format import DecodeContext

_UNFINISHED = "The provider's answer has no finish reason"
_NO_ANSWER = "The provider's answer is not a chat completion"
# OpenAI takes no larger ``n``.
MAX_CHOICES = 128


class _Choice(msgspec.Struct, gc=False):
    """Hold one choice of a completion whose message has the documented types."""

    message: VerifiedDelta
    index: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0
    finish_reason: str | None = None
    logprobs: msgspec.Raw | UnsetType = UNSET
    usage: Any = None
    error: Any = None


class _RawChoice(msgspec.Struct, gc=False):
    message: msgspec.Raw


class _RawCompletion(msgspec.Struct, gc=False):
    """Hold the bytes of the messages."""

    choices: list[_RawChoice]


class _Completion(msgspec.Struct, gc=False):
    """Hold a completion whose choices have the documented types."""

    choices: list[_Choice]
    id: Any = None
    usage: DocumentedUsage | None = None
    error: Any = None
    system_fingerprint: Any = None
    service_tier: Any = None
    x_groq: Any = None


_DEFAULTS = (b',"role":"assistant"', b',"content":null', b',"refusal":null', b',"reasoning":null')
# The end of a message, by which of these fields it lacks.
_MISSING = {
    lacks: b"".join(itertools.compress(_DEFAULTS, lacks)) + b"}" if any(lacks) else b""
    for lacks in itertools.product((False, True), repeat=4)
}
_decode_completion = msgspec.json.Decoder(_Completion).decode
_decode_raw = msgspec.json.Decoder(_RawCompletion).decode
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode_response(body: bytes, context: DecodeContext) -> list[Event]:
    """Return the events of a chat completion. Raises ``ApiError``: the error in ``body``, or 502 if it is no answer."""
    return [event for batch in decode_spliced(body, context) for event in batch.events()]


def decode_spliced(body: bytes, context: DecodeContext) -> list[Batch]:
    """Return the same answer in batches. Raises likewise."""
    try:
        found = _decode_completion(body)
        if len(found.choices) == 1 and found.error is None and found.choices[0].error is None:
            return _verified(found, body, context)
    except _FAULTS:
        pass
    return _fitted(_any_completion(body), context)


def _verified(found: _Completion, body: bytes, context: DecodeContext) -> list[Batch]:
    """Return the batches of a completion of one choice. Raises ``msgspec.ValidationError`` if it has to be fitted."""
    choice = found.choices[0]
    said, logprobs = choice.message, choice.logprobs
    if logprobs is not UNSET and logprobs != NULL:
        logprobs = fitted_logprobs(logprobs)
    piece = Piece(choice.index, said, choice.finish_reason or None, None, logprobs)
    opening = began_of(found.id, found.service_tier, found.system_fingerprint)
    if (
        piece.native is not None
        and found.x_groq is None
        and choice.usage is None
        and not (said.tool_calls or said.reasoning or said.reasoning_details or said.function_call or said.images)
        and not (said.annotations or isinstance(said.audio, dict))
        and said.reasoning_content is UNSET
    ):
        piece.reason = finish_reason(piece.native, has_calls=False)
        lacks_some = said.refusal is UNSET or said.reasoning is UNSET or said.content is UNSET
        if lacks_some and said.annotations is UNSET and said.audio is UNSET and said.reasoning_details is UNSET:
            # Encoding a few texts is faster than adding what is missing to their bytes.
            message = msgspec.Raw(encoded_json(_with_defaults(said)))
        else:
            message = _completed(body, said)
        spliced = SplicedChoice(piece.index, message, piece.reason, piece.native, logprobs)
        metered = _metered(found.usage, context.reasoning_in_total)
        return [SplicedResponse(NAME, [spliced], partial(_events_of, context, piece), opening, metered)]
    state = AnswerState(context)
    state.count(found.usage, found.x_groq)
    state.count(choice.usage)
    message = _completed(body, said) if state.fit(piece, complete=True) else _message(piece)
    return _batches(state, opening, [piece], [message])


def _metered(usage: DocumentedUsage | None, reasoning_in_total: bool) -> Metered | None:
    if usage is None:
        return None
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    reasoning = None if completion is None else completion.reasoning_tokens
    told = usage.prompt_tokens is not None and usage.completion_tokens is not None
    if told and not (reasoning or reasoning_in_total or usage.has_others()):
        cached, written = (prompt.cached_tokens, prompt.cache_write_tokens) if prompt is not None else (None, None)
        if cached is None or cached <= (usage.prompt_tokens or 0):
            return Metered(Usage(usage.prompt_tokens or 0, usage.completion_tokens or 0, cached, written, reasoning))
    meter = UsageMeter(reasoning_in_total)
    meter.add_documented(usage)
    metered = meter.take()
    return metered[0] if metered else None


def _events_of(context: DecodeContext, piece: Piece) -> list[Event]:
    return Assembler(context).take([piece])


def _any_completion(body: bytes) -> dict[str, Any]:
    """Return a completion of any shape whose ``choices`` are a list. Raises ``ApiError``."""
    try:
        found = msgspec.json.decode(body)
    except _FAULTS:
        try:
            found = read_leniently(body)
        except ValueError:
            raise ApiError("provider_unavailable", _NO_ANSWER) from None
    choices = found.get("choices") if isinstance(found, dict) else None
    if not choices or found.get("error"):
        facts = find_error(found)
        if facts is not None:
            raise typed_body(facts)
    if not isinstance(choices, list):
        raise ApiError("provider_unavailable", _NO_ANSWER)
    if len(choices) > MAX_CHOICES:
        raise ApiError("provider_unavailable", f"The provider's answer has more than {MAX_CHOICES} choices")
    assert isinstance(found, dict)
    return found


def _fitted(found: dict[str, Any], context: DecodeContext) -> list[Batch]:
    for choice in found["choices"]:
        if isinstance(choice, dict) and (facts := find_error({"error": choice.get("error")})) is not None:
            raise typed_body(facts)
    choices = fitted_choices(found["choices"], "message")
    if not choices:
        raise ApiError("provider_unavailable", "The provider's answer has no choices")
    state = AnswerState(context)
    state.count(found.get("usage"), found.get("x_groq"))
    pieces: dict[int, Piece] = {}
    for choice in choices:
        state.count_choice(choice, "message")
        piece = fitted_piece(choice)
        if piece.index in pieces:
            # Two choices with one index: the second gets the next free one.
            piece.index = max(pieces) + 1
        pieces[piece.index] = piece
        state.fit(piece, complete=True)
    messages = [_message(piece) for piece in pieces.values()]
    return _batches(state, began(found), list(pieces.values()), messages)


def _batches(state: AnswerState, opening: Began, pieces: list[Piece], messages: list[msgspec.Raw]) -> list[Batch]:
    spliced: list[SplicedChoice] = []
    has_reasoning = False
    for piece, message in zip(pieces, messages, strict=True):
        if piece.native is None:
            state.unfinished.add(piece.index)
        else:
            state.finish(piece)
        has_reasoning = has_reasoning or bool(piece.said.reasoning or piece.said.reasoning_details)
        spliced.append(SplicedChoice(piece.index, message, piece.reason, piece.native, piece.logprobs))
    metered, closing = state.meter.take(), state.closing(_UNFINISHED)
    if has_reasoning or isinstance(closing[0], Failed):
        return [EventBatch([opening, *state.assembler.take(pieces), *metered, *closing], has_content=True)]
    expand = partial(state.assembler.take, pieces)
    has_calls = any(piece.said.tool_calls for piece in pieces)
    return [SplicedResponse(NAME, spliced, expand, opening, metered[0] if metered else None, has_calls=has_calls)]


def _completed(body: bytes, said: VerifiedDelta) -> msgspec.Raw:
    """Return the verified message in ``body`` with the fields that clients read of every message."""
    if said.role is None:
        return _message(Piece(0, said))
    raw = _decode_raw(body).choices[0].message
    message = bytes(raw)
    if b"\n" in message:
        # A server that writes for readers; its line breaks are no part of the answer.
        message = encoded_json(msgspec.json.decode(raw))
    missing = _MISSING[said.role is UNSET, said.content is UNSET, said.refusal is UNSET, said.reasoning is UNSET]
    if not missing:
        return msgspec.Raw(message)
    return msgspec.Raw(message[:-1] + missing if len(message) > 2 else b"{" + missing[1:])


def _with_defaults(said: VerifiedDelta) -> VerifiedDelta:
    """Return ``said``, changed in place, with the fields that clients read of every message."""
    said.role = "assistant"
    if said.content is UNSET:
        said.content = None
    if said.refusal is UNSET:
        said.refusal = None
    if said.reasoning is UNSET:
        said.reasoning = None
    return said


def _message(piece: Piece) -> msgspec.Raw:
    """Return the message of a fitted piece as clients read it: tool calls have no index in it."""
    said = _with_defaults(msgspec.structs.replace(piece.said))
    if said.tool_calls:
        said.tool_calls = [msgspec.structs.replace(call, index=UNSET) for call in said.tool_calls]
    return encoded_delta(Piece(piece.index, said, extras=piece.extras))
