"""Decode non-streaming responses to the events of the same answer as a stream."""

from __future__ import annotations

from router_service.core.events import Event
from router_service.providers.formats.bedrock_converse.answer_reader import ConverseReader
from router_service.providers.formats.bedrock_converse.errors import error_told, no_converse
from router_service.providers.lenient_json import json_value
from router_service.providers.wire_format import DecodeContext


def decode_converse(body: bytes, context: DecodeContext) -> list[Event]:
    """Return the events of a response.

    Raises ``ApiError`` 502 if ``body`` is no response, or the provider's own error. A response without a stop reason
    ends in ``Failed``.
    """
    response = json_value(body)
    if not isinstance(response, dict):
        raise no_converse("answer")
    output = response.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    if not isinstance(message, dict):
        raise error_told(response) or no_converse("answer")
    reader = ConverseReader(context)
    content = message.get("content")
    metered = reader.meter(response)
    found = reader.begin()
    for key, block in enumerate(content if isinstance(content, list) else ()):
        found += reader.block(key, block)
    found += reader.finish(response.get("stopReason"), response.get("additionalModelResponseFields"))
    return found + metered + reader.close()
