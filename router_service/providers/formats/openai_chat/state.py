"""Hold what is known of an answer while it is decoded, from a stream or from a non-streaming response."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET

from router_service.core.errors import ApiError
from router_service.core.events import Began, Ended, Event, Failed
from router_service.providers.formats.openai_chat.assembler import Assembler, call_stem
from router_service.providers.formats.openai_chat.calls import CallTracker
from router_service.providers.formats.openai_chat.dialect import NAME
from router_service.providers.formats.openai_chat.odd_types import fitted_id, has_address, is_annotation
from router_service.providers.formats.openai_chat.usage import DocumentedUsage, UsageMeter
from router_service.providers.formats.openai_chat.wire import (
    Audio,
    CallDelta,
    Function,
    Piece,
    VerifiedDelta,
    encoded_json,
    finish_reason,
)
from router_service.providers.service_tier import served_tier
from router_service.providers.wire_format import DecodeContext

_NONE: frozenset[int] = frozenset()


class AnswerState:
    """Fit the pieces of one answer. ``finished`` and ``unfinished`` are its choices so far."""

    __slots__ = ("_calls", "_context", "assembler", "finished", "meter", "unfinished")

    def __init__(self, context: DecodeContext) -> None:
        self._context = context
        self._calls: dict[int, CallTracker] = {}
        self.assembler = Assembler(context)
        self.meter = UsageMeter(context.reasoning_in_total)
        # An empty set takes 0.2 kB of each open stream.
        self.finished: set[int] | frozenset[int] = _NONE
        self.unfinished: set[int] = set()

    def fit(self, piece: Piece, *, complete: bool = False) -> bool:
        """Bring the calls, images and reasoning of ``piece`` into one shape; return whether nothing had to change."""
        said = piece.said
        same = said.reasoning_content is UNSET
        if not same:
            said.reasoning = said.reasoning or said.reasoning_content
            said.reasoning_content = UNSET
        if said.tool_calls:
            same = not self._tracker(piece.index).fit(said.tool_calls, complete=complete) and same
        if said.function_call:
            same = self._fit_legacy_call(piece, said.function_call, complete=complete) and same
        if said.images and not all(map(has_address, said.images)):
            said.images, same = [image for image in said.images if has_address(image)], False
        if said.annotations and not all(map(is_annotation, said.annotations)):
            said.annotations, same = [one for one in said.annotations if is_annotation(one)], False
        if complete and isinstance(said.audio, dict):
            same = self._fit_audio(piece, said.audio) and same
        return same

    def _fit_audio(self, piece: Piece, audio: Audio) -> bool:
        """Give a whole answer in audio the fields that clients read of it; return whether it had them."""
        if not audio.get("data") and not audio.get("transcript"):
            piece.said.audio = UNSET
            return False
        wanted: Audio = {
            "id": audio.get("id") or f"audio_{self._context.generation_id}_{piece.index}",
            "data": audio.get("data") or "",
            "transcript": audio.get("transcript") or "",
            "expires_at": audio.get("expires_at") or 0,
        }
        if audio == wanted:
            return True
        piece.said.audio = wanted
        return False

    def _fit_legacy_call(self, piece: Piece, call: Function, *, complete: bool) -> bool:
        """Fit the call of a legacy function, which clients read with both fields; return whether it is unchanged."""
        if not call.name and not call.arguments:
            piece.said.function_call = UNSET
            return False
        self._tracker(piece.index).has_calls = True
        if not complete or (isinstance(call.name, str) and isinstance(call.arguments, str)):
            return True
        call.name, call.arguments = call.name or "", call.arguments or ""
        return False

    def continues_call(self, index: int, calls: list[CallDelta]) -> bool:
        """Return whether ``calls`` are one more piece of one known call, in the documented shape."""
        tracker = self._calls.get(index)
        return tracker is not None and len(calls) == 1 and tracker.continues(calls[0])

    def finish(self, piece: Piece) -> None:
        """Give ``piece``, which has a native finish reason, the reference's."""
        assert piece.native is not None
        calls = self._calls.get(piece.index)
        piece.reason = finish_reason(piece.native, calls is not None and calls.has_calls)
        self.unfinished.discard(piece.index)
        if isinstance(self.finished, frozenset):
            self.finished = set()
        self.finished.add(piece.index)

    def count(self, usage: Any, groq: Any = None, tier: Any = None) -> None:
        """Add the usage that stands beside the choices, or within Groq's own object, and the tier that served."""
        if isinstance(usage, DocumentedUsage):
            self.meter.add_documented(usage)
        else:
            self.meter.add(usage)
        if tier is not None:
            self.meter.service_tier = served_tier(tier) or self.meter.service_tier
        if isinstance(groq, dict):
            self.meter.add(groq.get("usage"))

    def count_choice(self, choice: dict[str, Any], said: str) -> None:
        """Add the usage that stands within ``choice``, or within its ``said``: a delta or a message."""
        self.count(choice.get("usage"))
        if isinstance(content := choice.get(said), dict):
            self.count(content.get("usage"))

    def closing(self, unfinished: str) -> list[Event]:
        """Return the event that ends the answer; ``unfinished`` tells that a choice has no finish reason."""
        if self.unfinished or not self.finished:
            return [Failed(ApiError("provider_unavailable", unfinished))]
        return [Ended()]

    def _tracker(self, index: int) -> CallTracker:
        tracker = self._calls.get(index)
        if tracker is None:
            tracker = self._calls[index] = CallTracker(call_stem(self._context, index))
        return tracker


def began(found: dict[str, Any]) -> Began:
    """Return the beginning of the answer that ``found``, a completion or a chunk, belongs to."""
    return began_of(found.get("id"), found.get("service_tier"), found.get("system_fingerprint"))


def began_of(upstream_id: Any, tier: Any, fingerprint: Any) -> Began:
    """Return a beginning; a value of another type than the documented one is left out."""
    extras = {NAME: {"system_fingerprint": fingerprint}} if isinstance(fingerprint, str) else {}
    return Began(upstream_id=fitted_id(upstream_id), service_tier=served_tier(tier), extras=extras)


def says_something(said: VerifiedDelta) -> bool:
    """Return whether a delta has content. Servers send the role before the model starts, which is no token."""
    return bool(
        said.content
        or said.reasoning
        or said.tool_calls
        or said.reasoning_content
        or said.refusal
        or said.reasoning_details
        or said.function_call
        or said.audio
        or said.annotations
        or said.images
    )


def encoded_delta(piece: Piece) -> msgspec.Raw:
    """Return the delta of a fitted piece as JSON on one line."""
    said = encoded_json(piece.said)
    if not piece.extras:
        return msgspec.Raw(said)
    more = encoded_json(piece.extras)
    return msgspec.Raw(more if said == b"{}" else said[:-1] + b"," + more[1:])
