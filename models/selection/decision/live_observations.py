"""What has been seen of each endpoint up to a moment: fed in order of time, asked at any time from then on.

The router feeds it what happens, a trainer what the log says happened, each outcome at the time when it was known.
So a feature made from it cannot know the future, and training sees what serving saw.
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

# ``WINDOWS`` stand for the router's windows of 30 s, 5 min and 30 min; a day, since traffic has a daily course.
HALF_LIVES_S = (30.0, 300.0, 1800.0, 86400.0)
WINDOWS = 3
FAILURE, RATE_LIMITED, LOG_TTFT, LOG_TOKENS_PER_S, LOG_RESPONSE_TIME, MALFORMED = range(6)
QUANTITY_COUNT = 6
# Beside the half-lives stands what the last few calls showed, of which half is forgotten with three further ones, or in
# an hour: about as long as incidents of providers last (medians of 57 to 91 minutes on their status pages).
LAST_CALLS = len(HALF_LIVES_S)
FEW_KEPT, INCIDENT_S = 0.5 ** (1 / 3), 3600.0
# The last few, and over a day how far single values lie from them, are counted for these three; one beyond twice the
# deviation so far counts as that: it says more of an incident than of how the endpoint scatters.
MEASURED_QUANTITIES = (LOG_TTFT, LOG_TOKENS_PER_S, LOG_RESPONSE_TIME)
SURPRISE, SQUARE, PRIOR_VARIANCE_WEIGHT = 4.0, 0.09, 10.0
# A count that has faded below the first has nothing to say any more; the second makes a mean of nothing 0.
FORGOTTEN, NONE = 1e-9, 1e-200
# The moment is moved up before weights of the shortest half-life grow beyond 2 ** 60.
REBASED_S = 1800.0
# Of what an endpoint may be given of its model's traffic, cut at a 429 and grown by a constant at each call that was
# taken (Chiu and Jain 1989).
CUT, GROWTH, LEAST_CAP = 0.9, 0.02, 0.005

# An endpoint is a row of a matrix: time of its last outcome, of its last failure, when it was last known whether it
# takes calls, calls under way, whether it refused then, failures in a row, its cap, a moment in the past, then for each
# quantity its sums at each half-life and of the last few, then the counts likewise, then squares of deviations and
# their counts. Sums and counts stand as they would have weighed at that moment: what comes later weighs more there, so
# that nothing has to fade at each call.
_AT, _FAILED_AT, _ASKED_AT, _IN_FLIGHT, _REFUSED, _STREAK, _CAP, _BASE, _SUMS = range(9)
_PLACES = len(HALF_LIVES_S) + 1
_COUNTS = _SUMS + QUANTITY_COUNT * _PLACES
_SQUARES = _COUNTS + QUANTITY_COUNT * _PLACES
_WIDTH = _SQUARES + 2 * len(MEASURED_QUANTITIES)


class DecayedStatistics(NamedTuple):
    """One half-life: faded number of attempts, shares of failures and 429s, means of the logarithms of TTFT in s
    and of tokens a second of streams, and of the time of whole answers in s; ``None`` where nothing was seen."""

    attempts: float
    failure: float | None
    limited: float | None
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
    """n views as arrays, for a whole decision at once: ``counts`` and ``means`` have the shape
    (n, quantities, half-lives and the last few), a mean is 0 where its count is 0; ``squares`` has sums of squared
    deviations and their counts, (n, 2, ``MEASURED_QUANTITIES``); the others are those of ``EndpointView``, (n,)."""

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
        """Of endpoints never seen."""
        empty, never = np.zeros((count, QUANTITY_COUNT, _PLACES)), np.full(count, math.inf)
        none = np.zeros(count)
        squares = np.zeros((count, 2, len(MEASURED_QUANTITIES)))
        return cls(empty, empty, none, never, never, none, none, np.ones(count), squares)

    @classmethod
    def joined(cls, parts: Sequence[EndpointViews]) -> EndpointViews:
        """One after the other."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS))

    def at(self, places: slice | NDArray[np.int64]) -> EndpointViews:
        """Those at ``places``."""
        return EndpointViews(*(getattr(self, name)[places] for name in _COLUMNS))

    def where(self, kept: NDArray[np.bool_]) -> EndpointViews:
        """Those that ``kept`` (n,) holds for, and nothing in place of the others."""
        unseen = EndpointViews.unseen(len(self))
        columns = ((getattr(self, name), getattr(unseen, name)) for name in _COLUMNS)
        return EndpointViews(*(np.where(kept.reshape(-1, *[1] * (was.ndim - 1)), was, none) for was, none in columns))

    def single(self) -> EndpointViews:
        """In single precision: half the room."""
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
                *(means[q][half] if counts[q][half] > FORGOTTEN else None for q in range(QUANTITY_COUNT)),
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
_RATES = tuple(1.0 / half_life for half_life in (*HALF_LIVES_S, INCIDENT_S))
_DAY = len(HALF_LIVES_S) - 1
_HALVES_PER_S = np.array(_RATES)
_SQUARES_FADE = np.full(2 * len(MEASURED_QUANTITIES), 1.0 / HALF_LIVES_S[-1])
_FADING = np.concatenate([np.tile(_HALVES_PER_S, 2 * QUANTITY_COUNT), _SQUARES_FADE])


def observed_values(outcome: AttemptObservation) -> tuple[float | None, ...]:
    """What an outcome shows of each of the quantities, ``None`` where it says nothing."""
    limited, failed = outcome.result == "rate_limited", outcome.result == "error"
    return (
        None if limited else float(failed),
        float(limited),
        log_measured(outcome.ttft_s),
        log_measured(outcome.tokens_per_s),
        log_measured(outcome.total_s),
        float(outcome.malformed_tool_call) if outcome.tools and not (failed or limited) else None,
    )


class LiveObservations:
    """Of all endpoints; constant memory for each. Used from one thread."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._grow(np.empty((0, _WIDTH)))

    def begin(self, endpoint: str) -> None:
        """A call is on its way."""
        start = self._start(endpoint)
        self._flat[start + _IN_FLIGHT] += 1.0

    def abandon(self, endpoint: str) -> None:
        """A call ended without an outcome: its client left."""
        self._ended(self._start(endpoint))

    def observe(self, outcome: AttemptObservation) -> None:
        """Count a call that ended; ``outcome.now_s`` is when that was known. One from before the last counts as of now.

        An outcome whose time is not finite is not counted, nor is a figure for which ``log_measured`` gives ``None``.
        """
        start, now_s, flat = self._start(outcome.endpoint), outcome.now_s, self._flat
        self._ended(start)
        if not math.isfinite(now_s):
            return
        limited, failed = outcome.result == "rate_limited", outcome.result == "error"
        asked_s = now_s if limited or outcome.began_s is None else outcome.began_s
        if asked_s >= flat[start + _ASKED_AT]:
            flat[start + _ASKED_AT], flat[start + _REFUSED] = asked_s, float(limited)
        if now_s > flat[start + _AT]:
            flat[start + _AT] = now_s
        since = flat[start + _AT] - flat[start + _BASE]
        if since > REBASED_S:
            since = self._rebase(start, since)
        weights = tuple([math.exp2(since * rate) for rate in _RATES])
        if limited:
            flat[start + _CAP] = max(flat[start + _CAP] * CUT, LEAST_CAP)
            self._sum(start, RATE_LIMITED, 1.0, weights)
        else:
            self._count(start, FAILURE, weights)
        if failed:
            flat[start + _STREAK] += 1.0
            flat[start + _FAILED_AT] = max(flat[start + _FAILED_AT], now_s)
            self._sum(start, FAILURE, 1.0, weights)
        elif not limited:
            flat[start + _STREAK] = 0.0
            flat[start + _CAP] = min(flat[start + _CAP] + GROWTH, 1.0)
            if outcome.tools:
                self._count(start, MALFORMED, weights)
                self._sum(start, MALFORMED, float(outcome.malformed_tool_call), weights)
        if (log := log_measured(outcome.ttft_s)) is not None:
            self._add(start, LOG_TTFT, log, weights)
        if (log := log_measured(outcome.tokens_per_s)) is not None:
            self._add(start, LOG_TOKENS_PER_S, log, weights)
        if (log := log_measured(outcome.total_s)) is not None:
            self._add(start, LOG_RESPONSE_TIME, log, weights)

    def _rebase(self, start: int, since: float) -> float:
        self._matrix[start // _WIDTH, _SUMS:] *= np.exp2(-since * _FADING)
        self._flat[start + _BASE] = self._flat[start + _AT]
        return 0.0

    # Written out: a loop here would cost as much again as all the rest.

    def _count(self, start: int, quantity: int, weights: tuple[float, ...]) -> None:
        flat, count = self._flat, start + _COUNTS + quantity * _PLACES
        flat[count] += weights[0]
        flat[count + 1] += weights[1]
        flat[count + 2] += weights[2]
        flat[count + 3] += weights[3]

    def _sum(self, start: int, quantity: int, value: float, weights: tuple[float, ...]) -> None:
        flat, first = self._flat, start + _SUMS + quantity * _PLACES
        flat[first] += value * weights[0]
        flat[first + 1] += value * weights[1]
        flat[first + 2] += value * weights[2]
        flat[first + 3] += value * weights[3]

    def _add(self, start: int, quantity: int, value: float, weights: tuple[float, ...]) -> None:
        """One of ``MEASURED_QUANTITIES``."""
        self._count(start, quantity, weights)
        self._sum(start, quantity, value, weights)
        flat, few = self._flat, weights[LAST_CALLS]
        first, count = (
            start + _SUMS + quantity * _PLACES + LAST_CALLS,
            start + _COUNTS + quantity * _PLACES + LAST_CALLS,
        )
        total, number = flat[first], flat[count]
        if number >= few:
            place = start + _SQUARES + MEASURED_QUANTITIES.index(quantity)
            self._scatter(place, value, total / number, number / few, weights[_DAY])
        flat[first] = total * FEW_KEPT + value * few
        flat[count] = number * FEW_KEPT + few

    def _scatter(self, place: int, value: float, mean: float, count: float, weight: float) -> None:
        """A value beside the mean of the last few, ``count`` of them, whose own error is taken out."""
        flat, number = self._flat, place + len(MEASURED_QUANTITIES)
        usual = (flat[place] / weight + PRIOR_VARIANCE_WEIGHT * SQUARE) / (
            flat[number] / weight + PRIOR_VARIANCE_WEIGHT
        )
        flat[place] += min((value - mean) ** 2 * count / (count + 1.0), SURPRISE * usual) * weight
        flat[number] += weight

    def view(self, endpoint: str, now_s: float) -> EndpointView:
        """What is known of ``endpoint`` at ``now_s``."""
        return self.views((endpoint,), now_s)[0] if endpoint in self._places else UNSEEN_ENDPOINT

    def views(self, endpoints: Iterable[str], now_s: float) -> EndpointViews:
        """What is known of each at ``now_s``, in their order."""
        places = self._places
        # The first row is never written to: it stands for those never seen.
        rows = self._matrix.take([places.get(endpoint, 0) for endpoint in endpoints], axis=0)
        base, last = rows[:, _BASE], rows[:, _AT]
        fades = np.exp2(np.multiply.outer(base - np.maximum(last, now_s), _HALVES_PER_S))
        counts = rows[:, _COUNTS:_SQUARES].reshape(-1, QUANTITY_COUNT, _PLACES)
        sums = rows[:, _SUMS:_COUNTS].reshape(-1, QUANTITY_COUNT, _PLACES)
        # Every call was refused or was not, so that the count of all calls is not kept. It is added up: a difference
        # would lose what has faded far below a later call to rounding, and divide the mean by nothing.
        np.add(counts[:, FAILURE], sums[:, RATE_LIMITED], out=counts[:, RATE_LIMITED])
        # Sums and counts fade alike, so that a mean stays one however little is left of it.
        means = sums / (counts + NONE)
        return EndpointViews(
            counts * fades[:, None, :],
            means,
            rows[:, _IN_FLIGHT],
            np.maximum(now_s - rows[:, _FAILED_AT], 0.0),
            np.maximum(now_s - rows[:, _ASKED_AT], 0.0),
            rows[:, _REFUSED],
            rows[:, _STREAK],
            rows[:, _CAP],
            (rows[:, _SQUARES:] * fades[:, _DAY, None]).reshape(-1, 2, len(MEASURED_QUANTITIES)),
        )

    def _start(self, endpoint: str) -> int:
        place = self._places.get(endpoint)
        if place is None:
            place = self._places[endpoint] = len(self._places) + 1
            if place >= len(self._matrix):
                self._grow(self._matrix)
        return place * _WIDTH

    def _grow(self, before: Floats) -> None:
        # Single figures are read and written twenty times faster through an array of Python's own than through numpy.
        self._flat = array("d", bytes(8 * _WIDTH * max(64, 2 * len(before))))
        self._matrix: Floats = np.frombuffer(self._flat).reshape(-1, _WIDTH)
        # With its base at no time a row is moved to its first outcome, whenever that comes.
        self._matrix[:, [_AT, _FAILED_AT, _ASKED_AT, _BASE]] = -math.inf
        self._matrix[:, _CAP] = 1.0
        self._matrix[: len(before)] = before

    def _ended(self, start: int) -> None:
        self._flat[start + _IN_FLIGHT] = max(self._flat[start + _IN_FLIGHT] - 1.0, 0.0)


UNSEEN_ENDPOINT = EndpointViews.unseen(1)[0]
