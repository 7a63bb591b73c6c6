"""Write the arguments of a call for formats that take a JSON object, and what stands for a failure without words."""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.parts import ToolCall
from router_service.core.wire.anthropic import INVALID_ARGUMENTS
from router_service.providers.custom_tools import custom_arguments

FAILED_RESULT = "The tool failed without a message."
_object_decoder = msgspec.json.Decoder(dict[str, Any])


def arguments_object(call: ToolCall) -> msgspec.Raw:
    """Return the arguments of a function, or of the function that stands for a custom tool, as a JSON object.

    Those of a function stay as they are if they are one, and no text is the empty object. Any other text becomes the
    value of ``INVALID_ARGUMENTS``.
    """
    text = call.arguments
    if call.kind == "custom":
        return msgspec.Raw(custom_arguments(text))
    if not text.strip():
        return msgspec.Raw(b"{}")
    try:
        _object_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        return msgspec.Raw(msgspec.json.encode({INVALID_ARGUMENTS: text}))
    return msgspec.Raw(text.encode())
