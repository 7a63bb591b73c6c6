"""``service_tier`` on the wire: what goes to a provider, and what its answer means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from data.catalogue.types import DEFAULT_TIER

# A provider's word for the tier that served → the reference's. Others are not known.
_SERVED = {
    "default": DEFAULT_TIER,
    "standard": DEFAULT_TIER,  # Google, Anthropic
    "on_demand": DEFAULT_TIER,  # Groq
    "scale": DEFAULT_TIER,
    "flex": "flex",
    "priority": "priority",
}


def served(native: Any) -> str | None:
    """The tier that an answer names, ``None`` where it names none."""
    return _SERVED.get(native) if isinstance(native, str) else None


def written(fields: Mapping[str, msgspec.Raw]) -> str | None:
    """``service_tier`` as the client wrote it; Anthropic's ``speed: "fast"`` is ``fast``."""
    raw = fields.get("service_tier")
    found: str | None = msgspec.json.decode(raw, type=str | None) if raw is not None else None
    return found or ("fast" if fields.get("speed") == msgspec.Raw(b'"fast"') else None)
