"""Serve ``GET /key``: the rules and the usage of the caller's key."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Depends, Request

from router_service.admission.key_rules import NO_RULES, rules_fields
from router_service.admission.keys import Key
from router_service.api.generation import data_region
from router_service.api.schemas.described import responds
from router_service.api.schemas.record_bodies import KeyBody
from router_service.api.services import require_key, services_of

router = APIRouter()
NANO = 1e9


@router.get("/key", summary="The caller's key", **responds(KeyBody, keyed=True))
async def get_key(request: Request, key: Key = Depends(require_key)) -> dict[str, Any]:
    """Return the key's rules and its usage, which is summed from the request log of all workers and past restarts.

    `policy` (ours) has the key's own rules. `allowed_data_regions` also applies those of deployment and host.
    """
    services = services_of(request)
    constraints = services.admission.constraints(key, dict(request.scope["headers"]))
    services.records.flush()
    await asyncio.to_thread(services.log.flush)
    used = await asyncio.to_thread(services.key_usage.of, key.hash)
    return {
        "data": {
            "label": key.label,
            "limit": None,
            "limit_remaining": None,
            "limit_reset": None,
            "usage": used.total / NANO,
            "usage_daily": used.daily / NANO,
            "usage_weekly": used.weekly / NANO,
            "usage_monthly": used.monthly / NANO,
            "byok_usage": 0,
            "byok_usage_daily": 0,
            "byok_usage_weekly": 0,
            "byok_usage_monthly": 0,
            "include_byok_in_limit": False,
            "is_free_tier": False,
            "is_management_key": key.management,
            "is_provisioning_key": False,
            "creator_user_id": None,
            "organization_id": None,
            "workspace_id": None,
            "allowed_data_regions": _data_regions(constraints.baseline.regions),
            "budgets": [],
            "effective_budget": None,
            "free_model_daily_requests": {"used": 0, "limit": 0, "remaining": 0},
            "expires_at": None,
            "rate_limit": {"requests": -1, "interval": "10s", "note": "Deprecated; there is no limit."},
            "policy": rules_fields(key.policy or NO_RULES),
        }
    }


def _data_regions(regions: tuple[str, ...] | None) -> list[str]:
    return ["global"] if regions is None else [data_region(region) for region in regions]
