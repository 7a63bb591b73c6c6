"""Adapt the chat format: requests pass through nearly unchanged, responses are completed to the reference's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from data.catalogue.types import DEFAULT_TIER, Endpoint
from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.providers.adapter import ChatResponse, StreamDecoder
from router_service.providers.failures import typed_error
from router_service.providers.formats.openai_chat.support import ROUTER_ONLY
from router_service.providers.openai_chat.errors import CODES
from router_service.providers.openai_chat.response import decode_response
from router_service.providers.openai_chat.stream import ChatStream
from router_service.providers.service_tier import requested_tier

_encode = msgspec.json.Encoder().encode
_TRUE = msgspec.Raw(b"true")
_INCLUDE_USAGE = msgspec.Raw(b'{"include_usage":true}')


class OpenAIChat:
    """Implement ``Adapter`` for the chat completions format."""

    def request(self, fields: Mapping[str, msgspec.Raw], endpoint: Endpoint, api_key: str, stream: bool) -> HttpRequest:
        passed = {name: raw for name, raw in fields.items() if name not in ROUTER_ONLY}
        body: dict[str, Any] = {"model": endpoint.upstream_model, **passed}
        effort = _effort(fields.get("reasoning"))
        if effort and "reasoning_effort" not in body:
            body["reasoning_effort"] = effort
        if endpoint.tier_prices and (tier := _tier(fields, endpoint)):
            body["service_tier"] = tier
        if stream:
            body["stream"] = _TRUE
            body["stream_options"] = _INCLUDE_USAGE
        headers = {"content-type": "application/json", "authorization": f"Bearer {api_key}"}
        return HttpRequest(f"{endpoint.base_url}/chat/completions", headers, _encode(body))

    def response(self, body: bytes) -> ChatResponse:
        return decode_response(body)

    def stream(self) -> StreamDecoder:
        return ChatStream()

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        return typed_error(status, body, headers, endpoint, CODES)


def _tier(fields: Mapping[str, msgspec.Raw], endpoint: Endpoint) -> str | None:
    """Return the endpoint's own tier, whatever the client wrote: another tier's price would not be this endpoint's."""
    if endpoint.service_tier:
        return endpoint.service_tier
    requested = requested_tier(fields)
    return requested if requested in ("auto", "scale") else requested and DEFAULT_TIER


def _effort(raw: msgspec.Raw | None) -> str | None:
    """Return ``reasoning.effort``, for which this format has a field of its own."""
    if raw is None:
        return None
    try:
        reasoning = msgspec.json.decode(raw, type=dict[str, Any] | None)
    except msgspec.ValidationError:
        raise ApiError("invalid_request", "reasoning must be an object") from None
    effort = (reasoning or {}).get("effort")
    return effort if isinstance(effort, str) else None
