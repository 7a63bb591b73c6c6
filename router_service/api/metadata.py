"""``openrouter_metadata``: how an answer came about, for clients that ask with ``X-OpenRouter-Metadata: enabled``.

Shape and placement follow the reference. ``region`` is null, since the router does not know where it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data.catalogue.types import Catalogue
from data.record.attempt import LOST, Attempt
from router_service.core.errors import ERROR_STATUS, ApiError, reference_error_type
from router_service.core.exchange import Exchange
from router_service.core.plan import Decision, Plan

HEADER, LEGACY_HEADER = b"x-openrouter-metadata", b"x-openrouter-experimental-metadata"
# nginx's code for a call that its caller has ended: here the router, for the other of two.
CUT = 499
# Failures of which the reference says nothing: they are the router's own, or come before there is a route.
SILENT_ERRORS = frozenset({"server", "authentication"})


def is_asked(headers: Mapping[bytes, bytes]) -> bool:
    """Any other value than ``enabled`` is a no."""
    value = headers.get(HEADER) or headers.get(LEGACY_HEADER)
    return value is not None and value.lower() == b"enabled"


def noting(decisions: Iterator[Decision], plans: list[Plan]) -> Iterator[Decision]:
    """``decisions``, with the plan of each added to ``plans``."""
    for decision in decisions:
        plans.append(decision.plan)
        yield decision


def metadata(exchange: Exchange, catalogue: Catalogue, error: ApiError | None = None) -> dict[str, Any]:
    """The field by its name, or nothing: when it was not asked for, and for errors that have none."""
    if exchange.plans is None or (error is not None and error.error_type in SILENT_ERRORS):
        return {}
    head = exchange.head
    requested = head.requested_models()[0] if head else ""
    plans, attempts = exchange.plans, exchange.attempts
    available = [
        {"provider": e.provider_name, "model": e.model, "selected": e.id == exchange.endpoint}
        for plan in plans
        for e in plan.endpoints
    ]
    selected = next((row["provider"] for row in available if row["selected"]), "none")
    found: dict[str, Any] = {
        "requested": requested,
        "strategy": _strategy(requested, exchange, catalogue),
        "region": None,
        "summary": f"available={len(available)}, selected={selected}",
        "attempt": len(attempts),
        "is_byok": False,
        "endpoints": {"total": sum(map(_size, _plans(exchange))), "available": available},
    }
    if attempts:
        found["attempts"] = [_attempt(attempt, catalogue) for attempt in attempts]
        served = next((attempt for attempt in reversed(attempts) if attempt.error_type is None), attempts[-1])
        found["generation_time"] = max(0, exchange.elapsed_us() - served.started_us) // 1000
    return {"openrouter_metadata": found}


def _plans(exchange: Exchange) -> list[Plan]:
    refused = [exchange.rejected_plan] if exchange.rejected_plan else []
    return [*(exchange.plans or ()), *refused]


def _size(plan: Plan) -> int:
    return len(plan.endpoints) + len(plan.excluded)


def _strategy(requested: str, exchange: Exchange, catalogue: Catalogue) -> str:
    """Of the reference's words those that have a meaning here: direct, latest, alias, fallback."""
    base = requested.lower()
    tried = exchange.model or (exchange.attempts[-1].model if exchange.attempts else None)
    if tried is not None and exchange.plans and all(e.model != tried for e in exchange.plans[0].endpoints):
        return "fallback"
    if base.startswith("~"):
        return "latest"
    model = exchange.plans[0].model if exchange.plans else catalogue.resolve(base)
    if model is None or base == model or base.startswith(f"{model}:"):
        return "direct"
    # The first of the wanted models may have been passed over, since nothing could serve it.
    head = exchange.head
    others = [name.lower() for name in head.requested_models()[1:]] if head else []
    return "fallback" if any(name == model or name.startswith(f"{model}:") for name in others) else "alias"


def _attempt(attempt: Attempt, catalogue: Catalogue) -> dict[str, Any]:
    provider = catalogue.providers.get(attempt.provider)
    # The reference's status is a number: where no answer came, that of the error which the client would get.
    if attempt.error_type == LOST:
        status = CUT
    else:
        status = attempt.status or (
            ERROR_STATUS[reference_error_type(attempt.error_type)] if attempt.error_type else 200
        )
    return {"provider": provider.name if provider else attempt.provider, "model": attempt.model, "status": status}
