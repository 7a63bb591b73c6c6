"""Write a response object: what it says of itself, its output, and what it repeats of the request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from router_service.api.skins.responses.event_log import members
from router_service.api.skins.responses.item_ids import response_id
from router_service.api.skins.responses.usage import response_usage
from router_service.core.exchange import Exchange

ResponseStatus = Literal["in_progress", "completed", "incomplete", "failed"]
# Why a response is incomplete, by the reason for which its answer ended.
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
# SDKs require a tier; this is the one of an endpoint that sells none.
_DEFAULT_TIER, _UNKNOWN_TIER = "default", "auto"


class ResponseFields(msgspec.Struct, kw_only=True):
    """Hold the fields that change while a response is made. ``completed_at`` is in Unix seconds."""

    status: ResponseStatus
    output: Sequence[dict[str, Any]] = ()
    error: dict[str, Any] | None = None
    incomplete_details: dict[str, str] | None = None
    completed_at: int | None = None
    more: dict[str, Any] = {}


def response_json(exchange: Exchange, echo: str, fields: ResponseFields) -> str:
    """Return the response object on one line; ``echo`` are the members that repeat the request.

    Usage is zero until it is known: the reference has no null there, and the Open Responses schemas require the field.
    """
    request, outcome = exchange.request, exchange.outcome
    tier = outcome.service_tier or (_UNKNOWN_TIER if fields.status == "in_progress" else _DEFAULT_TIER)
    own = members(
        id=response_id(request.id),
        object="response",
        created_at=int(request.received_at),
        completed_at=fields.completed_at,
        status=fields.status,
        error=fields.error,
        incomplete_details=fields.incomplete_details,
        model=outcome.model or (request.head and request.head.model) or "",
        output=fields.output,
        usage=response_usage(exchange),
        service_tier=tier,
        store=False,
        **fields.more,
    )
    return f"{{{own},{echo}}}"


def incomplete_details(reason: str) -> dict[str, str] | None:
    """Return why the response is incomplete, ``None`` for one that is complete."""
    return {"reason": _INCOMPLETE[reason]} if reason in _INCOMPLETE else None
