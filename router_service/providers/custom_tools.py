"""Offer a custom tool, which takes any text, as a function whose one argument is that text."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

_INPUT = "input"
CUSTOM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {_INPUT: {"type": "string", "description": "The input of the tool, as plain text"}},
    "required": [_INPUT],
}


def custom_arguments(text: str) -> bytes:
    """Return the input of a custom tool as the JSON arguments of the function that stands for it."""
    return msgspec.json.encode({_INPUT: text})


def custom_text(arguments: str) -> str:
    """Return the text for a custom tool, or ``arguments`` as they are if they are not what was asked for."""
    with contextlib.suppress(msgspec.DecodeError, RecursionError, ValueError):
        found = msgspec.json.decode(arguments, type=dict[str, Any])
        if isinstance(found.get(_INPUT), str):
            return str(found[_INPUT])
    return arguments
