"""Hold the head of a request: what routing needs, decoded; everything else as raw JSON."""

from __future__ import annotations

import msgspec


class Head(msgspec.Struct):
    """``fields`` holds every top-level field as raw JSON, in the client's order.

    ``messages`` is the array of that name, copied out once; empty where none is demanded. ``service_tier`` is the
    one that is meant, not the word. ``modality`` is the first kind of medium that the messages hold: image | audio |
    file, else text.
    """

    fields: dict[str, msgspec.Raw]
    model: str | None
    models: list[str]
    stream: bool
    provider: bytes
    completion_limit: int | None
    tool_count: int
    session_id: str | None
    trace_id: str | None
    names: list[str]
    messages: bytes
    service_tier: str | None
    modality: str

    def wanted(self) -> list[str]:
        """Models in the order in which they are tried."""
        first = [self.model] if self.model else []
        if not self.models:
            return first
        return list(dict.fromkeys(first + self.models))

    def prompt_tokens(self, body_bytes: int) -> int:
        """Estimated from a body of ``body_bytes``, which base64 media would make say nothing: 0 with any."""
        return body_bytes // 4 if self.modality == "text" else 0
