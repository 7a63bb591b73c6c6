"""Observe the attempts at each endpoint, and answer what is known of it at any later moment.

The router feeds this state with what happens, the trainer with what the log says happened, each outcome at the time
when it was known. So a feature made from it cannot know the future, and training sees what serving saw.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.selection.decision.arrays import Floats
from models.selection.decision.outcome import AttemptObservation, log_measured

# The first ``WINDOWS`` half-lives stand for the router's windows of 30 s, 5 min and 30 min. The fourth is a day, since
# traffic has a daily course.
HALF_LIVES_S = (30.0, 300.0, 1800.0, 86400.0)
WINDOWS = 3
FAILURE, RATE_LIMITED, LOG_TTFT, LOG_TOKENS_PER_S, LOG_RESPONSE_TIME, MALFORMED = range(6)
QUANTITY_COUNT = 6
# Beside the half-lives, the last calls are averaged: their weight halves with every three further calls, or in an hour.
# That is about as long as incidents of providers last (medians of 57 to 91 minutes on their status pages).
LAST_CALLS = len(HALF_LIVES_S)
LAST_CALLS_DECAY, INCIDENT_HALF_LIFE_S = 0.5 ** (1 / 3), 3600.0
# Averages of the last calls, and over a day the squared deviations from them, are kept for these three quantities. A
# squared deviation counts as at most ``OUTLIER_VARIANCES`` times the variance so far: a larger one indicates an
# incident rather than the endpoint's noise.
MEASURED_QUANTITIES = (LOG_TTFT, LOG_TOKENS_PER_S, LOG_RESPONSE_TIME)
OUTLIER_VARIANCES, PRIOR_VARIANCE, PRIOR_VARIANCE_WEIGHT = 4.0, 0.09, 10.0
# A count below the first is taken for none; the second keeps a mean without observations at 0.
MIN_COUNT, TINY_COUNT = 1e-9, 1e-200
# Sums are rebased before weights of the shortest half-life grow beyond 2 ** 60.
REBASE_AFTER_S = 1800.0
# Additive increase, multiplicative decrease of an endpoint's share of its model's traffic (Chiu and Jain 1989):
# decreased at a 429, increased at each accepted call.
CAP_DECREASE, CAP_INCREASE, MIN_CAP = 0.9, 0.02, 0.005

# An endpoint is a row of a matrix: time of its last outcome, of its last failure, when it was last known whether it
# accepts calls, calls in flight, whether it refused then, consecutive failures, its cap, the base time, then for each
# quantity its sums at each half-life and over the last calls, then the counts likewise, then squared deviations and
# their counts. Sums and counts are stored with the weight that they would have had at the base time: later values get
# larger weights, so that nothing has to be decayed at each call.
_LAST_AT, _FAILED_AT, _ACCEPTANCE_AT, _IN_FLIGHT, _REFUSED, _STREAK, _CAP, _BASE, _SUMS = range(9)
_SLOTS = len(HALF_LIVES_S) + 1
_COUNTS = _SUMS + QUANTITY_COUNT * _SLOTS
_SQUARES = _COUNTS + QUANTITY_COUNT * _SLOTS
_WIDTH = _SQUARES + 2 * len(MEASURED_QUANTITIES)


class DecayedStatistics(NamedTuple):
    """Hold exponentially decayed statistics of one half-life; ``None`` stands where nothing was observed.

    ``attempts`` is a decayed count. ``failure``, ``rate_limited`` and ``malformed`` are shares. The others are means of
    logarithms: TTFT in s and tokens/s of streams, response time in s of non-streaming responses.
    """

    attempts: float
    failure: float | None
    rate_limited: float | None
    log_ttft: float | None
    log_tokens_per_s: float | None
    log_whole: float | None
    malformed: float | None


class EndpointView(NamedTuple):
    """Hold what is known of one endpoint at one moment, with one ``DecayedStatistics`` for each of ``HALF_LIVES_S``.

    ``in_flight`` counts calls. ``since_failure_s`` is ``inf`` without a failure. ``since_s`` is the time since it was
    last known whether the endpoint accepts calls, and ``refused`` says that it answered 429 then: a 429 tells when it
    arrives, an accepted call tells of the time when it was sent, however long it took. ``streak`` counts consecutive
    failures. ``cap`` is the share of its model's traffic, (0, 1], that 429s have left it.
    """

    recent: tuple[DecayedStatistics, ...]
    in_flight: int
    since_failure_s: float
    since_s: float
    refused: bool
    streak: int
    cap: float


class EndpointViews(Sequence[EndpointView]):
    """Hold views of n endpoints as arrays, for all candidates of a decision at once.

    ``counts`` and ``means`` have the shape (n, quantities, half-lives and the last calls); a mean is 0 where its count
    is 0. ``squares`` holds sums of squared deviations and their counts, (n, 2, ``MEASURED_QUANTITIES``). The other
    arrays are the fields of ``EndpointView``, (n,).
    """

    __slots__ = ("cap", "counts", "in_flight", "means", "refused", "since_failure_s", "since_s", "squares", "streak")

    def __init__(
        self,
        counts: Floats,
        means: Floats,
        in_flight: Floats,
        since_failure_s: Floats,
        since_s: Floats,
        refused: Floats,
        streak: Floats,
        cap: Floats,
        squares: Floats,
    ) -> None:
        self.counts, self.means, self.in_flight, self.since_failure_s = counts, means, in_flight, since_failure_s
        self.since_s, self.refused, self.streak, self.cap, self.squares = since_s, refused, streak, cap, squares

    @classmethod
    def unseen(cls, count: int) -> EndpointViews:
        """Return the views of ``count`` endpoints that were never observed."""
        empty, never = np.zeros((count, QUANTITY_COUNT, _SLOTS)), np.full(count, math.inf)
        none = np.zeros(count)
        squares = np.zeros((count, 2, len(MEASURED_QUANTITIES)))
        return cls(empty, empty, none, never, never, none, none, np.ones(count), squares)

    @classmethod
    def joined(cls, parts: Sequence[EndpointViews]) -> EndpointViews:
        """Concatenate views."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS))

    def at(self, places: slice | NDArray[np.int64]) -> EndpointViews:
        """Select the views at ``places``."""
        return EndpointViews(*(getattr(self, name)[places] for name in _COLUMNS))

    def where(self, mask: NDArray[np.bool_]) -> EndpointViews:
        """Keep the views that ``mask`` (n,) selects and replace the others by unobserved ones."""
        unseen = EndpointViews.unseen(len(self))
        columns = ((getattr(self, name), getattr(unseen, name)) for name in _COLUMNS)
        return EndpointViews(*(np.where(mask.reshape(-1, *[1] * (was.ndim - 1)), was, none) for was, none in columns))

    def single(self) -> EndpointViews:
        """Convert to single precision, which takes half the memory."""
        return EndpointViews(*(getattr(self, name).astype(np.float32) for name in _COLUMNS))

    def __len__(self) -> int:
        return len(self.in_flight)

    def __iter__(self) -> Iterator[EndpointView]:
        return (self[place] for place in range(len(self)))

    def __getitem__(self, place: int) -> EndpointView:  # type: ignore[override]
        counts, means = self.counts[place].tolist(), self.means[place].tolist()
        recent = tuple(
            DecayedStatistics(
                counts[RATE_LIMITED][half],
                *(means[q][half] if counts[q][half] > MIN_COUNT else None for q in range(QUANTITY_COUNT)),
            )
            for half in range(len(HALF_LIVES_S))
        )
        return EndpointView(
            recent,
            int(self.in_flight[place]),
            float(self.since_failure_s[place]),
            float(self.since_s[place]),
            bool(self.refused[place]),
            int(self.streak[place]),
            float(self.cap[place]),
        )


_COLUMNS = ("counts", "means", "in_flight", "since_failure_s", "since_s", "refused", "streak", "cap", "squares")
_RATES = tuple(1.0 / half_life for half_life in (*HALF_LIVES_S, INCIDENT_HALF_LIFE_S))
_DAY = len(HALF_LIVES_S) - 1
_HALVES_PER_S = np.array(_RATES)
_SQUARES_DECAY_RATE = np.full(2 * len(MEASURED_QUANTITIES), 1.0 / HALF_LIVES_S[-1])
_DECAY_RATES = np.concatenate([np.tile(_HALVES_PER_S, 2 * QUANTITY_COUNT), _SQUARES_DECAY_RATE])


def observed_values(observation: AttemptObservation) -> tuple[float | None, ...]:
    """Return the value that an observation has for each quantity, ``None`` where it says nothing."""
    rate_limited, failed = observation.result == "rate_limited", observation.result == "error"
    return (
        None if rate_limited else float(failed),
        float(rate_limited),
        log_measured(observation.ttft_s),
        log_measured(observation.tokens_per_s),
        log_measured(observation.total_s),
        float(observation.malformed_tool_call) if observation.tools and not (failed or rate_limited) else None,
    )


class LiveObservations:
    """Accumulate observations of all endpoints in constant memory for each. Used from one thread."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._grow(np.empty((0, _WIDTH)))

    def begin(self, endpoint: str) -> None:
        """Count a call that was sent."""
        self.add_in_flight(endpoint, 1)

    def abandon(self, endpoint: str) -> None:
        """Remove a call that ended without an outcome, as when its client disconnected."""
        self.add_in_flight(endpoint, -1)

    def add_in_flight(self, endpoint: str, change: int) -> None:
        """Add ``change`` to the number of calls in flight, which is never below 0."""
        place = self._start(endpoint) + _IN_FLIGHT
        self._flat[place] = max(self._flat[place] + change, 0.0)

    def observe(self, observation: AttemptObservation) -> None:
        """Remove a call that ended from those in flight, and learn from it; see ``learn``."""
        self.add_in_flight(observation.endpoint, -1)
        self.learn(observation)

    def learn(self, observation: AttemptObservation) -> None:
        """Add what a call says that has ended.

        ``observation.now_s`` is when that was known. A call older than the last one counts as if it had ended with it.
        One whose time is not finite is not counted, nor is a figure for which ``log_measured`` returns ``None``.
        """
        start, now_s, flat = self._start(observation.endpoint), observation.now_s, self._flat
        if not math.isfinite(now_s):
            return
        rate_limited, failed = observation.result == "rate_limited", observation.result == "error"
        acceptance_s = now_s if rate_limited or observation.began_s is None else observation.began_s
        if acceptance_s >= flat[start + _ACCEPTANCE_AT]:
            flat[start + _ACCEPTANCE_AT], flat[start + _REFUSED] = acceptance_s, float(rate_limited)
        if now_s > flat[start + _LAST_AT]:
            flat[start + _LAST_AT] = now_s
        since = flat[start + _LAST_AT] - flat[start + _BASE]
        if since > REBASE_AFTER_S:
            since = self._rebase(start, since)
        # Written out, since a loop takes twice as long.
        exp2, (half_minute, five_minutes, half_hour, day, incident) = math.exp2, _RATES
        weights = (
            exp2(since * half_minute),
            exp2(since * five_minutes),
            exp2(since * half_hour),
            exp2(since * day),
            exp2(since * incident),
        )
        if rate_limited:
            flat[start + _CAP] = max(flat[start + _CAP] * CAP_DECREASE, MIN_CAP)
            self._sum(start, RATE_LIMITED, 1.0, weights)
        else:
            self._count(start, FAILURE, weights)
        if failed:
            flat[start + _STREAK] += 1.0
            flat[start + _FAILED_AT] = max(flat[start + _FAILED_AT], now_s)
            self._sum(start, FAILURE, 1.0, weights)
        elif not rate_limited:
            flat[start + _STREAK] = 0.0
            flat[start + _CAP] = min(flat[start + _CAP] + CAP_INCREASE, 1.0)
            if observation.tools:
                self._count(start, MALFORMED, weights)
                self._sum(start, MALFORMED, float(observation.malformed_tool_call), weights)
        if (log := log_measured(observation.ttft_s)) is not None:
            self._add(start, LOG_TTFT, log, weights)
        if (log := log_measured(observation.tokens_per_s)) is not None:
            self._add(start, LOG_TOKENS_PER_S, log, weights)
        if (log := log_measured(observation.total_s)) is not None:
            self._add(start, LOG_RESPONSE_TIME, log, weights)

    def _rebase(self, start: int, since: float) -> float:
        self._matrix[start // _WIDTH, _SUMS:] *= np.exp2(-since * _DECAY_RATES)
        self._flat[start + _BASE] = self._flat[start + _LAST_AT]
        return 0.0

    # The loops are unrolled: a loop here would cost as much again as all the rest.

    def _count(self, start: int, quantity: int, weights: tuple[float, ...]) -> None:
        flat, count = self._flat, start + _COUNTS + quantity * _SLOTS
        flat[count] += weights[0]
        flat[count + 1] += weights[1]
        flat[count + 2] += weights[2]
        flat[count + 3] += weights[3]

    def _sum(self, start: int, quantity: int, value: float, weights: tuple[float, ...]) -> None:
        flat, first = self._flat, start + _SUMS + quantity * _SLOTS
        flat[first] += value * weights[0]
        flat[first + 1] += value * weights[1]
        flat[first + 2] += value * weights[2]
        flat[first + 3] += value * weights[3]

    def _add(self, start: int, quantity: int, value: float, weights: tuple[float, ...]) -> None:
        """Add a value of one of ``MEASURED_QUANTITIES``."""
        self._count(start, quantity, weights)
        self._sum(start, quantity, value, weights)
        flat, per_call = self._flat, weights[LAST_CALLS]
        first, count = (
            start + _SUMS + quantity * _SLOTS + LAST_CALLS,
            start + _COUNTS + quantity * _SLOTS + LAST_CALLS,
        )
        total, number = flat[first], flat[count]
        if number >= per_call:
            place = start + _SQUARES + MEASURED_QUANTITIES.index(quantity)
            self._add_deviation(place, value, total / number, number / per_call, weights[_DAY])
        flat[first] = total * LAST_CALLS_DECAY + value * per_call
        flat[count] = number * LAST_CALLS_DECAY + per_call

    def _add_deviation(self, place: int, value: float, mean: float, count: float, weight: float) -> None:
        """Add the squared deviation of a value from the mean of the last ``count`` calls.

        The deviation is corrected for the error of that mean.
        """
        flat, number = self._flat, place + len(MEASURED_QUANTITIES)
        variance = (flat[place] / weight + PRIOR_VARIANCE_WEIGHT * PRIOR_VARIANCE) / (
            flat[number] / weight + PRIOR_VARIANCE_WEIGHT
        )
        flat[place] += min((value - mean) ** 2 * count / (count + 1.0), OUTLIER_VARIANCES * variance) * weight
        flat[number] += weight

    def view(self, endpoint: str, now_s: float) -> EndpointView:
        """Return what is known of ``endpoint`` at ``now_s``."""
        return self.views((endpoint,), now_s)[0] if endpoint in self._rows else UNSEEN_ENDPOINT

    def views(self, endpoints: Iterable[str], now_s: float) -> EndpointViews:
        """Return what is known of each endpoint at ``now_s``, in their order."""
        places = self._rows
        # The first row is never written to: it stands for endpoints that were never observed.
        rows = self._matrix.take([places.get(endpoint, 0) for endpoint in endpoints], axis=0)
        base, last = rows[:, _BASE], rows[:, _LAST_AT]
        decays = np.exp2(np.multiply.outer(base - np.maximum(last, now_s), _HALVES_PER_S))
        counts = rows[:, _COUNTS:_SQUARES].reshape(-1, QUANTITY_COUNT, _SLOTS)
        sums = rows[:, _SUMS:_COUNTS].reshape(-1, QUANTITY_COUNT, _SLOTS)
        # Every call was rate-limited or was not, so that the count of all calls is not stored. It is added up: a
        # difference would lose to rounding what has decayed far below a later call, and divide the mean by nothing.
        np.add(counts[:, FAILURE], sums[:, RATE_LIMITED], out=counts[:, RATE_LIMITED])
        # Sums and counts decay alike, so that a mean stays valid however small its count has become.
        means = sums / (counts + TINY_COUNT)
        return EndpointViews(
            counts * decays[:, None, :],
            means,
            rows[:, _IN_FLIGHT],
            np.maximum(now_s - rows[:, _FAILED_AT], 0.0),
            np.maximum(now_s - rows[:, _ACCEPTANCE_AT], 0.0),
            rows[:, _REFUSED],
            rows[:, _STREAK],
            rows[:, _CAP],
            (rows[:, _SQUARES:] * decays[:, _DAY, None]).reshape(-1, 2, len(MEASURED_QUANTITIES)),
        )

    def _start(self, endpoint: str) -> int:
        place = self._rows.get(endpoint)
        if place is None:
            place = self._rows[endpoint] = len(self._rows) + 1
            if place >= len(self._matrix):
                self._grow(self._matrix)
        return place * _WIDTH

    def _grow(self, before: Floats) -> None:
        # Single figures are read and written twenty times faster through an array of Python's own than through numpy.
        self._flat = array("d", bytes(8 * _WIDTH * max(64, 2 * len(before))))
        self._matrix: Floats = np.frombuffer(self._flat).reshape(-1, _WIDTH)
        # With its base at minus infinity a row is moved to its first outcome, whenever that comes.
        self._matrix[:, [_LAST_AT, _FAILED_AT, _ACCEPTANCE_AT, _BASE]] = -math.inf
        self._matrix[:, _CAP] = 1.0
        self._matrix[: len(before)] = before


UNSEEN_ENDPOINT = EndpointViews.unseen(1)[0]
