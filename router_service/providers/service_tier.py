"""Translate ``service_tier`` of requests and responses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from data.catalogue.types import DEFAULT_TIER, Endpoint

# Maps a provider's name of the tier that served to the reference's name. Other names are unknown.
_SERVED_TIERS = {
    "default": DEFAULT_TIER,
    "standard": DEFAULT_TIER,  # Google, Anthropic
    "on_demand": DEFAULT_TIER,  # Groq
    "scale": DEFAULT_TIER,
    "flex": "flex",
    "priority": "priority",
}


def served_tier(native: Any) -> str | None:
    """Return the tier that a response names, or ``None`` if it names none."""
    return _SERVED_TIERS.get(native) if isinstance(native, str) else None


def requested_tier(fields: Mapping[str, msgspec.Raw]) -> str | None:
    """Return ``service_tier`` as the client wrote it; Anthropic's ``speed: "fast"`` is ``fast``."""
    raw = fields.get("service_tier")
    found: str | None = msgspec.json.decode(raw, type=str | None) if raw is not None else None
    return found or ("fast" if fields.get("speed") == msgspec.Raw(b'"fast"') else None)


def encode_tier(requested: str | None, endpoint: Endpoint, dropped: set[str]) -> dict[str, str]:
    """Return the endpoint's own tier, whatever the client wrote: another tier's price would not be this endpoint's."""
    if not endpoint.tier_prices:
        if requested is not None:
            dropped.add("service_tier")
        return {}
    if endpoint.service_tier:
        return {"service_tier": endpoint.service_tier}
    if requested is None:
        return {}
    return {"service_tier": requested if requested in ("auto", "scale") else DEFAULT_TIER}
