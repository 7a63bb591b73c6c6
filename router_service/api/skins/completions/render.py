"""Write an answer as a text completion: the text of its parts, without what a text cannot contain."""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.api.skins.token_logprobs import read_logprobs
from router_service.core.errors import ApiError
from router_service.core.events import Finished
from router_service.core.exchange import Exchange
from router_service.core.parts import AnyPart, Opaque, Reasoning, Refusal, Text

OBJECT = "text_completion"


def completion_head(exchange: Exchange) -> dict[str, Any]:
    """Return what a completion and each chunk of one say of themselves."""
    request, outcome = exchange.request, exchange.outcome
    return {
        "id": request.id,
        "object": OBJECT,
        "created": int(request.received_at),
        "model": outcome.model or (request.head and request.head.model) or "",
        "provider": outcome.provider_name,
    }


def opening_text(part: AnyPart) -> str | None:
    """Return the text that ``part`` began with, or ``None`` for one that a completion cannot contain."""
    match part:
        case Text() | Refusal():
            return part.text
        case Opaque(text=str(text), hosted=None):
            return text
    return None


def opening_reasoning(part: AnyPart) -> str | None:
    """Return the reasoning that ``part`` began with, or ``None`` for another part."""
    return part.text if isinstance(part, Reasoning) else None


def legacy_finish_reason(finished: Finished | None) -> str:
    """Return the reason in this API. Raises ``ApiError`` 502 for an answer that ended with an error."""
    if finished is None or finished.reason == "error":
        native = f" ({finished.native})" if finished is not None and finished.native else ""
        raise ApiError("provider_unavailable", f"The provider ended the answer with an error{native}; send it again")
    return finished.reason if finished.reason in ("length", "content_filter") else "stop"


class LegacyLogprobs:
    """Write log probabilities as this API does: lists by position, with the character at which each token begins."""

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset = 0

    def of(self, pieces: list[msgspec.Raw]) -> dict[str, list[Any]] | None:
        """Return the log probabilities of the next ``pieces``, or ``None`` if they have none."""
        found: dict[str, list[Any]] = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        for piece in pieces:
            read = read_logprobs(piece)
            for one in (read.content or read.refusal or ()) if read is not None else ():
                found["tokens"].append(one.token)
                found["token_logprobs"].append(one.logprob)
                found["top_logprobs"].append({other.token: other.logprob for other in one.top_logprobs})
                found["text_offset"].append(self._offset)
                self._offset += len(one.token)
        return found if found["tokens"] else None
