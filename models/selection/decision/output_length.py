"""Expected length of an answer by model, category and the limit that the request sets, shrunk towards the broader."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from models.selection.decision.priors import SHRINKAGE, TYPICAL_OUTPUT_TOKENS

LIMITS = (16, 64, 256, 1024, 4096)
UNLIMITED = len(LIMITS) + 1
# No answer is so long.
MOST_TOKENS = 1e9
# Model, category, bucket of the limit; "" and -1 stand for all of them.
Key = tuple[str, str, int]


class OutputLengths(NamedTuple):
    """Number of answers and their mean length in tokens by key."""

    table: Mapping[Key, tuple[float, float]]

    def expected(self, model: str, category: str | None, max_tokens: int | None) -> float:
        """Tokens; never more than ``max_tokens``."""
        mean = TYPICAL_OUTPUT_TOKENS
        for key in keys(model, category, max_tokens):
            found = self.table.get(key)
            if found is not None:
                count, own = found
                mean += count / (count + SHRINKAGE) * (own - mean)
        return float(min(mean, max_tokens)) if max_tokens and max_tokens > 0 else mean


def keys(model: str, category: str | None, max_tokens: int | None) -> list[Key]:
    """From the broadest to the narrowest."""
    limit = bisect_left(LIMITS, max_tokens) if max_tokens else UNLIMITED
    found: list[Key] = [("", "", -1), ("", "", limit), (model, "", -1), (model, "", limit)]
    return [*found, (model, category, limit)] if category else found


def to_json(lengths: OutputLengths) -> list[list[object]]:
    """As ``policy.json`` holds them."""
    return [[*key, *value] for key, value in lengths.table.items()]


def from_json(rows: Sequence[tuple[str, str, int, float, float]]) -> OutputLengths:
    """The inverse. Raises on whatever it is not."""
    table = {(model, category, limit): (count, mean) for model, category, limit, count, mean in rows}
    for count, mean in table.values():
        if not (0 <= count < math.inf and 0 <= mean <= MOST_TOKENS):
            raise ValueError(f"{count} answers of {mean} tokens are no length of an answer")
    return OutputLengths(table)
