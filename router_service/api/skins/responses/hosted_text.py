"""Return the text that stands for an item which other dialects have no word for."""

from __future__ import annotations

from typing import Any

# Fields whose text a model can use, in the order in which it is written. Ids, encrypted and base64 fields are none.
_KEYS = (
    "name", "tool_name", "arguments", "action", "query", "queries", "command", "commands", "code", "operation", "path",
    "diff", "title", "url", "filename", "text", "content", "output", "outputs", "results", "sources", "logs", "stdout",
    "stderr", "error",
)  # fmt: skip


def hosted_text(item: dict[str, Any]) -> str | None:
    """Return what a call, or the result of one, says: one line for each field; ``None`` for nothing readable."""
    lines: list[str] = []
    waiting: list[Any] = [item]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            lines.append(value)
        elif isinstance(value, list):
            waiting += value[::-1]
        elif isinstance(value, dict):
            waiting += [value[key] for key in _KEYS[::-1] if key in value]
    text = "\n".join(line for line in lines if line.strip())
    return f"[{item.get('type')}]\n{text}" if text else None
