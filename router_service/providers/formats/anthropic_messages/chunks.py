"""Unwrap the events of a stream that Amazon Bedrock sends in the messages of an event stream.

Source: Amazon Bedrock API reference: InvokeModelWithResponseStream, ``PayloadPart``.
"""

from __future__ import annotations

import binascii

import msgspec

from router_service.providers.formats.anthropic_messages.errors import not_an_answer

# The name of a message with an event.
CHUNK = "chunk"


class _PayloadPart(msgspec.Struct):
    """Hold what is written in base64."""

    data: bytes = msgspec.field(name="bytes")


_decode = msgspec.json.Decoder(_PayloadPart).decode


def unwrapped(payload: bytes) -> bytes:
    """Return the event within ``payload``. Raises ``ApiError`` 502 where there is none."""
    try:
        return _decode(payload).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, binascii.Error):
        raise not_an_answer("stream") from None
