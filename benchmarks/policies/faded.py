"""Sums that fade: averages over the recent past in constant memory, which add up between observers."""

from __future__ import annotations

import math
from collections.abc import Sequence


class Faded:
    """Sums and counts of ``quantities`` figures, each at every one of ``half_lives_s``."""

    __slots__ = ("at_s", "counts", "half_lives_s", "sums")

    def __init__(self, half_lives_s: tuple[float, ...], quantities: int) -> None:
        self.half_lives_s = half_lives_s
        self.at_s = -math.inf
        self.sums = [[0.0] * len(half_lives_s) for _ in range(quantities)]
        self.counts = [[0.0] * len(half_lives_s) for _ in range(quantities)]

    def add(self, now_s: float, values: Sequence[float | None]) -> None:
        """One observation; ``None`` where it says nothing of a quantity. One from before the last counts as of now."""
        fades = self.fades(now_s)
        for sums, counts, value in zip(self.sums, self.counts, values, strict=True):
            one, more = (0.0, 0.0) if value is None else (1.0, value)
            for place, fade in enumerate(fades):
                sums[place] = sums[place] * fade + more
                counts[place] = counts[place] * fade + one
        self.at_s = max(now_s, self.at_s)

    def fades(self, now_s: float) -> list[float]:
        """What is left at ``now_s`` of a sum of the last observation, by half-life."""
        since = max(now_s - self.at_s, 0.0)
        return [0.5 ** (since / half_life) for half_life in self.half_lives_s]
