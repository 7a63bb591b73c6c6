"""Define the plan of a request and the decision drawn from it. ``planning`` makes them; all others read them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.preferences import Preferences

# The largest float below 1: where rounding would put a draw at 1.
BELOW_ONE = 1.0 - 2.0**-53
_encode = msgspec.msgpack.Encoder().encode


class Arm(NamedTuple):
    """One strategy's part of the traffic: ``weight`` of it, spread by ``cumulative`` over the first choices."""

    policy: str
    version: str
    weight: float
    cumulative: tuple[float, ...]


class Plan(NamedTuple):
    """``endpoints`` in fallback order; ``probabilities[i]`` is the chance that ``i`` is tried first.

    Without ``fallbacks`` the first choice is the only one; with ``redraw`` it is followed by a draw from
    the rest. ``preferences`` carry what the attempts need of the request; ``service_tier`` is the one asked for
    where any of the endpoints is of it.
    """

    model: str
    endpoints: tuple[Endpoint, ...]
    probabilities: tuple[float, ...]
    arms: tuple[Arm, ...]
    excluded: tuple[tuple[Endpoint, str], ...]
    candidates: msgspec.Raw
    logged_arms: msgspec.Raw
    catalogue_version: str
    health_epoch: int
    fallbacks: bool
    redraw: bool
    preferences: Preferences
    service_tier: str | None = None

    def sample(self, draw: float) -> Decision:
        """The decision that ``draw`` in [0, 1) stands for."""
        low, arm = 0.0, self.arms[-1]
        if len(self.arms) > 1:
            for earlier in self.arms[:-1]:
                if draw < low + earlier.weight:
                    arm = earlier
                    break
                low += earlier.weight
        inner = min((draw - low) / arm.weight, BELOW_ONE) if arm.weight else 0.0
        return Decision(self, draw, arm, bisect_right(arm.cumulative, inner), inner)


class Decision(NamedTuple):
    """``first`` is the index of the first endpoint; ``inner`` the draw within the arm, in [0, 1)."""

    plan: Plan
    draw: float
    arm: Arm
    first: int
    inner: float

    def order(self) -> Iterator[Endpoint]:
        """Endpoints in the order in which they are tried."""
        plan = self.plan
        yield plan.endpoints[self.first]
        if plan.fallbacks:
            rest = self._redrawn() if plan.redraw else range(len(plan.endpoints))
            yield from (plan.endpoints[i] for i in rest if i != self.first)

    def _redrawn(self) -> Iterator[int]:
        """Draws without replacement. The place of a draw within its share is uniform again: it is the next draw."""
        edges = self.arm.cumulative
        shares = [high - low for low, high in zip((0.0, *edges), edges, strict=False)]
        draw, index = self.inner, self.first
        left = [i for i, share in enumerate(shares) if share > 0]
        low = edges[index] - shares[index]
        while len(left) > 1:
            draw = min(max((draw - low) / shares[index], 0.0), BELOW_ONE)
            left.remove(index)
            target = draw * sum(shares[i] for i in left)
            low = 0.0
            for index in left:
                if target < low + shares[index]:
                    break
                low += shares[index]
            draw = target
            yield index
        yield from (i for i, share in enumerate(shares) if share <= 0)


def encode_arms(arms: tuple[Arm, ...]) -> msgspec.Raw:
    """``Plan.logged_arms`` of ``arms``: whoever changes one changes the other."""
    return msgspec.Raw(_encode([arm._asdict() for arm in arms]))
