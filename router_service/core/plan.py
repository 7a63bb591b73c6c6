"""Define the plan of a request and the decision sampled from it. ``planning`` builds plans; all other packages read
them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.preferences import Preferences

# The largest float below 1 replaces a draw that rounding has moved to 1.
BELOW_ONE = 1.0 - 2.0**-53
_encode = msgspec.msgpack.Encoder().encode


class Arm(NamedTuple):
    """Describe one strategy's share of the traffic.

    The strategy gets ``weight`` of the traffic, in [0, 1]. ``cumulative`` holds the upper edges of the endpoints' parts
    of [0, 1] within the arm, in the order of ``Plan.endpoints``.
    """

    policy: str
    version: str
    weight: float
    cumulative: tuple[float, ...]


class Plan(NamedTuple):
    """Hold ``endpoints`` in fallback order; ``probabilities[i]`` is the chance that endpoint ``i`` is tried first.

    Without ``fallbacks`` only the first choice is tried. With ``redraw`` a failed first choice is followed by a draw
    from the rest, else by the next in order. ``excluded`` pairs each ineligible endpoint with the reason.
    ``preferences`` carry what the attempts need of the request. ``service_tier`` is the requested tier, or ``None`` if
    no endpoint belongs to it. ``candidates`` and ``logged_arms`` are the msgpack of the log's columns.
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
        """Return the decision for ``draw``, a number in [0, 1)."""
        low, arm = 0.0, self.arms[-1]
        if len(self.arms) > 1:
            for earlier in self.arms[:-1]:
                if draw < low + earlier.weight:
                    arm = earlier
                    break
                low += earlier.weight
        arm_draw = min((draw - low) / arm.weight, BELOW_ONE) if arm.weight else 0.0
        return Decision(self, draw, arm, bisect_right(arm.cumulative, arm_draw), arm_draw)


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Hold the sampled choice: ``first`` is the index of the first endpoint, ``arm_draw`` the draw within the arm in
    [0, 1).
    """

    plan: Plan
    draw: float
    arm: Arm
    first: int
    arm_draw: float

    def order(self) -> Iterator[Endpoint]:
        """Yield the endpoints in the order in which they are tried."""
        plan = self.plan
        yield plan.endpoints[self.first]
        if plan.fallbacks:
            rest = self._redrawn() if plan.redraw else range(len(plan.endpoints))
            yield from (plan.endpoints[i] for i in rest if i != self.first)

    def _redrawn(self) -> Iterator[int]:
        """Yield the indices of draws without replacement.

        The position of a draw within its share is uniform again, so it serves as the next draw.
        """
        edges = self.arm.cumulative
        shares = [high - low for low, high in zip((0.0, *edges), edges, strict=False)]
        draw, index = self.arm_draw, self.first
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
    """Return ``Plan.logged_arms`` for ``arms``. Code that replaces one of the two fields must replace the other."""
    return msgspec.Raw(_encode([arm._asdict() for arm in arms]))
