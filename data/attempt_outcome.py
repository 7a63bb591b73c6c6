"""Describe how one call to a provider ended, as everything that learns from calls is told it."""

from __future__ import annotations

from typing import Literal

import msgspec

# answered: the client got its response. failed: the provider, or the way to it, failed. abandoned: the call was ended
# for reasons that say nothing about the endpoint. lost: the other call of a hedged pair was sooner.
AttemptEnd = Literal["answered", "failed", "abandoned", "lost"]


class AttemptOutcome(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Hold what a call to an endpoint came to, reported once when it has ended.

    ``began_s`` and ``ended_s`` are seconds of ``time.perf_counter``; ``duration_us`` and ``ttft_us`` are those of the
    record, ``None`` where not measured. ``error_type`` is the record's: a call may have failed and yet be
    ``abandoned``, for instance at the client's own deadline. ``stale``: it met a kept connection that the provider had
    closed. ``hedge``: it was the second call of a hedged pair. Tokens are ``None`` unless the response was taken.
    """

    endpoint: str
    provider: str
    model: str
    ended: AttemptEnd
    stream: bool
    began_s: float
    ended_s: float
    error_type: str | None = None
    ttft_us: int | None = None
    duration_us: int | None = None
    retry_after_s: float | None = None
    stale: bool = False
    hedge: bool = False
    client_region: str | None = None
    cancelled: bool = False
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    tool_call_fault: str | None = None
    judged_tool_calls: bool = False
