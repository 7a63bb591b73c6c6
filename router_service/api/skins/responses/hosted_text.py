"""Return the text that stands for an item which other dialects have no word for."""

from __future__ import annotations

from typing import Any

from router_service.core.readable_text import text_of_fields

# Fields whose text a model can use, in the order in which it is written. Ids, encrypted and base64 fields are none.
_KEYS = (
    "name", "tool_name", "arguments", "action", "query", "queries", "command", "commands", "code", "operation", "path",
    "diff", "title", "url", "filename", "text", "content", "output", "outputs", "results", "sources", "logs", "stdout",
    "stderr", "error",
)  # fmt: skip


def hosted_text(item: dict[str, Any]) -> str | None:
    """Return what a call, or the result of one, says: one line for each field; ``None`` for nothing readable."""
    text = text_of_fields(item, _KEYS)
    return f"[{item.get('type')}]\n{text}" if text else None
