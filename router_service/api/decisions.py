"""Decide for one request which endpoints are tried: constraints, preferences, profile and affinity come together."""

from __future__ import annotations

from collections.abc import Iterator

from models.selection.decision.features import hour_of_week
from router_service.affinity.conversation import conversation_key
from router_service.api.metadata import noting
from router_service.api.services import Services
from router_service.core.exchange import Exchange
from router_service.core.plan import Decision, Plan
from router_service.planning.decide import decisions
from router_service.planning.eligibility import profile_of


def decisions_of(services: Services, exchange: Exchange) -> Iterator[Decision]:
    """Yield a decision for each model that the request lists, made when its turn comes.

    Raises ``ApiError`` where none can be served.
    """
    planner, request, caller, route = services.planner, exchange.request, exchange.caller, exchange.route
    head = request.head
    assert caller is not None and head is not None
    constraints = caller.constraints
    preferences = planner.preferences(head.provider, constraints)
    hour = hour_of_week(request.received_at)
    profile = profile_of(head, request.body_bytes, hour, caller.client_region, request.task)
    sticky = services.sticky
    # The other tasks have no conversations.
    affinity = conversation_key(caller.key_hash, head, request.headers) if request.task == "chat" else None
    route.conversation = affinity
    draw = services.random.random
    if affinity is None and route.plans is None:
        return decisions(planner, head.requested_models(), preferences, profile, draw, constraints)

    def apply_affinity(plan: Plan) -> Plan:
        kept = sticky.apply(plan, affinity, profile.prompt_tokens)
        if kept is not plan and affinity is not None and not route.attempts:
            route.expected_cached_tokens = sticky.expected_cached_tokens(plan, affinity)
        return kept

    found = decisions(planner, head.requested_models(), preferences, profile, draw, constraints, apply_affinity)
    return found if route.plans is None else noting(found, route.plans)
