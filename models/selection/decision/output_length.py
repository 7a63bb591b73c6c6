"""Predict the length of a response by model, category and limit, each mean shrunk towards the broader group's."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from models.selection.decision.priors import SHRINKAGE, TYPICAL_OUTPUT_TOKENS

LIMITS = (16, 64, 256, 1024, 4096)
UNLIMITED = len(LIMITS) + 1
# No response is this long.
MAX_TOKENS = 1e9
# Model, category, bucket of the limit; "" and -1 stand for all of them.
Key = tuple[str, str, int]


class OutputLengths(NamedTuple):
    """Hold the number of responses and their mean length in tokens by group."""

    table: Mapping[Key, tuple[float, float]]

    def expected(self, model: str, category: str | None, max_tokens: int | None) -> float:
        """Return the expected length in tokens, never more than ``max_tokens``."""
        expected = TYPICAL_OUTPUT_TOKENS
        for key in group_keys(model, category, max_tokens):
            group = self.table.get(key)
            if group is not None:
                count, mean = group
                expected += count / (count + SHRINKAGE) * (mean - expected)
        return float(min(expected, max_tokens)) if max_tokens and max_tokens > 0 else expected


def group_keys(model: str, category: str | None, max_tokens: int | None) -> list[Key]:
    """Return the groups that a request belongs to, the broadest first."""
    limit = bisect_left(LIMITS, max_tokens) if max_tokens else UNLIMITED
    groups: list[Key] = [("", "", -1), ("", "", limit), (model, "", -1), (model, "", limit)]
    return [*groups, (model, category, limit)] if category else groups


def lengths_to_json(lengths: OutputLengths) -> list[list[object]]:
    """Return the rows that ``policy.json`` holds."""
    return [[*key, *value] for key, value in lengths.table.items()]


def lengths_from_json(rows: Sequence[tuple[str, str, int, float, float]]) -> OutputLengths:
    """Read the rows of ``policy.json``. Raises on malformed content."""
    table = {(model, category, limit): (count, mean) for model, category, limit, count, mean in rows}
    for count, mean in table.values():
        if not (0 <= count < math.inf and 0 <= mean <= MAX_TOKENS):
            raise ValueError(f"{count} responses of {mean} tokens are not a valid output length")
    return OutputLengths(table)
