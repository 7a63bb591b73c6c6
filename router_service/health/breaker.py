"""When an endpoint is left alone after failures, for how long, and how it comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum

# In a row: five failures, Envoy's default of consecutive_5xx, or three timeouts, which cost clients far more each.
FAILURE_WEIGHT = 3
TIMEOUT_WEIGHT = 5
OPENS_AT = 15
# Below 80 % success the reference calls an endpoint down; 20 requests are ours.
FAILURE_SHARE = 0.2
MIN_REQUESTS = 20
WINDOW_S = 30.0
# Ours: short enough that a blip costs one pause of seconds, doubled for what keeps failing.
FIRST_EJECTION_S = 5.0
LONGEST_EJECTION_S = 300.0
MOST_DOUBLINGS = 6
# Successes in a row that take one doubling back.
DECAY_SUCCESSES = 20
# A probe without an outcome by then was cancelled or is a long stream: the next may go.
PROBE_S = 30.0
# Another worker's probe is told anew at each exchange while it lasts, so that one that dies with it holds up nobody.
PROBE_LEASE_S = 1.5
# Who has ejected an endpoint probes it first; those who follow have heard of that by then.
HEAD_START_S = 1.0
# One object for all endpoints.
NEVER = float("-inf")


class Phase(IntEnum):
    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Breaker:
    """One endpoint's. ``now`` is seconds of a monotonic clock everywhere."""

    __slots__ = ("_closed_at", "_failures", "_in_a_row", "_opened_at", "_others_until", "_probe_until", "_silent",
                 "_streak", "_successes", "ejections", "followed", "severity", "tripped", "until")  # fmt: skip

    def __init__(self) -> None:
        self.tripped = False
        # Whether the ejection is another worker's: that one tells of it, and no clock's rounding comes back to it.
        self.followed = False
        self._in_a_row = 0
        self._streak = 0
        self._silent = False
        self._opened_at = self._closed_at = NEVER
        self._successes = self._failures = 0
        self._probe_until = self._others_until = NEVER
        self.until = NEVER
        self.ejections = 0
        self.severity = 0.0

    def phase(self, now: float) -> Phase:
        if not self.tripped:
            return Phase.CLOSED
        return Phase.OPEN if now < self.until else Phase.HALF_OPEN

    def ejected(self, now: float) -> bool:
        """Open, or half-open with its one probe under way, here or at another worker."""
        return self.tripped and (now < self.until or now < self._probe_until or now < self._others_until)

    def claim(self, now: float) -> bool:
        """Whether a call may go now. Half-open it takes the one probe; open it is the caller's last resort."""
        if self.phase(now) is not Phase.HALF_OPEN:
            return True
        if now < self._probe_until or now < self._others_until:
            return False
        self._probe_until = now + PROBE_S
        return True

    def probe_until(self, now: float) -> float:
        """Until when the others are to leave the probe to this worker; 0 while it has none under way."""
        return min(self._probe_until, now + PROBE_LEASE_S) if self.tripped and now < self._probe_until else 0.0

    def leave_probe(self, until: float, now: float) -> None:
        """Another worker probes until ``until``."""
        self._others_until = min(until, now + PROBE_LEASE_S)

    def since_closing(self, now: float, successes: int, failures: int) -> tuple[int, int]:
        """``successes`` and ``failures`` of the last 30 s without those that led to an ejection which is over."""
        return (self._successes, self._failures) if now - self._closed_at < WINDOW_S else (successes, failures)

    def outdated(self, began: float) -> bool:
        """Whether a call that ``began`` then went out before the last ejection: its failure is a part of that."""
        return began < self._opened_at

    def release(self) -> None:
        """A call ended with an outcome that judges nothing (a 429, a client's error): another probe may go."""
        self._probe_until = NEVER

    def success(self, now: float, count: int = 1) -> bool:
        """Count ``count`` successes; true when they close it. While open they are ignored: those calls began before."""
        self._in_a_row = 0
        if self.tripped:
            if now >= self.until:
                self._close(now)
                return True
            return False
        self._successes += count
        if self.ejections:
            self._streak += count
            if self._streak >= DECAY_SUCCESSES:
                self.ejections -= 1
                self._streak = 0
        return False

    def failure(
        self,
        now: float,
        successes: int,
        failures: int,
        count: int = 1,
        timeouts: int = 0,
    ) -> None:
        """Count ``count`` failures, ``timeouts`` among them; ``successes`` and ``failures`` are those of the last 30 s
        with them.
        """
        self._streak = 0
        self._in_a_row += FAILURE_WEIGHT * count + (TIMEOUT_WEIGHT - FAILURE_WEIGHT) * timeouts
        if self.tripped:
            if now >= self.until:
                self._open(now, 1.0)
            return
        self._failures += count
        successes, failures = self.since_closing(now, successes, failures)
        total = successes + failures
        share = failures / total if total else 0.0
        if self._in_a_row >= OPENS_AT or (total >= MIN_REQUESTS and share > FAILURE_SHARE):
            self._open(now, share)

    def fall_silent(self, now: float) -> None:
        """Eject an endpoint that has stopped answering before any of its calls has failed."""
        if not self.tripped:
            self._open(now, 1.0)
            self._silent = True

    def answered(self, now: float) -> bool:
        """A call had its first token. True when that closes it: it had been silent, or while open, merely slow."""
        if not self._silent:
            return False
        if now < self.until:
            self.ejections -= 1
        self._close(now)
        return True

    def adopt(self, until: float, ejections: int, now: float) -> None:
        """Follow another worker that has ejected the endpoint until ``until``, which no worker sets further ahead than
        ``LONGEST_EJECTION_S``."""
        until = min(until, now + LONGEST_EJECTION_S)
        if until > now and until > self.until:
            self.tripped = self.followed = True
            self._opened_at = now
            self.until = until
            self.ejections = max(self.ejections, ejections)
            self.severity = max(self.severity, 1.0)
            self._probe_until = NEVER
            self._others_until = until + HEAD_START_S

    def _open(self, now: float, share: float) -> None:
        self.tripped = True
        self._silent = self.followed = False
        self._opened_at = now
        self.until = now + min(FIRST_EJECTION_S * 2.0**self.ejections, LONGEST_EJECTION_S)
        self.ejections = min(self.ejections + 1, MOST_DOUBLINGS)
        self.severity = share
        self._probe_until = self._others_until = NEVER

    def _close(self, now: float) -> None:
        self.tripped = self._silent = False
        self._closed_at = now
        self._probe_until = self._others_until = NEVER
        self._in_a_row = self._streak = self._successes = self._failures = 0


def spare_half(endpoints: Sequence[str], wanting: Mapping[str, tuple[int, float]]) -> frozenset[str]:
    """Those of ``wanting`` that are ejected: at most half of a model's ``endpoints``, rounded down, worst first.

    The values are (ejections in a row, share of failures).
    """
    found = {name for name in endpoints if name in wanting}
    most = len(set(endpoints)) // 2
    if len(found) <= most:
        return frozenset(found)
    return frozenset(sorted(found, key=lambda name: (wanting[name], name), reverse=True)[:most])
