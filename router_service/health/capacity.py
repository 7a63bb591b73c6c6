"""Learn from 429s: pause an endpoint as Retry-After asks, and estimate how many requests a minute it accepts."""

from __future__ import annotations

from router_service.core.errors import MAX_RETRY_AFTER_S
from router_service.health.breaker import NEVER

# CUBIC's multiplicative decrease, RFC 9438 section 4.6: AIMD that gives up less than TCP's half.
DECREASE = 0.7
# Ours: the cap is back at the rate that met the 429 after five minutes, and is forgotten at twice that rate.
RECOVERY_S = 300.0
FORGET_AT = 2.0
# Rates are measured over this window. A burst of 429s is one signal: it causes one decrease.
WINDOW_S = 30.0
# Six requests in 30 s: fewer are too coarse to derive a rate from.
MIN_CAP = 12.0
# Without Retry-After a single 429 is chance; from the second in a row on the pause doubles.
BASE_BACKOFF_S = 1.0
MAX_BACKOFF_S = 60.0


class Capacity:
    """Estimate the capacity of one endpoint. Rates are requests a minute, ``now`` is seconds of a monotonic clock.

    ``retry_until`` is when the current pause ends.
    """

    __slots__ = ("_consecutive", "_decreased_at", "_rate_at_429", "_sent", "retry_until")

    def __init__(self) -> None:
        self.retry_until = NEVER
        self._consecutive = 0
        self._rate_at_429 = 0.0
        self._sent = 0
        self._decreased_at = NEVER

    def record_429(self, now: float, retry_after: float | None = None) -> bool:
        """Count a 429 with its Retry-After in seconds. Return whether it begins a burst: call ``decrease`` then.

        A 429 that comes during a pause belongs to a call that began before it.
        """
        paused = now < self.retry_until
        self._consecutive += not paused
        if retry_after is not None:
            self.pause(now, retry_after)
        elif self._consecutive > 1 and not paused:
            doublings = min(self._consecutive - 2, 16)
            self.pause(now, min(BASE_BACKOFF_S * 2.0**doublings, MAX_BACKOFF_S))
        return now - self._decreased_at >= WINDOW_S

    def decrease(self, now: float, accepted_per_minute: float) -> None:
        """Set the cap after a 429, given the rate that the endpoint accepted when it sent it."""
        self._rate_at_429 = max(accepted_per_minute, MIN_CAP / DECREASE)
        self._decreased_at = now
        self._sent = 0

    def count_sent(self, count: int = 1) -> None:
        """Count ``count`` calls that have ended, whatever their outcome."""
        self._sent += count

    def pause(self, now: float, seconds: float) -> None:
        """Send nothing for ``seconds``, as a provider's Retry-After asks, at most for a day."""
        until = now + (MAX_RETRY_AFTER_S if seconds > MAX_RETRY_AFTER_S else seconds)
        if until > self.retry_until:
            self.retry_until = until

    def follow_peer(self, retry_until: float, now: float) -> None:
        """Follow another worker's pause."""
        if retry_until > now:
            self.pause(now, retry_until - now)

    def record_accepted(self) -> None:
        """Note that the endpoint accepted a request."""
        self._consecutive = 0

    @property
    def has_cap(self) -> bool:
        """Return whether there was a 429 recently enough for a cap."""
        return self._rate_at_429 > 0

    def cap(self, now: float) -> float | None:
        """Return the estimate of the requests a minute that the endpoint accepts; ``None`` while nothing is known.

        After a 429 at rate r it is 0.7 r and grows by a constant 0.3 r each five minutes.
        """
        if not self._rate_at_429:
            return None
        share = DECREASE + (1 - DECREASE) * (now - self._decreased_at) / RECOVERY_S
        if share >= FORGET_AT:
            self._rate_at_429 = 0.0
            return None
        return self._rate_at_429 * share

    def limited(self, now: float, per_minute: float) -> bool:
        """Return whether a call now would come before Retry-After or exceed the cap; ``per_minute`` is our own rate."""
        if now < self.retry_until:
            return True
        cap = self.cap(now)
        if cap is None:
            return False
        elapsed = now - self._decreased_at
        if elapsed < WINDOW_S and self._rate_at_429 > MIN_CAP / DECREASE:
            # The window still contains the burst that met the 429; the cap applies to the calls after it.
            return self._sent >= cap * elapsed / 60
        return per_minute >= cap
