"""Hold what routing has learned of a request and done for it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from data.catalogue.types import Endpoint, Price
from data.record.attempt import Attempt
from router_service.core.conversation import ConversationKey
from router_service.core.plan import Decision, Plan
from router_service.core.usage import CostBreakdown, Usage


class HedgeLoser(NamedTuple):
    """Describe the losing call of a hedged request, whose response was discarded.

    ``started`` is true if its provider is known, or has to be assumed, to have processed the prompt.
    ``stops_on_disconnect`` is true if closing the connection ends that work. ``usage`` is the provider's own count, or
    ``None`` if none was received.
    """

    price: Price
    started: bool
    stops_on_disconnect: bool
    usage: Usage | None = None


class RouteStep(msgspec.Struct, gc=False):
    """Hold one dispatch of the request: its first decision, and usage and cost of its answer alone.

    Its attempts are those of the trace whose ``step`` is ``number``.
    """

    number: int = 0
    decision: Decision | None = None
    usage: Usage | None = None
    cost: CostBreakdown | None = None


class RouteTrace(msgspec.Struct):
    """Hold the steps of a request and the calls that were made for it.

    ``step`` is the current one, ``earlier_steps`` are those before it, which only middleware causes. ``attempts`` are
    those of all steps; ``open_attempts`` are the ones among them whose outcome was not reported
    yet. ``upstream_s`` are the seconds spent waiting for providers. ``rejected_plan`` is the plan of a request for
    which no endpoint was eligible. ``plans`` are kept for a client that asked for routing metadata.
    ``abandoned_endpoint`` is the one whose call ended without an answer when the request was cancelled.
    ``expected_cached_tokens`` are the prompt tokens that the sticky endpoint is expected to have in its cache.
    """

    step: RouteStep = msgspec.field(default_factory=RouteStep)
    earlier_steps: tuple[RouteStep, ...] = ()
    attempts: list[Attempt] = []
    open_attempts: list[Attempt] = []
    upstream_s: float = 0.0
    conversation: ConversationKey | None = None
    expected_cached_tokens: int | None = None
    rejected_plan: Plan | None = None
    plans: list[Plan] | None = None
    hedge_loser: HedgeLoser | None = None
    abandoned_endpoint: Endpoint | None = None
