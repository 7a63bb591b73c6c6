"""Render ``openrouter_metadata``, which describes how a request was routed.

Clients ask for it with the header ``X-OpenRouter-Metadata: enabled``. Shape and placement follow the reference.
``region`` is null, since the router does not know where it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data.catalogue.types import Catalogue
from data.record.attempt import LOST, Attempt
from router_service.core.errors import ERROR_STATUS, ApiError, reference_error_type
from router_service.core.exchange import Exchange
from router_service.core.plan import Decision, Plan
from router_service.core.route_trace import RouteTrace

HEADER, LEGACY_HEADER = b"x-openrouter-metadata", b"x-openrouter-experimental-metadata"
# nginx's status for a request that its client closed. Here the router closed the losing call of a hedged pair.
CUT = 499
# The reference returns no metadata for these errors: they are the router's own, or occur before routing.
SILENT_ERRORS = frozenset({"server", "authentication"})


def is_asked(headers: Mapping[bytes, bytes]) -> bool:
    """Return true if the client asks for the metadata; only the value ``enabled`` counts."""
    value = headers.get(HEADER) or headers.get(LEGACY_HEADER)
    return value is not None and value.lower() == b"enabled"


def noting(decisions: Iterator[Decision], plans: list[Plan]) -> Iterator[Decision]:
    """Yield ``decisions`` and append the plan of each to ``plans``."""
    for decision in decisions:
        plans.append(decision.plan)
        yield decision


def metadata(exchange: Exchange, catalogue: Catalogue, error: ApiError | None = None) -> dict[str, Any]:
    """Return the field under its name, or an empty dictionary if it was not requested or the error has none."""
    route = exchange.route
    if route.plans is None or (error is not None and error.error_type in SILENT_ERRORS):
        return {}
    head = exchange.request.head
    requested = head.requested_models()[0] if head else ""
    plans, attempts = route.plans, route.attempts
    available = [
        {"provider": e.provider_name, "model": e.model, "selected": e.id == exchange.outcome.endpoint}
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
        "endpoints": {"total": sum(map(_size, _plans(route))), "available": available},
    }
    if attempts:
        found["attempts"] = [_attempt(attempt, catalogue) for attempt in attempts]
        served = next((attempt for attempt in reversed(attempts) if attempt.error_type is None), attempts[-1])
        found["generation_time"] = max(0, exchange.request.elapsed_us() - served.started_us) // 1000
    return {"openrouter_metadata": found}


def _plans(route: RouteTrace) -> list[Plan]:
    refused = [route.rejected_plan] if route.rejected_plan else []
    return [*(route.plans or ()), *refused]


def _size(plan: Plan) -> int:
    return len(plan.endpoints) + len(plan.excluded)


def _strategy(requested: str, exchange: Exchange, catalogue: Catalogue) -> str:
    """Return the reference's name of the routing strategy; direct, latest, alias and fallback apply here."""
    base, plans, attempts = requested.lower(), exchange.route.plans, exchange.route.attempts
    tried = exchange.outcome.model or (attempts[-1].model if attempts else None)
    if tried is not None and plans and all(e.model != tried for e in plans[0].endpoints):
        return "fallback"
    if base.startswith("~"):
        return "latest"
    model = plans[0].model if plans else catalogue.resolve(base)
    if model is None or base == model or base.startswith(f"{model}:"):
        return "direct"
    # The first requested model may have been skipped because no endpoint could serve it.
    head = exchange.request.head
    others = [name.lower() for name in head.requested_models()[1:]] if head else []
    return "fallback" if any(name == model or name.startswith(f"{model}:") for name in others) else "alias"


def _attempt(attempt: Attempt, catalogue: Catalogue) -> dict[str, Any]:
    provider = catalogue.providers.get(attempt.provider)
    # The reference's status is a number. Without a response it is that of the error which the client would receive.
    if attempt.error_type == LOST:
        status = CUT
    else:
        status = attempt.status or (
            ERROR_STATUS[reference_error_type(attempt.error_type)] if attempt.error_type else 200
        )
    return {"provider": provider.name if provider else attempt.provider, "model": attempt.model, "status": status}
