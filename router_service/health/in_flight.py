"""How many calls are under way at each endpoint, told between workers as they stand and not as they change: what is
lost on the way is made good by the next telling, and a worker that dies leaves nothing behind."""

from __future__ import annotations

from collections import Counter

from models.selection.decision.live_observations import LiveObservations
from router_service.health.messages import MOST_IN_FLIGHT, InFlightMessage

# All of them are told again after that, and those of a worker that has told nothing for longer are taken to be over.
TOLD_AGAIN_S = 15.0
SILENT_S = 60.0


class OwnInFlight:
    """This worker's."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._changed: set[str] = set()
        self._told: dict[str, int] = {}
        self._all_due = float("-inf")

    def begin(self, endpoint: str) -> None:
        self._calls[endpoint] += 1
        self._changed.add(endpoint)

    def end(self, endpoint: str) -> None:
        self._calls[endpoint] -= 1
        self._changed.add(endpoint)

    def take(self, now_s: float) -> list[InFlightMessage]:
        """Those that others do not know yet."""
        if now_s >= self._all_due:
            self._all_due = now_s + TOLD_AGAIN_S
            self._changed.update(self._calls)
            self._told.clear()
        calls = {name: min(max(self._calls[name], 0), MOST_IN_FLIGHT) for name in self._changed}
        found = [InFlightMessage(name, count) for name, count in calls.items() if count != self._told.get(name)]
        self._told.update(calls)
        self._changed.clear()
        return found


class PeerInFlight:
    """Those of the other workers, by sender, counted in ``observed``."""

    def __init__(self, observed: LiveObservations) -> None:
        self._observed = observed
        self._senders: dict[str, tuple[float, dict[str, int]]] = {}

    def hear(self, sender: str, one: InFlightMessage, at_s: float, now_s: float) -> None:
        """``sender`` had so many under way at ``at_s``."""
        if not sender or now_s - at_s > SILENT_S:
            return
        _, calls = self._senders.get(sender, (at_s, {}))
        self._senders[sender] = (at_s, calls)
        self._set(calls, one.endpoint, one.calls)

    def forget(self, now_s: float) -> None:
        """Those of workers that have fallen silent."""
        for sender, (at_s, calls) in list(self._senders.items()):
            if now_s - at_s > SILENT_S:
                for endpoint in list(calls):
                    self._set(calls, endpoint, 0)
                del self._senders[sender]

    def _set(self, calls: dict[str, int], endpoint: str, count: int) -> None:
        before = calls.pop(endpoint, 0)
        if count:
            calls[endpoint] = count
        for _ in range(before, count):
            self._observed.begin(endpoint)
        for _ in range(count, before):
            self._observed.abandon(endpoint)
