"""Write the messages of an AWS event stream.

Source: AWS SDK documentation: Event stream encoding.
"""

from __future__ import annotations

import binascii
import json
import struct
from typing import Any

_STRING = 7
_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def event_frame(name: str, body: dict[str, Any]) -> bytes:
    """Return the message of an event. The vendor pads its bodies, so that their sizes tell less of the text."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    padding = _PADDING[: 1 + len(json.dumps(body)) % len(_PADDING)]
    return frame(headers, json.dumps(body | {"p": padding}).encode())


def exception_frame(name: str, message: str) -> bytes:
    """Return the message of an exception, which ends a stream."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps({"message": message}).encode())


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """Return a message with its checksums."""
    written = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack("!II", 12 + len(written) + len(payload) + 4, len(written))
    message = prelude + struct.pack("!I", binascii.crc32(prelude)) + written + payload
    return message + struct.pack("!I", binascii.crc32(message))


def _header(name: str, value: str) -> bytes:
    text = value.encode()
    return bytes([len(name)]) + name.encode() + bytes([_STRING]) + struct.pack("!H", len(text)) + text
