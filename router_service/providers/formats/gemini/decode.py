"""Decode non-streaming responses to the events of the same answer as a stream."""

from __future__ import annotations

from router_service.core.events import Event, Failed
from router_service.providers.formats.gemini.answer_reader import ContentReader
from router_service.providers.formats.gemini.errors import error_reported, no_content
from router_service.providers.lenient_json import json_value
from router_service.providers.wire_format import DecodeContext

_KNOWN = ("candidates", "promptFeedback", "usageMetadata")


def decode_content(body: bytes, context: DecodeContext) -> list[Event]:
    """Return the events of a response.

    Raises ``ApiError`` 502 if ``body`` is no response, and the provider's own error. A blocked prompt is 400.
    """
    response = json_value(body)
    error = error_reported(response)
    if error is not None:
        raise error
    if not isinstance(response, dict) or not any(name in response for name in _KNOWN):
        raise no_content("answer")
    reader = ContentReader(context)
    found = reader.read(response)
    found += reader.close()
    if isinstance(found[-1], Failed):
        raise found[-1].error
    return found
