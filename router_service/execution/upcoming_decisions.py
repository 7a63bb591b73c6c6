"""Decisions of one request, with a look at whether another model is to come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from router_service.core.exchange import Exchange
from router_service.core.plan import Decision


class UpcomingDecisions:
    """Iterates over ``decisions``; they are made as they are asked for."""

    def __init__(self, decisions: Iterator[Decision], exchange: Exchange) -> None:
        self._decisions = decisions
        self._exchange = exchange
        self._waiting: deque[Decision] = deque()
        self._now: Decision | None = None

    def __iter__(self) -> UpcomingDecisions:
        return self

    def __next__(self) -> Decision:
        self._now = self._waiting.popleft() if self._waiting else next(self._decisions)
        return self._now

    def another_model(self) -> bool:
        """Whether the client listed a model that can be served and was not tried yet."""
        tried = {attempt.model for attempt in self._exchange.attempts}
        if self._now and self._now.plan.fallbacks and _offers_other(self._now, tried):
            return True
        if any(_offers_other(decision, tried) for decision in self._waiting):
            return True
        for decision in self._decisions:
            self._waiting.append(decision)
            if _offers_other(decision, tried):
                return True
        return False


def _offers_other(decision: Decision, tried: set[str]) -> bool:
    return any(endpoint.model not in tried for endpoint in decision.plan.endpoints)
