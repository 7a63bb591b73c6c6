"""Find the nearest request that would have worked: no rule on data or location loosened, few changes, a low price."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from data.catalogue.types import Endpoint
from router_service.core.caller import Constraints
from router_service.core.preferences import Preferences
from router_service.planning.eligibility import (
    ESTIMATE_MARGIN,
    SOFT_PARAMETERS,
    RequestProfile,
    blended_price,
    eligibility_rules,
    is_named_by,
    limited_prices,
    missing_parameters,
    parts_over_limit,
    processing_locations,
)

# These filters protect the data. A change that loosens one is suggested only when nothing else would help.
PRIVACY = frozenset({"data_policy:training", "data_policy:zdr", "distillation"})
PROTECTING = PRIVACY | {"data_region"}


class RequestChange(NamedTuple):
    """Set ``field`` to ``value``; ``None`` removes the field."""

    field: str
    value: Any

    def sentence(self) -> str:
        """Return the change as the end of the sentence "X would serve it …"."""
        return f"without {self.field}" if self.value is None else f"with {self.field} = {self.value!r}"


class NearestRequest(NamedTuple):
    """Hold the nearest ``endpoint``, the ``reasons`` that exclude it, and the ``changes`` that would admit it."""

    endpoint: Endpoint
    reasons: tuple[str, ...]
    changes: tuple[RequestChange, ...]


def nearest_request(
    endpoints: Sequence[Endpoint], preferences: Preferences, profile: RequestProfile, constraints: Constraints
) -> NearestRequest | None:
    """Return the nearest request, or ``None`` if no change that the client may make would help.

    The constraints of the installation, the host and the key are never loosened.
    """
    filters = tuple(eligibility_rules(preferences, profile))
    found: list[tuple[tuple[bool, int, tuple[bool, ...], int, str], Endpoint, tuple[str, ...]]] = []
    for endpoint in endpoints:
        failed = tuple(reason for reason, passes in filters if not passes(endpoint))
        usable = endpoint.enabled and endpoint.price is not None
        if failed and usable and constraints.allows(endpoint):
            price = blended_price(endpoint.price) if endpoint.price else 0
            sensitive = not PROTECTING.isdisjoint(failed)
            lacking = tuple(
                name in profile.parameters and name not in endpoint.supported_parameters for name in SOFT_PARAMETERS
            )
            found.append(((sensitive, len(failed), lacking, price, endpoint.id), endpoint, failed))
    if not found:
        return None
    _, endpoint, failed = min(found, key=lambda row: row[0])
    changes = tuple(change for reason in failed for change in _changes(reason, endpoint, preferences, profile))
    return NearestRequest(endpoint, failed, changes)


def _changes(reason: str, endpoint: Endpoint, preferences: Preferences, profile: RequestProfile) -> list[RequestChange]:
    tag = endpoint.tag
    match reason:
        case "data_region":
            where = processing_locations(endpoint)
            return [RequestChange("provider.region", where[0] if len(where) == 1 else list(where) or None)]
        case "data_policy:training":
            return [RequestChange("provider.data_collection", "allow")]
        case "data_policy:zdr":
            return [RequestChange("provider.zdr", None)]
        case "distillation":
            return [RequestChange("provider.enforce_distillable_text", None)]
        case "allowed_providers":
            return [RequestChange("provider.only", [*(preferences.only or ()), tag])]
        case "ordered_providers":
            return [RequestChange("provider.order", [*(preferences.order or ()), tag])]
        case "ignored_providers":
            kept = [slug for slug in preferences.ignore or () if not is_named_by(endpoint, (slug,))]
            return [RequestChange("provider.ignore", kept or None)]
        case "quantization":
            return [
                RequestChange("provider.quantizations", [*(preferences.quantizations or ()), endpoint.quantization])
            ]
        case "min_quantization":
            known = endpoint.quantization != "unknown"
            return [RequestChange("provider.min_quantization", endpoint.quantization if known else None)]
        case "moderated" | "not_moderated":
            return [RequestChange("provider.is_moderated", None)]
        case "max_price":
            return _price_changes(endpoint, preferences)
        case "require_parameters":
            return [RequestChange(name, None) for name in missing_parameters(profile.parameters, endpoint)]
        case "context_length":
            return [RequestChange("messages", f"at most {int(ESTIMATE_MARGIN * endpoint.context_length)} tokens")]
        case _:
            return [RequestChange("max_tokens", endpoint.max_completion_tokens)]


def _price_changes(endpoint: Endpoint, preferences: Preferences) -> list[RequestChange]:
    price, limit = endpoint.price, preferences.max_price
    if price is None or limit is None:
        return []
    prices = limited_prices(price)
    over = parts_over_limit(endpoint, limit)
    return [RequestChange(f"provider.max_price.{part}", prices[part] / 1e9) for part in over]
