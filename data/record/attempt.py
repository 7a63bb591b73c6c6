"""Declare one attempt, a request that the router sent to a provider, and how it ended."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from data.record.columns import Column, Int32

# ``reason`` of an attempt that repeats the one before, whose kept-alive connection the provider had closed.
STALE = "retry:stale_connection"
# ``reason`` of a hedged request, which runs beside an attempt that is late.
HEDGE = "hedge:slow_first_token"
# ``error_type`` of the attempt of a hedged pair that was cancelled because the other one answered first.
LOST = "cancelled"
# ``error_type`` of an attempt that a client's deadline ended before the router's own; the endpoint did not fail.
CLIENT_DEADLINE = "client_deadline"


class Attempt(msgspec.Struct, omit_defaults=True):
    """Record one attempt. A default must never change: encoded records omit the fields that have it."""

    endpoint: Annotated[str, Column("Id of the endpoint, provider:upstream_model, then @ and its service tier if any")]
    provider: Annotated[str, Column("Slug of the provider")]
    model: Annotated[str, Column("Canonical id of the model")]
    status: Annotated[Int32 | None, Column("HTTP status of the provider; null when no response came")] = None
    error_type: Annotated[
        str | None,
        Column(
            "Typed error code, null on success; cancelled for the attempt of a hedged pair that the other one beat; "
            "client_deadline when a ttft_timeout or stall_timeout of the request or its key, shorter than the "
            "router's own, ended it"
        ),
    ] = None
    reason: Annotated[
        str,
        Column(
            "Why the attempt was made: sampled, fallback:<error_type of the one before>, fallback:probed (another "
            "request was already probing the recovering endpoint), retry:stale_connection (same endpoint again), "
            "hedge:slow_first_token (a hedged request)"
        ),
    ] = "sampled"
    started_us: Annotated[int, Column("Start, counted from the arrival of the request", "µs")] = 0
    ttft_us: Annotated[int | None, Column("Request sent to first content byte; null when none came", "µs")] = None
    duration_us: Annotated[
        int | None,
        Column(
            "Start to end; for a complete stream, until the provider's last bytes, and null where a client that "
            "reads slowly may have delayed them",
            "µs",
        ),
    ] = None
    step: Annotated[
        Int32,
        Column(
            "Step of the request that the attempt belongs to: 0, and one more each time middleware repeats it", since=2
        ),
    ] = 0


# answered: the client got its response. failed: the provider, or the way to it, failed. abandoned: the call was ended
# for reasons that say nothing about the endpoint. lost: the other call of a hedged pair was sooner.
AttemptEnd = Literal["answered", "failed", "abandoned", "lost"]


class AttemptOutcome(msgspec.Struct, frozen=True, gc=False):
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
