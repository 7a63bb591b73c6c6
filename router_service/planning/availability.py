"""Explain to the client why no endpoint may serve a request: ``error.availability`` with the reference's codes."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

from data.catalogue.types import Catalogue, Endpoint, Task
from router_service.core.caller import Constraints
from router_service.core.errors import ApiError
from router_service.core.plan import Plan
from router_service.planning.eligibility import RequestProfile, reference_reason
from router_service.planning.nearest_request import PRIVACY, NearestRequest, nearest_request
from router_service.planning.service_tiers import TIER_REASON

DOCS_URL = "/docs"
MAX_EXCLUDED_LISTED = 50
# After all endpoints have failed, the error type of the last attempt maps to an availability code.
EXHAUSTED_CODES = {
    "rate_limit_exceeded": "capacity_exhausted",
    "provider_overloaded": "temporarily_unavailable",
    "provider_unavailable": "temporarily_unavailable",
    "timeout": "temporarily_unavailable",
    "not_found": "model_unavailable_upstream",
}
RETRYABLE = frozenset({"capacity_exhausted", "temporarily_unavailable"})
# How each task's models are called, where they are asked, and where they are listed.
KINDS: dict[Task, str] = {
    "chat": "a chat model",
    "embeddings": "an embeddings model",
    "rerank": "a rerank model",
    "images": "a model for images alone",
}
ROUTES: dict[Task, str] = {
    "chat": "/api/v1/chat/completions",
    "embeddings": "/api/v1/embeddings",
    "rerank": "/api/v1/rerank",
    "images": "/api/v1/images",
}
LISTS: dict[Task, str] = {
    "chat": "/api/v1/models",
    "embeddings": "/api/v1/embeddings/models",
    "rerank": "/api/v1/models?output_modalities=rerank",
    "images": "/api/v1/images/models",
}
NOT_CHAT_REASONS = frozenset({"not a chat model", "no text output", "no text input"})


class NoEndpoints(ApiError):
    """Report that the filters excluded every endpoint of ``plan``; the log keeps the plan with all reasons."""

    def __init__(self, plan: Plan, error_type: str, message: str, availability: dict[str, Any]) -> None:
        super().__init__(error_type, message, availability=availability)
        self.plan = plan


def wrong_task(name: str, serves: Task, asked: Task) -> ApiError:
    """Return the error 400 for a model that is for another task than the one that is ``asked``."""
    return _error(
        "wrong_endpoint",
        f"{name} is {KINDS[serves]}, but this route needs {KINDS[asked]}; send the request to "
        f"{ROUTES[serves]}, or choose a model from GET {LISTS[asked]}",
        [name],
    )


def unknown_model(name: str, catalogue: Catalogue, hint: str | None = None, task: Task = "chat") -> ApiError:
    """Return the error 400 for an unknown id, with the wording that clients of the reference match on.

    Its code is ``wrong_endpoint`` if the id is known but is no chat model, else ``model_not_found``.
    """
    if name.lower() in _other_kinds(catalogue):
        return _error(
            "wrong_endpoint",
            f"{name} is not {KINDS[task]}, which this route needs; choose one from GET {LISTS[task]}",
            [name],
        )
    hint = hint or f"GET {LISTS[task]} lists those that are"
    return _error("model_not_found", f"{name} is not a valid model ID; {hint}", [name])


def no_eligible_endpoints(
    plan: Plan, profile: RequestProfile, constraints: Constraints, requested: list[str]
) -> NoEndpoints:
    """Return the error that names the filter of each endpoint and the nearest request that would have worked."""
    # A tier that was not requested explains nothing while other endpoints were excluded for other reasons.
    rows = [row for row in plan.excluded if row[1] != TIER_REASON] or list(plan.excluded)
    reasons = Counter(reason for _, reason in rows)
    nearest = nearest_request([endpoint for endpoint, _ in rows], plan.preferences, profile, constraints)
    code = _code(nearest.reasons if nearest else tuple(reasons))
    details: dict[str, Any] = {
        "excluded_by": list(dict.fromkeys(reference_reason(reason) for reason, _ in reasons.most_common())),
        "affected_providers": sorted({endpoint.provider_name for endpoint, _ in rows}),
        "excluded": [
            {"endpoint": e.id, "provider": e.provider_name, "reason": reason, "excluded_by": reference_reason(reason)}
            for e, reason in plan.excluded[:MAX_EXCLUDED_LISTED]
        ],
    }
    if nearest and nearest.changes:
        first = nearest.changes[0]
        details["constraint"] = {"field": first.field, "detail": first.sentence()}
        details["nearest"] = {
            "endpoint": nearest.endpoint.id,
            "provider": nearest.endpoint.provider_name,
            "changes": [change._asdict() for change in nearest.changes],
        }
    message = f"{_sentence(plan, reasons)} {_advice(nearest, constraints)}".strip()
    return NoEndpoints(plan, ERROR_TYPE.get(code, "not_found"), message, _availability(code, requested, **details))


def no_listed_endpoints(requested: str, model: str, free: bool, usable: bool, catalogue: Catalogue) -> ApiError:
    """Return the error 404 for an id that lists no endpoint; ``usable`` is true if the model has endpoints here."""
    offers = catalogue.endpoints.get(model, ())
    if free and usable:
        return _error(
            "free_variant_ended",
            f"No endpoints found for {requested}: no provider offers it for free. {model} is available at a price.",
            [requested],
            fallback_models=[model],
        )
    if offers and all(offer.disabled_reason == "deprecated" for offer in offers):
        return _error("model_deprecated", f"No endpoints found for {model}: all its providers retired it.", [requested])
    return _error(
        "no_endpoints",
        f"No endpoints found for {model}: this router has an API key of none of its providers. "
        "Choose another model from GET /api/v1/models.",
        [requested],
        affected_providers=sorted({offer.provider_name for offer in offers if _could_serve(offer)}),
    )


def exhausted_availability(error: ApiError, requested: list[str], providers: list[str]) -> dict[str, Any] | None:
    """Return ``availability`` for the last error of a request, or ``None`` if the request itself is at fault."""
    code = EXHAUSTED_CODES.get(error.error_type)
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


def _advice(nearest: NearestRequest | None, constraints: Constraints) -> str:
    if nearest is None:
        return " ".join(constraints.sentences())
    changes = " and ".join(change.sentence() for change in nearest.changes)
    return f"{nearest.endpoint.provider_name} would serve it {changes}."


@lru_cache(maxsize=2)
def _other_kinds_of(unplaced: tuple[tuple[str, str], ...]) -> frozenset[str]:
    names = set()
    for name, reason in unplaced:
        if reason in NOT_CHAT_REASONS:
            provider, _, model = name.lower().partition(":")
            names |= {model, f"{provider}/{model}", model.rpartition("/")[2]}
    return frozenset(names)


def _other_kinds(catalogue: Catalogue) -> frozenset[str]:
    """Return the ids, in lower case, that the source lists and that are not chat models."""
    return _other_kinds_of(catalogue.unplaced)


ERROR_TYPE = {
    "model_not_found": "invalid_request",
    "wrong_endpoint": "invalid_request",
    "region_restricted": "permission_denied",
}


def _error(code: str, message: str, requested: list[str], **details: Any) -> ApiError:
    return ApiError(
        ERROR_TYPE.get(code, "not_found"), message.strip(), availability=_availability(code, requested, **details)
    )


def _availability(code: str, requested: list[str], **details: Any) -> dict[str, Any]:
    return {
        "code": code,
        "retryable": code in RETRYABLE,
        "requested_models": requested,
        **details,
        "docs_url": DOCS_URL,
    }
