"""Service tiers: what a request asks for, which endpoints that admits, and how they are sorted.

Source of the table: "Service tiers" of the reference. Without a wish no tier endpoint is a candidate; a suffix of
the model id admits one tier, ``only`` and ``order`` those that they name in full.
"""

from __future__ import annotations

from collections.abc import Sequence

from data.catalogue.types import DEFAULT_TIER, Endpoint
from router_service.core.errors import ApiError
from router_service.core.preferences import Preferences

PRIORITY, FLEX = "priority", "flex"
REASON = "service_tier"
# What clients write, Anthropic's words too → the tier meant; ``None`` is no wish.
MEANINGS = {
    "auto": None, "scale": None, "default": DEFAULT_TIER, "standard": DEFAULT_TIER, "standard_only": DEFAULT_TIER,
    "priority": PRIORITY, "fast": PRIORITY, "flex": FLEX,
}  # fmt: skip
SPEEDS = {"fast": PRIORITY, "standard": None}
SORTS = {PRIORITY: "throughput", FLEX: "price"}


def requested_tier(service_tier: str | None, speed: str | None) -> str | None:
    """The tier that the fields ``service_tier`` and, of Anthropic's format, ``speed`` ask for.

    Raises ``ApiError`` 400 on another word.
    """
    for name, written, meanings in (("service_tier", service_tier, MEANINGS), ("speed", speed, SPEEDS)):
        if written is not None and written not in meanings:
            raise ApiError("invalid_request", f"{name} must be one of {', '.join(meanings)}; got {written[:40]!r}")
    return (MEANINGS[service_tier] if service_tier else None) or (SPEEDS[speed] if speed else None)


def flex_only(endpoints: Sequence[Endpoint], asked: str | None) -> bool:
    """Whether the request is kept to flex endpoints: only where there are any."""
    return asked == FLEX and any(e.service_tier == FLEX for e in endpoints)


def admitted_endpoints(
    endpoints: Sequence[Endpoint], suffixed: Sequence[str], preferences: Preferences, asked: str | None
) -> list[Endpoint]:
    """Those of ``endpoints`` that the tiers leave; ``suffixed`` are the tiers that the id's suffixes admit.

    ``order`` and an explicit wish for the default tier disable the suffixes.
    """
    named = {slug.lower() for slug in (*(preferences.only or ()), *(preferences.order or ()))}
    tiers: set[str | None] = set()
    if flex_only(endpoints, asked):
        tiers = {FLEX}
    else:
        tiers.add(None)
        if asked == PRIORITY:
            tiers.add(PRIORITY)
        if not preferences.order and asked != DEFAULT_TIER:
            tiers.update(suffixed)
    return [e for e in endpoints if e.service_tier in tiers or (e.service_tier and e.tag in named)]
