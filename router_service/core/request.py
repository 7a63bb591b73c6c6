"""Hold the head of a request: the decoded fields that routing needs, and everything else as raw JSON."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class ReleasedRequest(NamedTuple):
    """Hold what is read of a request's messages, tools and cache marks after they were freed."""

    input_media: list[str]
    asks_for_hour_cache: bool


class Head(msgspec.Struct):
    """Hold every top-level field as raw JSON in ``fields``, in the client's order, and the decoded ones that routing
    reads.

    ``messages`` is a copy of the array of that name, or empty bytes for a request that needs none. ``service_tier`` is
    the canonical tier, not the client's word. ``modality`` is the first kind of medium in the messages: image, audio or
    file, else text. ``completion_limit`` is in tokens. ``own_fields`` are
    those of ``names`` that only ``own_dialect`` has. ``released`` is set once the request itself was freed; then
    ``messages`` is empty, and ``fields`` has those alone that are read when the request is settled.
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
    own_dialect: str = ""
    own_fields: frozenset[str] = frozenset()
    released: ReleasedRequest | None = None

    def requested_models(self) -> list[str]:
        """Return the requested models in the order in which they are tried."""
        first = [self.model] if self.model else []
        if not self.models:
            return first
        return list(dict.fromkeys(first + self.models))

    def prompt_tokens(self, body_bytes: int) -> int:
        """Return the estimated prompt tokens of a body of ``body_bytes`` bytes.

        Base64 media would distort the estimate, so it is 0 for a request with media.
        """
        return body_bytes // 4 if self.modality == "text" else 0
