"""What a client is told when no endpoint may serve it: ``error.availability`` with the codes of the reference."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

from data.catalogue.types import Catalogue, Endpoint
from router_service.core.errors import ApiError
from router_service.core.plan import Plan
from router_service.planning.constraints import ConstraintSet
from router_service.planning.eligibility import RequestProfile, reference_reason
from router_service.planning.nearest_request import PRIVACY, NearestRequest, nearest_request
from router_service.planning.service_tiers import REASON

DOCS_URL = "/docs"
MOST_EXCLUDED_LISTED = 50
# error type of the last attempt → availability code, when all endpoints have failed.
EXHAUSTED = {
    "rate_limit_exceeded": "capacity_exhausted",
    "provider_overloaded": "temporarily_unavailable",
    "provider_unavailable": "temporarily_unavailable",
    "timeout": "temporarily_unavailable",
    "not_found": "model_unavailable_upstream",
}
RETRYABLE = frozenset({"capacity_exhausted", "temporarily_unavailable"})
NOT_CHAT = frozenset({"not a chat model", "no text output", "no text input"})


class NoEndpoints(ApiError):
    """Filters left nothing of ``plan``, which the log then keeps: each endpoint with its reason."""

    def __init__(self, plan: Plan, error_type: str, message: str, availability: dict[str, Any]) -> None:
        super().__init__(error_type, message, availability=availability)
        self.plan = plan


def unknown_model(name: str, catalogue: Catalogue, why: str | None = None) -> ApiError:
    """400, with the wording that clients of the reference match on.

    ``wrong_endpoint`` where the id is known and is no chat model, else ``model_not_found``.
    """
    if name.lower() in _other_kinds(catalogue):
        return _error(
            "wrong_endpoint",
            f"{name} is not a chat model, and this route serves no others; GET /api/v1/models lists them",
            [name],
        )
    hint = why or "GET /api/v1/models lists those that are"
    return _error("model_not_found", f"{name} is not a valid model ID; {hint}", [name])


def no_eligible_endpoints(
    plan: Plan, profile: RequestProfile, constraints: ConstraintSet, requested: list[str]
) -> NoEndpoints:
    """Return the error that names the filter of each endpoint and the nearest request that would have worked."""
    # Of a tier that was not asked for is no reason while there are others.
    rows = [row for row in plan.excluded if row[1] != REASON] or list(plan.excluded)
    reasons = Counter(reason for _, reason in rows)
    close = nearest_request([endpoint for endpoint, _ in rows], plan.preferences, profile, constraints)
    code = _code(close.reasons if close else tuple(reasons))
    more: dict[str, Any] = {
        "excluded_by": list(dict.fromkeys(reference_reason(reason) for reason, _ in reasons.most_common())),
        "affected_providers": sorted({endpoint.provider_name for endpoint, _ in rows}),
        "excluded": [
            {"endpoint": e.id, "provider": e.provider_name, "reason": reason, "excluded_by": reference_reason(reason)}
            for e, reason in plan.excluded[:MOST_EXCLUDED_LISTED]
        ],
    }
    if close and close.changes:
        first = close.changes[0]
        more["constraint"] = {"field": first.field, "detail": first.sentence()}
        more["nearest"] = {
            "endpoint": close.endpoint.id,
            "provider": close.endpoint.provider_name,
            "changes": [change._asdict() for change in close.changes],
        }
    message = f"{_sentence(plan, reasons)} {_advice(close, constraints)}".strip()
    return NoEndpoints(plan, ERROR_TYPE.get(code, "not_found"), message, _availability(code, requested, **more))


def no_listed_endpoints(requested: str, model: str, free: bool, usable: bool, catalogue: Catalogue) -> ApiError:
    """404 for an id under which no endpoint stands. ``usable``: the model itself has endpoints here."""
    offers = catalogue.endpoints.get(model, ())
    if free and usable:
        return _error(
            "free_variant_ended",
            f"No endpoints found for {requested}: no provider gives it away. {model} is available at a price.",
            [requested],
            fallback_models=[model],
        )
    if offers and all(offer.disabled_reason == "deprecated" for offer in offers):
        return _error("model_deprecated", f"No endpoints found for {model}: all its providers retired it.", [requested])
    return _error(
        "no_endpoints",
        f"No endpoints found for {model}: no provider of it has a key in the environment.",
        [requested],
        affected_providers=sorted({offer.provider_name for offer in offers if _could_serve(offer)}),
    )


def exhausted_availability(error: ApiError, requested: list[str], providers: list[str]) -> dict[str, Any] | None:
    """``availability`` for an error that is left after every attempt; ``None`` where the request itself is at fault."""
    code = EXHAUSTED.get(error.error_type)
    if code is None:
        return None
    found = _availability(code, requested, affected_providers=sorted(set(providers)))
    if error.retry_after is not None and code in RETRYABLE:
        found["retry_after"] = error.retry_after
    return found


def _could_serve(offer: Endpoint) -> bool:
    return offer.enabled and offer.price is not None


def _code(reasons: tuple[str, ...]) -> str:
    if "data_region" in reasons:
        return "region_restricted"
    return "privacy_restricted" if PRIVACY.intersection(reasons) else "constraint_filtered"


def _sentence(plan: Plan, reasons: Counter[str]) -> str:
    if set(reasons) == {"allowed_providers"}:
        offered = sorted({endpoint.tag for endpoint, _ in plan.excluded})
        return (
            "No allowed providers are available for the selected model. "
            f"Providers serving {plan.model}: {', '.join(offered)}, but your request's provider.only "
            f"preference permits only: {', '.join(plan.preferences.only or ())}."
        )
    removed = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common())
    subject = " matching your data policy" if PRIVACY.intersection(reasons) else f" for {plan.model}"
    return f"No endpoints found{subject}: all {reasons.total()} of {plan.model} were excluded by {removed}."


def _advice(close: NearestRequest | None, constraints: ConstraintSet) -> str:
    if close is None:
        return " ".join(constraints.sentences())
    changes = " and ".join(change.sentence() for change in close.changes)
    return f"{close.endpoint.provider_name} would serve it {changes}."


@lru_cache(maxsize=2)
def _other_kinds_of(unplaced: tuple[tuple[str, str], ...]) -> frozenset[str]:
    names = set()
    for name, reason in unplaced:
        if reason in NOT_CHAT:
            provider, _, model = name.lower().partition(":")
            names |= {model, f"{provider}/{model}", model.rpartition("/")[2]}
    return frozenset(names)


def _other_kinds(catalogue: Catalogue) -> frozenset[str]:
    """Ids that the source knows and that are no chat models."""
    return _other_kinds_of(catalogue.unplaced)


ERROR_TYPE = {
    "model_not_found": "invalid_request",
    "wrong_endpoint": "invalid_request",
    "region_restricted": "permission_denied",
}


def _error(code: str, message: str, requested: list[str], **more: Any) -> ApiError:
    return ApiError(
        ERROR_TYPE.get(code, "not_found"), message.strip(), availability=_availability(code, requested, **more)
    )


def _availability(code: str, requested: list[str], **more: Any) -> dict[str, Any]:
    return {
        "code": code,
        "retryable": code in RETRYABLE,
        "requested_models": requested,
        **more,
        "docs_url": DOCS_URL,
    }
