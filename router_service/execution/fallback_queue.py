"""Queue the endpoints of a decision that have not been tried yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from data.catalogue.types import Endpoint
from router_service.core.plan import Decision
from router_service.health import Health


class FallbackQueue:
    """Iterate over the endpoints in their order; those that another request is probing come last.

    ``too_small`` has models, each with a context length in tokens up to which its endpoints are skipped; the caller may
    add to it. ``deferred`` is set when a recovering endpoint was moved to the end. ``remaining`` is the number of
    endpoints that could still follow.
    """

    __slots__ = ("_deferred_endpoints", "_health", "_order", "_peeked", "_too_small", "deferred", "remaining")

    def __init__(self, decision: Decision, health: Health, too_small: Mapping[str, float]) -> None:
        plan = decision.plan
        self._order = decision.order()
        self._health = health
        self._too_small = too_small
        self._peeked: Endpoint | None = None
        self._deferred_endpoints: list[Endpoint] = []
        self.deferred = False
        self.remaining = len(plan.endpoints) if plan.fallbacks else 1

    def __iter__(self) -> Iterator[Endpoint]:
        return self

    def __next__(self) -> Endpoint:
        while (endpoint := self._following()) is not None:
            if self._is_refused(endpoint):
                continue
            if self._health.try_acquire(endpoint.id):
                self.remaining -= 1
                return endpoint
            self.deferred = True
            self._deferred_endpoints.append(endpoint)
        while self._deferred_endpoints:
            endpoint = self._deferred_endpoints.pop(0)
            if not self._is_refused(endpoint):
                self.remaining -= 1
                return endpoint
        raise StopIteration

    def next_if(self, accepts: Callable[[Endpoint], bool]) -> Endpoint | None:
        """Remove and return the next endpoint if the queue may use it and it ``accepts`` it, else return ``None``.

        ``accepts`` must be false for an endpoint that has to be probed first.
        """
        endpoint = self._following()
        if endpoint is None:
            return None
        if self._is_refused(endpoint) or not accepts(endpoint):
            self._peeked = endpoint
            return None
        self.remaining -= 1
        return endpoint

    def _is_refused(self, endpoint: Endpoint) -> bool:
        return endpoint.context_length <= self._too_small.get(endpoint.model, -1)

    def _following(self) -> Endpoint | None:
        peeked, self._peeked = self._peeked, None
        return peeked or next(self._order, None)
