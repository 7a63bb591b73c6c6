"""What has been seen of each endpoint up to a moment: fed in order of time, asked at any time from then on.

The router feeds it what happens, a trainer what the log says happened, each outcome at the time when it was known.
So a feature made from it cannot know the future, and training sees what serving saw.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import NamedTuple

from models.selection.faded import Faded
from models.selection.outcome import Outcome

# Half-lives that stand for the router's windows of 30 s, 5 min and 30 min.
HALF_LIVES_S = (30.0, 300.0, 1800.0)
FAILURE, LIMITED, LOG_TTFT, LOG_TOKENS_PER_S = range(4)


class Recent(NamedTuple):
    """One half-life: faded number of attempts, shares of failures and 429s, means of the logarithms of TTFT in s
    and of tokens a second; ``None`` where nothing was seen."""

    attempts: float
    failure: float | None
    limited: float | None
    log_ttft: float | None
    log_tokens_per_s: float | None


class View(NamedTuple):
    """An endpoint at a moment: one ``Recent`` for each of ``HALF_LIVES_S``, calls under way, s since its last failure
    (``inf`` without one)."""

    recent: tuple[Recent, ...]
    in_flight: int
    since_failure_s: float


class _Endpoint(Faded):
    __slots__ = ("failed_at_s", "in_flight")

    def __init__(self) -> None:
        super().__init__(HALF_LIVES_S, 4)
        self.in_flight, self.failed_at_s = 0, -math.inf


class Observed:
    """Of all endpoints; constant memory for each."""

    def __init__(self) -> None:
        self._endpoints: defaultdict[str, _Endpoint] = defaultdict(_Endpoint)

    def begin(self, endpoint: str) -> None:
        """A call is on its way."""
        self._endpoints[endpoint].in_flight += 1

    def abandon(self, endpoint: str) -> None:
        """A call ended without an outcome: its client left."""
        self._ended(self._endpoints[endpoint])

    def observe(self, outcome: Outcome) -> None:
        """A call ended; ``outcome.now_s`` is when that was known."""
        state = self._endpoints[outcome.endpoint]
        self._ended(state)
        limited, failed = outcome.result == "rate_limited", outcome.result == "error"
        if failed:
            state.failed_at_s = max(outcome.now_s, state.failed_at_s)
        state.add(
            outcome.now_s,
            (
                None if limited else float(failed),
                float(limited),
                math.log(outcome.ttft_s) if outcome.ttft_s else None,
                math.log(outcome.tokens_per_s) if outcome.tokens_per_s else None,
            ),
        )

    def view(self, endpoint: str, now_s: float) -> View:
        """What is known of ``endpoint`` at ``now_s``."""
        state = self._endpoints.get(endpoint)
        if state is None:
            return NOTHING
        fades = state.fades(now_s)
        recent = tuple(
            Recent(
                state.counts[LIMITED][place] * fade,
                _mean(state, FAILURE, place),
                _mean(state, LIMITED, place),
                _mean(state, LOG_TTFT, place),
                _mean(state, LOG_TOKENS_PER_S, place),
            )
            for place, fade in enumerate(fades)
        )
        return View(recent, state.in_flight, now_s - state.failed_at_s)

    def _ended(self, state: _Endpoint) -> None:
        state.in_flight = max(state.in_flight - 1, 0)


def _mean(state: Faded, quantity: int, place: int) -> float | None:
    count = state.counts[quantity][place]
    return state.sums[quantity][place] / count if count > 1e-9 else None


NOTHING = View(tuple(Recent(0.0, None, None, None, None) for _ in HALF_LIVES_S), 0, math.inf)
