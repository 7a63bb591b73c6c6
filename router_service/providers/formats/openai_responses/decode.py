"""Decode non-streaming responses to the events of the same answer as a stream."""

from __future__ import annotations

from router_service.core.events import Event
from router_service.providers.formats.openai_responses.answer_reader import ResponseReader
from router_service.providers.formats.openai_responses.errors import error_told, failed_response, no_response
from router_service.providers.lenient_json import json_value
from router_service.providers.wire_format import DecodeContext


def decode_response(body: bytes, context: DecodeContext) -> list[Event]:
    """Return the events of a response.

    Raises ``ApiError`` 502 if ``body`` is no response, or the provider's own error.
    """
    response = json_value(body)
    if not isinstance(response, dict):
        raise no_response("answer")
    error = error_told(response)
    if error is not None:
        raise error
    if response.get("status") not in (None, "completed", "incomplete"):
        raise failed_response(response)
    if not isinstance(response.get("output"), list):
        raise no_response("answer")
    return ResponseReader(context).finish(response, "completed")
