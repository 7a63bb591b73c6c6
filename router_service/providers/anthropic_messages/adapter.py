"""Adapt the messages format: requests and responses are translated in full, since the two formats share little."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.http_request import HttpRequest
from router_service.providers.adapter import ChatResponse, StreamDecoder
from router_service.providers.anthropic_messages.params import TRANSLATED, UNCHANGED
from router_service.providers.anthropic_messages.request import translate
from router_service.providers.anthropic_messages.response import decode_response
from router_service.providers.anthropic_messages.stream import MessageStream
from router_service.providers.failures import typed_error
from router_service.providers.formats.anthropic_messages.errors import CODES

VERSION = "2023-06-01"


class AnthropicMessages:
    """Implement ``Adapter`` for the messages format."""

    def request(self, fields: Mapping[str, msgspec.Raw], endpoint: Endpoint, api_key: str, stream: bool) -> HttpRequest:
        body = translate(fields, endpoint.upstream_model, endpoint.max_completion_tokens)
        if stream:
            body["stream"] = True
        headers = {"content-type": "application/json", "x-api-key": api_key, "anthropic-version": VERSION}
        dropped = tuple(sorted(set(fields) - TRANSLATED - set(UNCHANGED)))
        return HttpRequest(f"{endpoint.base_url}/messages", headers, msgspec.json.encode(body), dropped)

    def response(self, body: bytes) -> ChatResponse:
        return decode_response(body)

    def stream(self) -> StreamDecoder:
        return MessageStream()

    def error(self, status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
        return typed_error(status, body, headers, endpoint, CODES)
