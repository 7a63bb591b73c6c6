"""Token counts as providers report them."""

from __future__ import annotations

import math
from typing import Any

# No provider's context window comes near: a larger count is a fault of its meter.
MOST_TOKENS = 1_000_000_000


def token_count(value: Any) -> int | None:
    """Return a count as whole tokens, rounded down; ``None`` for what is no count or cannot be true.

    Some servers send fractions or numerals in strings. A negative count is a fault, not a credit.
    """
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= MOST_TOKENS else None
