"""Hold what became of a request: its answer or its error, and what both say."""

from __future__ import annotations

import msgspec

from router_service.core.labelling import Labelling
from router_service.core.tool_calls import ToolCallCollector, ToolCallVerdict
from router_service.core.usage import CostBreakdown, Usage


class CancelledResponse(msgspec.Struct, frozen=True):
    """State what was received of a response that was cancelled, and how it is billed.

    ``policy`` is what its provider does when its caller disconnects: stops, bills_to_end or unknown.
    ``received_tokens`` are those of the completion. ``estimated`` is true where usage and cost are no counts of the
    provider.
    """

    policy: str
    received_tokens: int
    estimated: bool


class Outcome(msgspec.Struct):
    """Collect what is known of the answer. Until a request has one, it counts as failed.

    ``usage`` and ``cost`` are the sums over all steps; ``RouteStep`` has those of one. ``first_byte`` is in seconds of
    ``time.perf_counter``. ``provider_name`` is the display name of ``provider``. ``complete`` is true once the response
    has ended in full. ``deadline_expired`` is true if the response was cut at a deadline that says nothing about the
    endpoint: the client's own or that of the whole request. ``tool_calls`` are collected for a request that offers
    tools. ``cancellation`` is set where a call was under way when the request was cancelled. ``middleware`` names what
    acted on the request. ``labelling`` are the labels that are being determined, for a request that was sampled.
    """

    status: int = 500
    error_type: str | None = None
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    model: str | None = None
    endpoint: str | None = None
    provider: str | None = None
    provider_name: str | None = None
    wire_format: str | None = None
    upstream_id: str | None = None
    service_tier: str | None = None
    usage: Usage | None = None
    cost: CostBreakdown | None = None
    output_bytes: int = 0
    first_byte: float | None = None
    complete: bool = False
    cancelled: bool = False
    ended_by_client: bool | None = None
    cancellation: CancelledResponse | None = None
    deadline_expired: bool = False
    dropped_parameters: tuple[str, ...] | None = None
    middleware: list[str] | None = None
    tool_calls: ToolCallCollector | None = None
    tool_call_verdict: ToolCallVerdict | None = None
    labelling: Labelling | None = None
