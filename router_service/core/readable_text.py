"""Return the text that stands for a block which another dialect has no word for."""

from __future__ import annotations

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
    lines: list[str] = []
    waiting: list[Any] = [block]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            lines.append(value)
        elif isinstance(value, list):
            waiting += value[::-1]
        elif isinstance(value, dict):
            waiting += [found for key in _KEYS[::-1] if (found := _field(value, key)) is not None]
    return "\n".join(line for line in lines if line.strip()) or None


def _field(block: dict[str, Any], key: str) -> Any:
    value = block.get(key)
    if key == "source" and isinstance(value, dict):
        # Of a document's sources only plain text and content blocks can be read.
        return value.get("data") if value.get("type") == "text" else value.get("content")
    return value
