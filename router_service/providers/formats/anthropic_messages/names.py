"""Name what the format's modules share: its dialect, the origin of its parts, and ids and names that it accepts."""

from __future__ import annotations

from functools import lru_cache

from data.catalogue.types import Endpoint

DIALECT = "anthropic_messages"
# Longest names that the vendor takes. Source: Claude API reference, Create a Message, tools and tool_use blocks.
MAX_TOOL_NAME = 128
MAX_CALL_ID = 64


def origin_at(endpoint: Endpoint) -> str:
    """Return the origin of the parts that ``endpoint`` makes."""
    return _origin(endpoint.provider)


@lru_cache(maxsize=1024)
def _origin(provider: str) -> str:
    return f"{DIALECT}/{provider}"


def returns_to(origin: str, endpoint: Endpoint) -> bool:
    """Return whether signatures of ``origin`` are valid at ``endpoint``: imitators of the format make their own."""
    own = origin_at(endpoint)
    if origin.startswith(f"{DIALECT}/"):
        return origin == own or origin.startswith(f"{own}/")
    return origin.startswith(DIALECT)
