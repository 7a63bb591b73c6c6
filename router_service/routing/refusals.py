"""What a client is told when no endpoint may serve it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from router_service.contract.errors import ApiError
from router_service.routing.plan import Plan
from router_service.routing.preferences import Preferences


def unknown_model(name: str) -> ApiError:
    """400, with the wording that clients of the reference match on."""
    availability = {"code": "model_not_found", "retryable": False, "requested_models": [name]}
    return ApiError(
        "invalid_request",
        f"{name} is not a valid model ID; GET /api/v1/models lists those that are",
        availability=availability,
    )


def no_endpoints(plan: Plan, preferences: Preferences, wanted: list[str]) -> ApiError:
    """404 naming the filters that removed the endpoints."""
    reasons = Counter(reason for _, reason in plan.excluded)
    offered = sorted({endpoint.tag for endpoint, _ in plan.excluded})
    availability: dict[str, Any] = {
        "code": "constraint_filtered" if reasons else "no_endpoints",
        "retryable": False,
        "requested_models": wanted,
        "excluded_by": [reason for reason, _ in reasons.most_common()],
    }
    if reasons.get("allowed_providers") and preferences.only:
        message = (
            "No allowed providers are available for the selected model. "
            f"Providers serving {plan.model}: {', '.join(offered)}, but your request's provider.only "
            f"preference permits only: {', '.join(preferences.only)}."
        )
    elif reasons:
        removed = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common())
        message = f"No endpoints found for {plan.model}: all were excluded by {removed}. Loosen one of these."
    else:
        message = f"No endpoints found for {plan.model}: no provider of it has a key in the environment."
    return ApiError("not_found", message, availability=availability)
