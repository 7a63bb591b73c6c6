"""``GET /key``: what the caller's key may do and has used."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request

from router_service.admission.keys import Key
from router_service.api.auth import require_key
from router_service.serving import Serving

router = APIRouter()


@router.get("/key", summary="The caller's key")
async def get_key(request: Request, key: Key = Depends(require_key)) -> dict[str, Any]:
    """Usage counts this process since its start; the marts hold the whole."""
    serving: Serving = request.app.state.serving
    used = serving.usage_nano.get(key.hash, 0) / 1e9
    return {
        "data": {
            "label": key.label,
            "limit": None,
            "limit_remaining": None,
            "limit_reset": None,
            "usage": used,
            "usage_daily": used,
            "usage_weekly": used,
            "usage_monthly": used,
            "byok_usage": 0,
            "byok_usage_daily": 0,
            "byok_usage_weekly": 0,
            "byok_usage_monthly": 0,
            "include_byok_in_limit": False,
            "is_free_tier": False,
            "is_management_key": False,
            "is_provisioning_key": False,
            "creator_user_id": None,
            "organization_id": None,
            "workspace_id": None,
            "allowed_data_regions": ["global"],
            "budgets": [],
            "effective_budget": None,
            "free_model_daily_requests": {"used": 0, "limit": 0, "remaining": 0},
            "expires_at": None,
            "rate_limit": {"requests": -1, "interval": "10s", "note": "Deprecated; there is no limit."},
        }
    }
