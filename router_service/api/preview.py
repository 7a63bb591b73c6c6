"""Serve ``POST /route/preview`` (ours), which shows the endpoints that a request would be routed to.

No provider is called and nothing is logged. The response shows the current plan, before the draw.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from fastapi import APIRouter, Depends, Request

from data.catalogue.types import Endpoint, Price
from data.explanations.wording import score_meaning
from models.selection.decision.features import hour_of_week
from router_service.admission.keys import Key
from router_service.affinity.conversation import conversation_key
from router_service.api.asgi import read_body
from router_service.api.parse_head import parse_head
from router_service.api.pricing_json import pricing
from router_service.api.schemas.chat_bodies import PreviewRequestBody
from router_service.api.schemas.described import json_content, responds
from router_service.api.schemas.record_bodies import PreviewBody
from router_service.api.services import Services, require_key, services_of
from router_service.core.conversation import ConversationKey
from router_service.core.errors import ApiError
from router_service.core.large_bodies import translate
from router_service.core.plan import Plan
from router_service.core.request import Head
from router_service.explanations.explain import exclusion
from router_service.planning.availability import NoEndpoints
from router_service.planning.constraints import ConstraintSet
from router_service.planning.decide import decisions
from router_service.planning.eligibility import RequestProfile, profile_of

router = APIRouter()


class PlanPreview(NamedTuple):
    """Plan for the models ``names``; if it has no eligible endpoint, ``error`` is what the client would receive."""

    names: list[str]
    plan: Plan | None
    error: ApiError | None


@router.post(
    "/route/preview",
    summary="The endpoints that a chat request would meet",
    **responds(PreviewBody, keyed=True, requestBody={"required": True, "content": json_content(PreviewRequestBody)}),
)
async def preview_route(request: Request, key: Key = Depends(require_key)) -> dict[str, Any]:
    """Return the plan for a chat completion body, in which `messages` may be left out. No provider is called."""
    services = services_of(request)
    headers = dict(request.scope["headers"])
    body = await read_body(request.receive, headers, services.max_body_bytes, services.arriving)
    head = await translate(len(body), parse_head, body, with_messages=False)
    affinity = conversation_key(key.hash, head, headers)
    profile = profile_of(
        head, len(body), hour_of_week(time.time()), services.admission.client_region(key, headers, request.scope)
    )
    previews = _previews(head, profile, services.admission.constraints(key, headers), affinity, services)
    first, *others = (_preview_json(preview, services) for preview in previews)
    return {"data": {**first, "next_models": others}}


def _previews(
    head: Head,
    profile: RequestProfile,
    constraints: ConstraintSet,
    affinity: ConversationKey | None,
    services: Services,
) -> Iterator[PlanPreview]:
    planner, names = services.planner, head.requested_models()
    preferences = planner.preferences(head.provider, constraints)

    def apply_affinity(plan: Plan) -> Plan:
        return services.sticky.apply(plan, affinity, profile.prompt_tokens)

    for group in [names] if preferences.pooled else [[name] for name in names]:
        try:
            # Only the plan is shown, so any draw will do. A constant leaves the router's random generator untouched.
            decision = next(decisions(planner, group, preferences, profile, lambda: 0.0, constraints, apply_affinity))
        except NoEndpoints as error:
            yield PlanPreview(group, error.plan, error)
        except ApiError as error:
            yield PlanPreview(group, None, error)
        else:
            yield PlanPreview(group, decision.plan, None)


def _preview_json(preview: PlanPreview, services: Services) -> dict[str, Any]:
    plan, error = preview.plan, preview.error
    names = {slug: provider.name for slug, provider in services.catalogue.providers.items()}
    arms = plan.arms if plan else ()
    rows = msgspec.msgpack.decode(plan.candidates) if plan else ()
    return {
        "requested_models": preview.names,
        "model": plan.model if plan else None,
        "policies": [{"policy": arm.policy, "version": arm.version, "weight": arm.weight} for arm in arms],
        "score": score_meaning(arms[0].policy) if arms else None,
        "after_failure": _after_failure(plan) if plan and plan.endpoints else None,
        "catalogue_version": services.catalogue.version,
        "health_epoch": plan.health_epoch if plan else None,
        "endpoints": [_endpoint(e, row) for e, row in zip(plan.endpoints, rows, strict=False)] if plan else [],
        "excluded": [exclusion(e.id, reason, names) for e, reason in plan.excluded] if plan else [],
        "refusal": error.body() if error else None,
    }


def _after_failure(plan: Plan) -> str:
    if not plan.fallbacks:
        return "nothing: fallbacks are off"
    return "a draw from the rest" if plan.redraw else "the first of the rest, in this order"


def _endpoint(endpoint: Endpoint, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "endpoint": endpoint.id,
        "tag": endpoint.tag,
        "provider": endpoint.provider_name,
        "model": endpoint.model,
        "probability": row["probability"],
        "score": row["score"],
        "pricing": pricing(endpoint.price or Price(0, 0)),
        "context_length": endpoint.context_length,
        "max_completion_tokens": endpoint.max_completion_tokens,
        "quantization": endpoint.quantization,
    }
