"""Share how many calls are in flight at each endpoint, as absolute numbers and not as changes.

A lost message is made good by the next one, and a worker that dies leaves nothing behind.
"""

from __future__ import annotations

from collections import Counter

from models.selection.decision.live_observations import LiveObservations
from router_service.health.messages import MAX_IN_FLIGHT, InFlightMessage

# All numbers are sent again after that time, and those of a worker that has sent none for longer are dropped.
RESEND_INTERVAL_S = 15.0
PEER_TIMEOUT_S = 60.0


class LocalInFlight:
    """Count the calls of this worker that are in flight."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._changed: set[str] = set()
        self._sent: dict[str, int] = {}
        self._resend_at_s = float("-inf")

    def add(self, endpoint: str, change: int) -> None:
        """Count calls that were sent, or with a negative ``change`` calls that have ended."""
        self._calls[endpoint] += change
        self._changed.add(endpoint)

    def drain(self, now_s: float) -> list[InFlightMessage]:
        """Return the numbers that differ from those sent last; ``now_s`` is in Unix seconds."""
        if now_s >= self._resend_at_s:
            self._resend_at_s = now_s + RESEND_INTERVAL_S
            self._changed.update(self._calls)
            self._sent.clear()
        calls = {name: min(max(self._calls[name], 0), MAX_IN_FLIGHT) for name in self._changed}
        found = [InFlightMessage(name, count) for name, count in calls.items() if count != self._sent.get(name)]
        self._sent.update(calls)
        self._changed.clear()
        return found


class PeerInFlight:
    """Count the calls of the other workers that are in flight, by sender, and pass them on to ``observed``."""

    def __init__(self, observed: LiveObservations) -> None:
        self._observed = observed
        self._senders: dict[str, tuple[float, dict[str, int]]] = {}

    def receive(self, sender: str, message: InFlightMessage, at_s: float, now_s: float) -> None:
        """Set the number that ``sender`` had in flight at ``at_s``. Both times are in Unix seconds."""
        if not sender or now_s - at_s > PEER_TIMEOUT_S:
            return
        _, calls = self._senders.get(sender, (at_s, {}))
        self._senders[sender] = (at_s, calls)
        self._set(calls, message.endpoint, message.calls)

    def expire(self, now_s: float) -> None:
        """Drop the calls of workers that have sent nothing for ``PEER_TIMEOUT_S``."""
        for sender, (at_s, calls) in list(self._senders.items()):
            if now_s - at_s > PEER_TIMEOUT_S:
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
