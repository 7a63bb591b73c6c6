"""What is left of a decision's endpoints while they are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from data.catalogue.types import Endpoint
from router_service.core.plan import Decision
from router_service.health import Health


class FallbackQueue:
    """Iterates over the endpoints in their order. Behind are those that recover and that another request probes.

    ``refused`` are models whose endpoints are passed over; the caller may add to it. ``probed`` is set when one was
    put behind. ``left`` is how many could still follow.
    """

    def __init__(self, decision: Decision, health: Health, refused: set[str]) -> None:
        plan = decision.plan
        self._order = decision.order()
        self._health = health
        self._refused = refused
        self._kept: Endpoint | None = None
        self._behind: list[Endpoint] = []
        self.probed = False
        self.left = len(plan.endpoints) if plan.fallbacks else 1

    def __iter__(self) -> Iterator[Endpoint]:
        return self

    def __next__(self) -> Endpoint:
        while (endpoint := self._following()) is not None:
            if endpoint.model in self._refused:
                continue
            if self._health.claim(endpoint.id):
                self.left -= 1
                return endpoint
            self.probed = True
            self._behind.append(endpoint)
        while self._behind:
            endpoint = self._behind.pop(0)
            if endpoint.model not in self._refused:
                self.left -= 1
                return endpoint
        raise StopIteration

    def take(self, fits: Callable[[Endpoint], bool]) -> Endpoint | None:
        """The next in the order if it ``fits``, which must mean that no claim is needed. It is then tried."""
        endpoint = self._following()
        if endpoint is None:
            return None
        if endpoint.model in self._refused or not fits(endpoint):
            self._kept = endpoint
            return None
        self.left -= 1
        return endpoint

    def _following(self) -> Endpoint | None:
        kept, self._kept = self._kept, None
        return kept or next(self._order, None)
