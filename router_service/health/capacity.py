"""429s: how long an endpoint is left alone, and how many requests a minute it is believed to take."""

from __future__ import annotations

from router_service.health.breaker import NEVER

# CUBIC's multiplicative decrease, RFC 9438 section 4.6: AIMD that gives up less than TCP's half.
DECREASE = 0.7
# Ours: back at the rate that met the 429 after five minutes; forgotten at twice that rate.
RECOVERY_S = 300.0
FORGET_AT = 2.0
# Rates are measured in it. A burst of 429s is one sign, not many: one decrease for each.
WINDOW_S = 30.0
# Six requests in 30 s: fewer are too coarse to read a rate from.
LEAST_CAP = 12.0
# Without Retry-After a single 429 is chance; from the second in a row the pause doubles.
FIRST_BACK_OFF_S = 1.0
LONGEST_BACK_OFF_S = 60.0
LONGEST_RETRY_AFTER_S = 86_400.0


class Capacity:
    """One endpoint's. Rates are requests a minute, ``now`` seconds of a monotonic clock."""

    __slots__ = ("_decreased_at", "_in_a_row", "_met", "_sent", "retry_until")

    def __init__(self) -> None:
        self.retry_until = NEVER
        self._in_a_row = 0
        self._met = 0.0
        self._sent = 0
        self._decreased_at = NEVER

    def rate_limited(self, now: float, retry_after: float | None = None) -> bool:
        """A 429; true for the first of a burst, which is to be followed by ``met``. One that comes during a pause began
        before it.
        """
        held = now < self.retry_until
        self._in_a_row += not held
        if retry_after is not None:
            self.hold(now, retry_after)
        elif self._in_a_row > 1 and not held:
            doublings = min(self._in_a_row - 2, 16)
            self.hold(now, min(FIRST_BACK_OFF_S * 2.0**doublings, LONGEST_BACK_OFF_S))
        return now - self._decreased_at >= WINDOW_S

    def met(self, now: float, accepted_per_minute: float) -> None:
        """The endpoint accepted ``accepted_per_minute`` when it answered 429: one decrease."""
        self._met = max(accepted_per_minute, LEAST_CAP / DECREASE)
        self._decreased_at = now
        self._sent = 0

    def sent(self, count: int = 1) -> None:
        """Calls have come to an end, in whichever way."""
        self._sent += count

    def hold(self, now: float, seconds: float) -> None:
        """Leave the endpoint alone for ``seconds``, as a provider's Retry-After asks."""
        until = now + (LONGEST_RETRY_AFTER_S if seconds > LONGEST_RETRY_AFTER_S else seconds)
        if until > self.retry_until:
            self.retry_until = until

    def adopt(self, retry_until: float, now: float) -> None:
        """Follow another worker's hold."""
        if retry_until > now:
            self.hold(now, retry_until - now)

    def accepted(self) -> None:
        """The endpoint took a request."""
        self._in_a_row = 0

    @property
    def learned(self) -> bool:
        """Whether there was a 429 lately enough for a cap."""
        return self._met > 0

    def cap(self, now: float) -> float | None:
        """Requests a minute that the endpoint is believed to take; ``None`` while nothing is known.

        After a 429 at rate r it is 0.7 r and grows by a constant 0.3 r each five minutes.
        """
        if not self._met:
            return None
        share = DECREASE + (1 - DECREASE) * (now - self._decreased_at) / RECOVERY_S
        if share >= FORGET_AT:
            self._met = 0.0
            return None
        return self._met * share

    def limited(self, now: float, per_minute: float) -> bool:
        """Whether a call now would come before Retry-After or go above the cap; ``per_minute`` is the rate sent."""
        if now < self.retry_until:
            return True
        cap = self.cap(now)
        if cap is None:
            return False
        elapsed = now - self._decreased_at
        if elapsed < WINDOW_S and self._met > LEAST_CAP / DECREASE:
            # The burst that met the 429 is still in the window; the cap is for what follows it.
            return self._sent >= cap * elapsed / 60
        return per_minute >= cap
