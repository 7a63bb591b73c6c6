"""Validate the token counts and the costs that providers report."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

# No context window is near this size, so a larger count is an error of the provider.
MAX_TOKENS = 100_000_000
# No single call costs near this much.
MAX_USD = 1_000_000


def token_count(value: Any) -> int | None:
    """Return a count as whole tokens, rounded down; ``None`` for a value that is not a possible count.

    Some servers send fractions or numerals in strings. A negative count is an error, not a credit.
    """
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MAX_TOKENS else None


def raise_counts(found: dict[str, int], counts: Any, names: Iterable[str]) -> None:
    """Take those of ``names`` from ``counts`` into ``found`` that are possible counts, and no lower than before."""
    if isinstance(counts, dict):
        for name in names:
            count = token_count(counts.get(name))
            if count is not None and count >= found.get(name, 0):
                found[name] = count


def usd_nano(value: Any, per_usd: int = 1) -> int | None:
    """Return a cost, ``per_usd`` of which are a dollar, as nano-USD; ``None`` for what is no possible cost."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_USD * per_usd:
        return None
    return round(value * 1e9 / per_usd)
