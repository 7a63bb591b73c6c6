"""Eject an endpoint after failures, choose for how long, and readmit it by a probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum

# Consecutive: five failures, Envoy's default of consecutive_5xx, or three timeouts, which cost clients far more each.
FAILURE_WEIGHT = 3
TIMEOUT_WEIGHT = 5
OPEN_THRESHOLD = 15
# The reference calls an endpoint down below 80 % success. That 20 requests are needed is ours.
MAX_FAILURE_SHARE = 0.2
MIN_REQUESTS = 20
WINDOW_S = 30.0
# Ours: short enough that a brief fault costs one pause of seconds, doubled for an endpoint that keeps failing.
BASE_EJECTION_S = 5.0
MAX_EJECTION_S = 300.0
MAX_DOUBLINGS = 6
# Consecutive successes that undo one doubling.
DECAY_SUCCESSES = 20
# A probe without an outcome by then was cancelled or is a long stream: the next probe may go.
PROBE_S = 30.0
# Another worker's probe is announced again at each exchange while it lasts, so that a worker that dies blocks nobody.
PROBE_LEASE_S = 1.5
# The worker that ejected an endpoint probes it first; the workers that follow it learn of the probe within that time.
HEAD_START_S = 1.0
# One object for all endpoints.
NEVER = float("-inf")


class BreakerState(IntEnum):
    """Name the three states of a circuit breaker."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """Eject one endpoint while it fails. ``now`` is seconds of a monotonic clock everywhere.

    ``tripped`` says that the breaker is open or half-open, ``until`` is when an ejection ends, ``ejections`` how many
    there were in a row, ``severity`` the share of failures that led to the last one. ``from_peer`` marks an ejection by
    another worker: that worker announces it, and this one does not send it back with its own clock's rounding.
    """

    __slots__ = ("_closed_at", "_consecutive_weight", "_failures", "_hung", "_opened_at", "_peer_probe_until",
                 "_probe_until", "_success_streak", "_successes", "ejections", "from_peer", "severity", "tripped",
                 "until")  # fmt: skip

    def __init__(self) -> None:
        self.tripped = False
        self.from_peer = False
        self._consecutive_weight = 0
        self._success_streak = 0
        self._hung = False
        self._opened_at = self._closed_at = NEVER
        self._successes = self._failures = 0
        self._probe_until = self._peer_probe_until = NEVER
        self.until = NEVER
        self.ejections = 0
        self.severity = 0.0

    def state(self, now: float) -> BreakerState:
        """Return the state of the breaker at ``now``."""
        if not self.tripped:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.until else BreakerState.HALF_OPEN

    def ejected(self, now: float) -> bool:
        """Return whether it is open, or half-open while its one probe is in flight, here or at another worker."""
        return self.tripped and (now < self.until or now < self._probe_until or now < self._peer_probe_until)

    def try_acquire(self, now: float) -> bool:
        """Return whether a call may go now. Half-open grants one probe; open grants every call, as a last resort."""
        if self.state(now) is not BreakerState.HALF_OPEN:
            return True
        if now < self._probe_until or now < self._peer_probe_until:
            return False
        self._probe_until = now + PROBE_S
        return True

    def probe_until(self, now: float) -> float:
        """Return until when other workers leave the probe to this one; 0 while it has none in flight."""
        return min(self._probe_until, now + PROBE_LEASE_S) if self.tripped and now < self._probe_until else 0.0

    def yield_probe(self, until: float, now: float) -> None:
        """Leave the probe to another worker until ``until``, at most for the length of a lease."""
        self._peer_probe_until = min(until, now + PROBE_LEASE_S)

    def counts_since_closing(self, now: float, successes: int, failures: int) -> tuple[int, int]:
        """Return ``successes`` and ``failures`` of the last 30 s without those that led to an ejection that is over."""
        return (self._successes, self._failures) if now - self._closed_at < WINDOW_S else (successes, failures)

    def predates_ejection(self, began: float) -> bool:
        """Return whether a call begun at ``began`` precedes the last ejection, which its failure is a part of."""
        return began < self._opened_at

    def release_probe(self) -> None:
        """Allow another probe: a call ended with an outcome that judges nothing (a 429, a client's own error)."""
        self._probe_until = NEVER

    def record_success(self, now: float, count: int = 1) -> bool:
        """Count ``count`` successes and return whether they close the breaker.

        While it is open they are ignored, because those calls began before the ejection.
        """
        self._consecutive_weight = 0
        if self.tripped:
            if now >= self.until:
                self._close(now)
                return True
            return False
        self._successes += count
        if self.ejections:
            self._success_streak += count
            if self._success_streak >= DECAY_SUCCESSES:
                self.ejections -= 1
                self._success_streak = 0
        return False

    def record_failure(self, now: float, successes: int, failures: int, count: int = 1, timeouts: int = 0) -> None:
        """Count ``count`` failures, ``timeouts`` among them; ``successes`` and ``failures`` are the totals of the last
        30 s, these failures included.
        """
        self._success_streak = 0
        self._consecutive_weight += FAILURE_WEIGHT * count + (TIMEOUT_WEIGHT - FAILURE_WEIGHT) * timeouts
        if self.tripped:
            if now >= self.until:
                self._open(now, 1.0)
            return
        self._failures += count
        successes, failures = self.counts_since_closing(now, successes, failures)
        total = successes + failures
        share = failures / total if total else 0.0
        if self._consecutive_weight >= OPEN_THRESHOLD or (total >= MIN_REQUESTS and share > MAX_FAILURE_SHARE):
            self._open(now, share)

    def eject_hanging(self, now: float) -> None:
        """Eject an endpoint that hangs, before any of its calls has failed."""
        if not self.tripped:
            self._open(now, 1.0)
            self._hung = True

    def record_response(self, now: float) -> bool:
        """Note that a call had its first token. Return whether that closes the breaker, which had opened for a hang.

        A response while it is still open shows that the endpoint was merely slow: the ejection is not counted.
        """
        if not self._hung:
            return False
        if now < self.until:
            self.ejections -= 1
        self._close(now)
        return True

    def follow_peer(self, until: float, ejections: int, now: float) -> None:
        """Follow another worker that has ejected the endpoint until ``until``, at most ``MAX_EJECTION_S`` from now."""
        until = min(until, now + MAX_EJECTION_S)
        if until > now and until > self.until:
            self.tripped = self.from_peer = True
            self._opened_at = now
            self.until = until
            self.ejections = max(self.ejections, ejections)
            self.severity = max(self.severity, 1.0)
            self._probe_until = NEVER
            self._peer_probe_until = until + HEAD_START_S

    def _open(self, now: float, share: float) -> None:
        self.tripped = True
        self._hung = self.from_peer = False
        self._opened_at = now
        self.until = now + min(BASE_EJECTION_S * 2.0**self.ejections, MAX_EJECTION_S)
        self.ejections = min(self.ejections + 1, MAX_DOUBLINGS)
        self.severity = share
        self._probe_until = self._peer_probe_until = NEVER

    def _close(self, now: float) -> None:
        self.tripped = self._hung = False
        self._closed_at = now
        self._probe_until = self._peer_probe_until = NEVER
        self._consecutive_weight = self._success_streak = self._successes = self._failures = 0


def limit_ejections(endpoints: Sequence[str], candidates: Mapping[str, tuple[int, float]]) -> frozenset[str]:
    """Return which of ``candidates`` are ejected: at most half of a model's ``endpoints``, rounded down, worst first.

    The values of ``candidates`` are (ejections in a row, share of failures).
    """
    found = {name for name in endpoints if name in candidates}
    limit = len(set(endpoints)) // 2
    if len(found) <= limit:
        return frozenset(found)
    return frozenset(sorted(found, key=lambda name: (candidates[name], name), reverse=True)[:limit])
