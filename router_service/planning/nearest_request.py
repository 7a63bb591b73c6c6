"""The nearest request that would have worked: no rule on data or place loosened, few changes, a low price."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from data.catalogue.types import Endpoint
from router_service.core.preferences import Preferences
from router_service.planning.constraints import Demands
from router_service.planning.eligibility import (
    ESTIMATE_MARGIN,
    NEVER_REQUIRED,
    SOFT_PARAMETERS,
    Ask,
    blended,
    named,
    over_limit,
    places,
    rules,
)

# Filters that protect the data. Only when nothing else would help is loosening one of them named.
PRIVACY = frozenset({"data_policy:training", "data_policy:zdr", "distillation"})
PROTECTING = PRIVACY | {"data_region"}


class Change(NamedTuple):
    """Set ``field`` to ``value``; ``None`` leaves the field out."""

    field: str
    value: Any

    def sentence(self) -> str:
        return f"without {self.field}" if self.value is None else f"with {self.field} = {self.value!r}"


class Nearest(NamedTuple):
    """``reasons`` are the filters that alone stand between the request and ``endpoint``."""

    endpoint: Endpoint
    reasons: tuple[str, ...]
    changes: tuple[Change, ...]


def nearest(endpoints: Sequence[Endpoint], preferences: Preferences, ask: Ask, demands: Demands) -> Nearest | None:
    """``None`` when nothing the client may change would help: what installation, host and key demand stays."""
    filters = tuple(rules(preferences, ask))
    found: list[tuple[tuple[bool, int, tuple[bool, ...], int, str], Endpoint, tuple[str, ...]]] = []
    for endpoint in endpoints:
        failed = tuple(reason for reason, passes in filters if not passes(endpoint))
        usable = endpoint.enabled and endpoint.price is not None
        if failed and usable and demands.allow(endpoint):
            price = blended(endpoint.price) if endpoint.price else 0
            sensitive = not PROTECTING.isdisjoint(failed)
            lacking = tuple(
                name in ask.parameters and name not in endpoint.supported_parameters for name in SOFT_PARAMETERS
            )
            found.append(((sensitive, len(failed), lacking, price, endpoint.id), endpoint, failed))
    if not found:
        return None
    _, endpoint, failed = min(found, key=lambda row: row[0])
    changes = tuple(change for reason in failed for change in _changes(reason, endpoint, preferences, ask))
    return Nearest(endpoint, failed, changes)


def _changes(reason: str, endpoint: Endpoint, preferences: Preferences, ask: Ask) -> list[Change]:
    tag = endpoint.tag
    match reason:
        case "data_region":
            where = places(endpoint)
            return [Change("provider.region", where[0] if len(where) == 1 else list(where) or None)]
        case "data_policy:training":
            return [Change("provider.data_collection", "allow")]
        case "data_policy:zdr":
            return [Change("provider.zdr", None)]
        case "distillation":
            return [Change("provider.enforce_distillable_text", None)]
        case "allowed_providers":
            return [Change("provider.only", [*(preferences.only or ()), tag])]
        case "ordered_providers":
            return [Change("provider.order", [*(preferences.order or ()), tag])]
        case "ignored_providers":
            kept = [slug for slug in preferences.ignore or () if not named(endpoint, (slug,))]
            return [Change("provider.ignore", kept or None)]
        case "quantization":
            return [Change("provider.quantizations", [*(preferences.quantizations or ()), endpoint.quantization])]
        case "min_quantization":
            known = endpoint.quantization != "unknown"
            return [Change("provider.min_quantization", endpoint.quantization if known else None)]
        case "moderated" | "not_moderated":
            return [Change("provider.is_moderated", None)]
        case "max_price":
            return _price_changes(endpoint, preferences)
        case "require_parameters":
            missing = sorted(set(ask.parameters) - NEVER_REQUIRED - endpoint.supported_parameters)
            return [Change(name, None) for name in missing]
        case "context_length":
            return [Change("messages", f"at most {int(ESTIMATE_MARGIN * endpoint.context_length)} tokens")]
        case _:
            return [Change("max_tokens", endpoint.max_completion_tokens)]


def _price_changes(endpoint: Endpoint, preferences: Preferences) -> list[Change]:
    price, limit = endpoint.price, preferences.max_price
    if price is None or limit is None:
        return []
    dollars = {"prompt": price.prompt / 1e9, "completion": price.completion / 1e9}
    return [Change(f"provider.max_price.{part}", dollars[part]) for part in over_limit(endpoint, limit)]
