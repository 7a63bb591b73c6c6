"""Hold the functions of this API for the registry that wires it."""

from __future__ import annotations

from router_service.api.skins.messages.count_tokens import ESTIMATE_HEADERS, estimate_input_tokens
from router_service.api.skins.messages.errors import error_body, error_headers, error_status
from router_service.api.skins.messages.keep_alive import relay
from router_service.api.skins.messages.models import resolve_vendor_id
from router_service.api.skins.messages.outgoing_json import outgoing_json
from router_service.api.skins.messages.parse import parse_generation
from router_service.api.skins.messages.render import render_message
from router_service.api.skins.messages.stream import PING, STREAM_HEADERS, MessagesStreamRenderer
from router_service.core.errors import ApiError
from router_service.core.wire.anthropic import DIALECT


class MessagesSkin:
    """Serve ``POST /v1/messages``, ``POST /v1/messages/count_tokens`` and ``HEAD /api``."""

    name = "messages"
    dialect = DIALECT
    paths = ("/v1/messages", "/api/v1/messages")
    count_paths = ("/v1/messages/count_tokens", "/api/v1/messages/count_tokens")
    # Claude Code asks for it to learn whether the address answers at all; an empty 200 is enough.
    probe_path = "/api"
    ping = PING
    stream_headers = STREAM_HEADERS
    estimate_headers = ESTIMATE_HEADERS

    parse = staticmethod(parse_generation)
    resolve_model = staticmethod(resolve_vendor_id)
    render = staticmethod(render_message)
    stream = MessagesStreamRenderer
    relay = staticmethod(relay)
    estimate = staticmethod(estimate_input_tokens)

    @staticmethod
    def error(error: ApiError, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Return status, headers and body of an error response."""
        headers = [(b"content-type", b"application/json"), *error_headers(error, request_id)]
        return error_status(error), headers, outgoing_json(error_body(error, request_id))


MESSAGES = MessagesSkin()
