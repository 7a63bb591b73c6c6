"""Decode non-streaming responses to the events of the same answer as a stream."""

from __future__ import annotations

import msgspec

from router_service.core.errors import ApiError
from router_service.core.events import Event
from router_service.providers.formats.openai_chat.errors import find_error, typed_body
from router_service.providers.formats.openai_chat.odd_types import fitted_choices, fitted_piece
from router_service.providers.formats.openai_chat.state import AnswerState, began
from router_service.providers.formats.openai_chat.wire import Piece
from router_service.providers.lenient_json import read_leniently
from router_service.providers.wire_format import DecodeContext

_UNFINISHED = "The provider's answer has no finish reason"
_NO_ANSWER = "The provider's answer is not a chat completion"


def decode_response(body: bytes, context: DecodeContext) -> list[Event]:
    """Return the events of a chat completion. Raises ``ApiError``: the error in ``body``, or 502 if it is no answer."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
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
    messages = fitted_choices(choices, "message")
    if not messages:
        raise ApiError("provider_unavailable", "The provider's answer has no choices")
    state = AnswerState(context)
    state.count(found.get("usage"), found.get("x_groq"))
    pieces: dict[int, Piece] = {}
    for choice in messages:
        state.count(choice.get("usage"))
        piece = fitted_piece(choice)
        if piece.index in pieces:
            # Two choices with one index: the second gets the next free one.
            piece.index = max(pieces) + 1
        pieces[piece.index] = piece
        state.fit(piece, complete=True)
        if piece.native is None:
            state.unfinished.add(piece.index)
        else:
            state.finish(piece)
    return [began(found), *state.assembler.take(pieces.values()), *state.meter.take(), *state.closing(_UNFINISHED)]
