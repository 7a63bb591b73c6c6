"""Decode non-streaming responses to the events of the same answer as a stream."""

from __future__ import annotations

from router_service.core.events import Event
from router_service.providers.formats.anthropic_messages.answer_reader import AnswerReader
from router_service.providers.formats.anthropic_messages.errors import error_within, not_an_answer
from router_service.providers.lenient_json import json_value
from router_service.providers.wire_format import DecodeContext


def decode_message(body: bytes, context: DecodeContext) -> list[Event]:
    """Return the events of a response.

    Raises ``ApiError`` 502 if ``body`` is no message, or the provider's own error. A message without a stop reason ends
    in ``Failed``.
    """
    message = json_value(body)
    if not isinstance(message, dict):
        raise not_an_answer("answer")
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    error = error_within(message) if message.get("type") != "message" or not content else None
    if error is not None:
        raise error
    if not isinstance(content, list):
        raise not_an_answer("answer")
    reader = AnswerReader(context)
    found = reader.begin(message)
    for key, block in enumerate(content):
        found += reader.start_block(key, block) + reader.end_block(key)
    found += reader.finish(message.get("stop_reason"), message.get("stop_sequence"), message.get("stop_details"))
    return found + reader.close()
