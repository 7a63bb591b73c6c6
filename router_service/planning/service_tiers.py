"""Decide which endpoints a requested service tier admits, and how they are sorted.

Source of the table: "Service tiers" of the reference. Without a requested tier no endpoint of a tier is a candidate. A
suffix of the model id admits one tier, and ``only`` and ``order`` admit the endpoints that they name in full.
"""

from __future__ import annotations

from collections.abc import Sequence

from data.catalogue.types import DEFAULT_TIER, Endpoint
from router_service.core.errors import ApiError
from router_service.core.preferences import Preferences

PRIORITY, FLEX = "priority", "flex"
TIER_REASON = "service_tier"
# The words of clients, Anthropic's among them, map to a tier; ``None`` requests no tier.
ACCEPTED_TIERS = {
    "auto": None, "scale": None, "default": DEFAULT_TIER, "standard": DEFAULT_TIER, "standard_only": DEFAULT_TIER,
    "priority": PRIORITY, "fast": PRIORITY, "flex": FLEX,
}  # fmt: skip
ACCEPTED_SPEEDS = {"fast": PRIORITY, "standard": None}
TIER_SORTS = {PRIORITY: "throughput", FLEX: "price"}


def requested_tier(service_tier: str | None, speed: str | None) -> str | None:
    """Return the tier that ``service_tier`` and ``speed`` (of Anthropic's format) request, or ``None``.

    Raises ``ApiError`` 400 for any other word.
    """
    for name, written, accepted in (("service_tier", service_tier, ACCEPTED_TIERS), ("speed", speed, ACCEPTED_SPEEDS)):
        if written is not None and written not in accepted:
            raise ApiError("invalid_request", f"{name} must be one of {', '.join(accepted)}; got {written[:40]!r}")
    return (ACCEPTED_TIERS[service_tier] if service_tier else None) or (ACCEPTED_SPEEDS[speed] if speed else None)


def flex_only(endpoints: Sequence[Endpoint], requested: str | None) -> bool:
    """Return whether the request is restricted to flex endpoints, which holds only if there are any."""
    return requested == FLEX and any(e.service_tier == FLEX for e in endpoints)


def admitted_endpoints(
    endpoints: Sequence[Endpoint], suffixed: Sequence[str], preferences: Preferences, requested: str | None
) -> list[Endpoint]:
    """Return the ``endpoints`` that the tiers admit; ``suffixed`` are the tiers that the id's suffixes admit.

    ``order`` and an explicit request for the default tier disable the suffixes.
    """
    named = {slug.lower() for slug in (*(preferences.only or ()), *(preferences.order or ()))}
    tiers: set[str | None] = set()
    if flex_only(endpoints, requested):
        tiers = {FLEX}
    else:
        tiers.add(None)
        if requested == PRIORITY:
            tiers.add(PRIORITY)
        if not preferences.order and requested != DEFAULT_TIER:
            tiers.update(suffixed)
    return [e for e in endpoints if e.service_tier in tiers or (e.service_tier and e.tag in named)]
