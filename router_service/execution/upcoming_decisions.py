"""Look ahead in the decisions of one request to find out whether another model follows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from router_service.core.exchange import Exchange
from router_service.core.plan import Decision


class UpcomingDecisions:
    """Iterate over ``decisions``, which are made lazily."""

    def __init__(self, decisions: Iterator[Decision], exchange: Exchange) -> None:
        self._decisions = decisions
        self._exchange = exchange
        self._ahead: deque[Decision] = deque()
        self._current: Decision | None = None

    def __iter__(self) -> UpcomingDecisions:
        return self

    def __next__(self) -> Decision:
        self._current = self._ahead.popleft() if self._ahead else next(self._decisions)
        return self._current

    def has_other_model(self) -> bool:
        """Return whether the client listed a model that can be served and was not tried yet."""
        tried = {attempt.model for attempt in self._exchange.route.attempts}
        if self._current and self._current.plan.fallbacks and _offers_other(self._current, tried):
            return True
        if any(_offers_other(decision, tried) for decision in self._ahead):
            return True
        for decision in self._decisions:
            self._ahead.append(decision)
            if _offers_other(decision, tried):
                return True
        return False


def _offers_other(decision: Decision, tried: set[str]) -> bool:
    return any(endpoint.model not in tried for endpoint in decision.plan.endpoints)
