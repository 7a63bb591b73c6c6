"""Return the text that stands for a block which another dialect has no word for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from router_service.core.outgoing_json import outgoing_json

# Keys whose text a model can use; ids, encrypted and base64 fields are none of them.
_KEYS = (
    "title", "context", "source", "url", "text", "content", "stdout", "stderr", "error_code", "tool_name", "file_name"
)  # fmt: skip


def readable_text(block: dict[str, Any]) -> str | None:
    """Return a call with its arguments, else the readable text in order, one line for each field; ``None`` for none."""
    name, arguments = block.get("name"), block.get("input")
    if isinstance(name, str) and isinstance(arguments, dict):
        return f"{name}({outgoing_json(arguments).decode()})"
    return text_of_fields(block, _KEYS, _field) or None


def text_of_fields(
    value: Any, keys: Sequence[str], field: Callable[[dict[str, Any], str], Any] = dict[str, Any].get
) -> str:
    """Return the strings in ``value``, one line for each, of ``keys`` alone and in their order.

    ``field`` reads a key of an object.
    """
    lines: list[str] = []
    waiting: list[Any] = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            lines.append(found)
        elif isinstance(found, list):
            waiting += found[::-1]
        elif isinstance(found, dict):
            waiting += [field(found, key) for key in keys[::-1]]
    return "\n".join(line for line in lines if line.strip())


def _field(block: dict[str, Any], key: str) -> Any:
    value = block.get(key)
    if key == "source" and isinstance(value, dict):
        # Of a document's sources only plain text and content blocks can be read.
        return value.get("data") if value.get("type") == "text" else value.get("content")
    return value
