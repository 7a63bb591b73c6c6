"""Hold a request as it came: its headers and body, and the head that a skin has read from the body."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from data.catalogue.types import Task


class ReleasedRequest(NamedTuple):
    """Hold what is read of a request's messages, tools and cache marks when it is settled."""

    input_media: list[str]
    asks_for_hour_cache: bool


class Head(msgspec.Struct, frozen=True):
    """Hold every top-level field as raw JSON in ``fields``, in the client's order, and the decoded ones that routing
    reads.

    It means the same for every skin: ``messages`` are an array of chat messages, a copy of the field of that name or a
    translation to it, or empty bytes for a request that needs none. What is derived from them is computed where it is
    needed, since most requests do not need it: the text for the category (``telemetry.categories``) and the turns that
    identify a conversation (``core.canonical_turns``). ``model`` is the model as this installation names it,
    ``client_model`` as the client wrote it, where that is another. ``service_tier`` is the canonical tier, not the
    client's word. ``modality`` is the first kind of medium in the messages: image, audio or file, else text.
    ``completion_limit`` is in tokens. ``own_fields`` are those of ``names`` that only ``own_dialect`` has. ``released``
    is set once the request itself was freed; then ``messages`` is empty, and ``fields`` has those alone that are read
    when the request is settled. For a large request it is set as soon as that is parsed, since it takes a search.
    ``longest_input`` are the bytes of the longest of several inputs that a model reads one by one; ``None`` where it
    reads the whole body.
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
    client_model: str = ""
    own_dialect: str = ""
    own_fields: frozenset[str] = frozenset()
    released: ReleasedRequest | None = None
    longest_input: int | None = None

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
        if self.longest_input is not None:
            return self.longest_input // 4
        return body_bytes // 4 if self.modality == "text" else 0


class Request(msgspec.Struct, frozen=True, gc=False):
    """Hold one request. ``received_at`` is in Unix seconds, ``arrival_s`` in seconds of ``time.perf_counter``.

    Of a request that has just arrived only the headers are known. ``with_body`` returns it with its body, once that is
    read, and ``with_head`` with the head that the skin has parsed or that of a step which middleware has changed. The
    exchange holds the last one. ``head`` is ``None`` for a request that was refused before its body was understood.
    ``body_bytes`` is the size of ``body``, which is freed once a stream has begun. ``task`` is what it asks for.
    """

    id: str
    received_at: float
    arrival_s: float
    skin: str
    headers: Mapping[bytes, bytes]
    body: bytes = b""
    body_bytes: int = 0
    head: Head | None = None
    task: Task = "chat"

    def with_body(self, body: bytes) -> Request:
        """Return the same request with ``body``."""
        return Request(
            self.id, self.received_at, self.arrival_s, self.skin, self.headers, body, len(body), self.head, self.task
        )

    def with_head(self, head: Head) -> Request:
        """Return the same request with ``head``."""
        return Request(
            self.id, self.received_at, self.arrival_s, self.skin, self.headers, self.body, self.body_bytes, head,
            self.task,
        )  # fmt: skip

    def released(self, head: Head) -> Request:
        """Return the request without its body, with the ``head`` that is left of it."""
        return Request(
            self.id, self.received_at, self.arrival_s, self.skin, self.headers, b"", self.body_bytes, head, self.task
        )

    def elapsed_us(self) -> int:
        """Return the microseconds since the request's arrival."""
        return int((time.perf_counter() - self.arrival_s) * 1e6)


class _GenerationIds:
    """Make ids from random bytes of the system, of which it keeps some: each system call may hand the interpreter to
    another thread.
    """

    __slots__ = ("_prefix", "_second", "_unused")

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""
        self._unused: list[str] = []

    def make(self, now_s: float) -> str:
        """Return a new id ``gen-<Unix seconds>-<20 hex digits>``. By the time in it a look-up reads one day of the
        lake.
        """
        second = int(now_s)
        if second != self._second:
            self._second, self._prefix = second, f"gen-{second}-"
        if not self._unused:
            self._unused = os.urandom(4000).hex(" ", 10).split(" ")
        return self._prefix + self._unused.pop()


_make_id = _GenerationIds().make


def receive_request(skin: str, headers: Mapping[bytes, bytes], task: Task = "chat") -> Request:
    """Return the request that arrives now at ``skin``, with a new id."""
    now = time.time()
    return Request(_make_id(now), now, time.perf_counter(), skin, headers, task=task)
