"""What is read from health for a plan as a whole, kept for some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from router_service.core.bounded_cache import BoundedCache
from router_service.core.plan import Plan

T = TypeVar("T")
HOLDS_S = 5.0
MOST_PLANS = 1024
MOST_BYTES = 16 * 1024 * 1024
# What is kept for each endpoint of a plan, the plan itself included.
ENDPOINT_BYTES = 500


class PlanStatistics(Generic[T]):
    """``make`` of a plan, once in ``HOLDS_S``."""

    def __init__(self, make: Callable[[Plan], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._clock = clock
        self._known: BoundedCache[int, tuple[float, Plan, T]] = BoundedCache(
            MOST_PLANS, MOST_BYTES, lambda _id, known: ENDPOINT_BYTES * len(known[1].endpoints)
        )

    def of(self, plan: Plan) -> T:
        now = self._clock()
        # The plan is kept with what is known of it, so that no other can have its id.
        known = self._known.get(id(plan))
        if known is None or now >= known[0]:
            known = self._known.put(id(plan), (now + HOLDS_S, plan, self._make(plan)))
        return known[2]
