"""Name what the format's modules share: its dialect, the origin of its parts, and ids and names that it accepts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Set

from data.catalogue.types import Endpoint

DIALECT = "anthropic_messages"
# The only key of a tool's ``input`` whose arguments are no JSON object; its value is the model's text.
INVALID_ARGUMENTS = "_invalid_arguments"
# The one argument of a function that stands for a custom tool.
CUSTOM_INPUT = "input"
# Longest names that the vendor takes. Source: Claude API reference, Create a Message, tools and tool_use blocks.
MAX_TOOL_NAME = 128
MAX_CALL_ID = 64
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9_-]")


def origin_at(endpoint: Endpoint) -> str:
    """Return the origin of the parts that ``endpoint`` makes."""
    return f"{DIALECT}/{endpoint.provider}"


def returns_to(origin: str, endpoint: Endpoint) -> bool:
    """Return whether signatures of ``origin`` are valid at ``endpoint``: imitators of the format make their own."""
    own = origin_at(endpoint)
    if origin.startswith(f"{DIALECT}/"):
        return origin == own or origin.startswith(f"{own}/")
    return origin.startswith(DIALECT)


def fit(name: str, limit: int, taken: Set[str]) -> str:
    """Return ``name`` such that it matches ``[a-zA-Z0-9_-]`` up to ``limit`` times and is none of ``taken``.

    The result depends on the arguments alone. A changed name ends in a digest, so that two names stay two.
    """
    plain = _FORBIDDEN.sub("_", name)
    if plain == name and 0 < len(name) <= limit and name not in taken:
        return name
    for number in range(len(taken) + 1):
        digest = hashlib.sha256(f"{number} {name}".encode(errors="replace")).hexdigest()[:12]
        fitted = f"{plain[: limit - 13]}_{digest}"
        if fitted not in taken:
            break
    return fitted
