"""A market that drifts: endpoints that slow down, fail or refuse for a while, and some that begin to fail for good."""

from __future__ import annotations

import random
from typing import NamedTuple

import polars as pl

from benchmarks.closed_loop.stack import Stack
from models.selection.dataset import decision_log

EVERY_MIN, LASTS_MIN = 4.0, (3.0, 12.0)
# Few enough that the router's health rules leave them in, and only what was learned can tell.
LASTING = {"mode": "error", "rate": 0.04}
FAVOURITES = 5


class Event(NamedTuple):
    """Minutes of the market since the start; ``until`` is ``None`` of what stays."""

    endpoint: str
    says: str
    begin: float
    until: float | None


class Drift:
    """Call ``tick`` often. ``events`` is all that was planted."""

    def __init__(self, stack: Stack, seed: int) -> None:
        self.events: list[Event] = []
        self._stack, self._dice = stack, random.Random(seed)
        self._lasting: set[str] = set()
        self._next = EVERY_MIN

    def tick(self, minute: float) -> None:
        """Begin and end what is due at this minute of the market."""
        for event in self.events:
            if event.until is not None and minute - 1 < event.until <= minute and event.endpoint not in self._lasting:
                self._stack.plant(event.endpoint, None)
        if minute >= self._next:
            self._next += EVERY_MIN
            self._begin(minute)

    def turn_favourites(self, version: str, minute: float) -> list[str]:
        """Make the endpoints that ``version`` prefers fail permanently, so that its estimates are wrong from now on."""
        chosen = self._chosen(pl.col("policy_version") == version)
        self._lasting = set(chosen[:FAVOURITES])
        for endpoint in self._lasting:
            self._stack.plant(endpoint, dict(LASTING))
            says = f"{LASTING['rate']:.0%} errors, for good"
            self.events.append(Event(endpoint, says, minute, None))
        return sorted(self._lasting)

    def _begin(self, minute: float) -> None:
        under_way = {event.endpoint for event in self.events if event.until is None or event.until > minute}
        free = [endpoint for endpoint in self._chosen(pl.lit(True)) if endpoint not in under_way]
        if not free:
            return
        endpoint, rate = self._dice.choice(free), round(self._dice.uniform(0.1, 0.5), 2)
        factor = round(self._dice.uniform(2, 6), 1)
        fault, says = self._dice.choice(
            (
                ({"mode": "slow", "factor": factor}, f"{factor} times as slow"),
                ({"mode": "error", "rate": rate}, f"{rate:.0%} errors"),
                ({"mode": "rate_limit", "rate": rate}, f"{rate:.0%} 429s"),
            )
        )
        self._stack.plant(endpoint, dict(fault))
        self.events.append(Event(endpoint, says, minute, minute + self._dice.uniform(*LASTS_MIN)))

    def _chosen(self, which: pl.Expr) -> list[str]:
        """Endpoints that were tried first where there was a choice, the most used first."""
        frame = decision_log.read(self._stack.lake, last=20_000).filter(which)
        frame = frame.filter(pl.col("candidates").list.len() > 1)
        counted = frame["attempts"].list.first().struct.field("endpoint").value_counts(sort=True)
        return [str(endpoint) for endpoint in counted["endpoint"].to_list()]
