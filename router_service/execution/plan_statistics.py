"""Cache figures that are read from health for a whole plan."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from router_service.core.bounded_cache import BoundedCache
from router_service.core.plan import Plan

T = TypeVar("T")
LIFETIME_S = 5.0
MAX_PLANS = 1024
MAX_BYTES = 16 * 1024 * 1024
# An entry takes this much for each endpoint of its plan, the plan included.
ENDPOINT_BYTES = 500


class PlanStatistics(Generic[T]):
    """Cache ``make(plan)`` for ``LIFETIME_S`` seconds of ``clock``."""

    def __init__(self, make: Callable[[Plan], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._clock = clock
        self._cached: BoundedCache[int, tuple[float, Plan, T]] = BoundedCache(
            MAX_PLANS, MAX_BYTES, lambda _id, cached: ENDPOINT_BYTES * len(cached[1].endpoints)
        )

    def get(self, plan: Plan) -> T:
        """Return the cached figures of ``plan``."""
        now = self._clock()
        # The plan is kept alive with its figures, so that no other plan can get its id.
        cached = self._cached.get(id(plan))
        if cached is None or now >= cached[0]:
            cached = self._cached.put(id(plan), (now + LIFETIME_S, plan, self._make(plan)))
        return cached[2]
