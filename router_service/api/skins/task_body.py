"""Read and write what the bodies of all tasks other than chat have in common."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Annotated, Any

import msgspec

from router_service.api.parse_head import modality_of, parse_head
from router_service.api.skins.error_envelope import error_envelope
from router_service.api.skins.field_errors import bad_field, read_field
from router_service.api.skins.skin import JSON_HEADERS, ErrorResponse
from router_service.api.skins.usage_json import NANO, NO_COST
from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.core.outgoing_json import outgoing_json
from router_service.core.usage import Usage

# Top-level fields that are for the router; no provider of these tasks knows them.
ROUTER_FIELDS = frozenset(
    {
        "debug", "metadata", "model", "models", "plugins", "preset", "provider", "route", "service_tier", "session_id",
        "speed", "stream", "stream_options", "trace", "transforms", "usage",
    }
)  # fmt: skip
_USER = msgspec.json.Decoder(Annotated[str, msgspec.Meta(max_length=1024)] | None)


class TaskEndpoint:
    """Hold what the ``TaskSkin`` of each of these tasks has: they answer at once, and send errors alike."""

    keepalive = b""

    def error(self, error: ApiError, exchange: Exchange) -> ErrorResponse:  # noqa: ARG002 (part of the contract)
        """Render an error before the first byte of an answer."""
        return ErrorResponse(error.code, [*JSON_HEADERS, *error.headers()], outgoing_json(error_envelope(error)))


def read_fields_of_task(exchange: Exchange, content: str, *, refuses_stream: bool = True) -> dict[str, msgspec.Raw]:
    """Set the head of ``exchange`` and return the fields of its body. ``content`` is the field that may hold media.

    Raises ``ApiError`` 400 for a body without a model, and for one that asks for a stream.
    """
    request = exchange.request
    head = parse_head(request.body, with_messages=False)
    raw, wants_stream = bytes(head.fields.get(content, b"")), head.stream
    # The record names the media of the content, as it does those of messages.
    head = msgspec.structs.replace(head, messages=raw, modality=modality_of(raw), stream=False)
    exchange.request = request.with_head(head)
    if refuses_stream and wants_stream:
        raise bad_field("stream", "must be false or left out: this API answers at once")
    return head.fields


def note_longest_input(exchange: Exchange, size: int) -> None:
    """Tell routing the bytes of the longest input, since a model reads its inputs one by one."""
    head = exchange.request.head
    assert head is not None
    exchange.request = exchange.request.with_head(msgspec.structs.replace(head, longest_input=size))


def read_user(fields: Mapping[str, msgspec.Raw]) -> str | None:
    """Return the field ``user``. Raises ``ApiError`` 400 for anything but a short text."""
    return read_field(fields, "user", _USER, "a string of at most 1,024 characters")


def extras_of(fields: Mapping[str, msgspec.Raw], read: Set[str]) -> dict[str, msgspec.Raw]:
    """Return the fields that only the provider may know: neither ``read`` by the task nor for the router."""
    return {name: raw for name, raw in fields.items() if name not in read and name not in ROUTER_FIELDS}


def usage_of_task(exchange: Exchange) -> dict[str, Any]:
    """Return the fields of ``usage`` that are the same for these tasks. Costs are in US dollars."""
    cost = exchange.outcome.cost or NO_COST
    total = cost.total / NANO
    return {
        "cost": total,
        "is_byok": False,
        "cost_details": {
            "upstream_inference_cost": total,
            "upstream_inference_prompt_cost": (cost.prompt + cost.cached) / NANO,
            "upstream_inference_completions_cost": (cost.completion + cost.fees) / NANO,
        },
    }


def served_model(exchange: Exchange) -> str:
    """Return the model that served, else the one that was asked for."""
    head = exchange.request.head
    return exchange.outcome.model or (head and head.model) or ""


def usage_or_nothing(exchange: Exchange) -> Usage:
    """Return the usage that the provider reported; a count that is not known is 0, as SDKs require."""
    return exchange.outcome.usage or Usage()
