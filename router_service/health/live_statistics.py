"""Keep the statistics of outcomes that the next plan reads: this worker's as they end, and those of other workers.

They follow the rule by which the log is read (``models.selection.decision.outcome``), so that a policy is served the
features that it was trained on.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from data.catalogue.types import Endpoint
from data.record.attempt import AttemptOutcome
from models.selection.decision.live_observations import EndpointViews, LiveObservations
from models.selection.decision.outcome import AttemptObservation, judge_attempt, observation_of
from router_service.core.exchange import Exchange
from router_service.health.in_flight import LocalInFlight, PeerInFlight
from router_service.health.messages import InFlightMessage, OutcomeMessage
from router_service.health.outcome_messages import from_message, to_message

logger = logging.getLogger(__name__)

# For one exchange with other workers, a quarter of a second; beyond it the newest outcomes are sent.
MAX_UNSENT = 400
# An outcome that arrives later says nothing about now, unless it is older than this worker.
MAX_DELAY_S = 30.0
# Beginnings and ends of calls that are learned from together: in a row they cost a third of what each costs between two
# requests, and so many take less than a millisecond.
MAX_PENDING = 64


class ObservedViews(NamedTuple):
    """Hold what had been observed of endpoints at one moment: ``views``, and the index of each endpoint in them."""

    places: Mapping[str, int]
    views: EndpointViews

    def select(self, endpoints: Sequence[Endpoint]) -> EndpointViews:
        """Return the views of ``endpoints``, in their order."""
        return self.views.at(np.array([self.places[endpoint.id] for endpoint in endpoints]))


class LiveStatistics:
    """Learn from the calls of this worker and from the messages of others. Used from one thread.

    No method raises, because an error here must not cost the call; ``failures`` counts the events that were lost by
    one. Times are Unix seconds of a clock that is never set: ``clock`` gives seconds from any origin, and is that of
    ``Exchange.arrival_s``.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._origin_s = time.time() - clock()
        self._began_s = self.now_s()
        self._observed = LiveObservations()
        # Events since it was last learned from: the endpoint of a call that began, or the outcome of one.
        self._pending: list[str | AttemptOutcome] = []
        self._unsent: deque[AttemptObservation] = deque(maxlen=MAX_UNSENT)
        self._local_in_flight = LocalInFlight()
        self._peer_in_flight = PeerInFlight(self._observed)
        self.failures = 0

    def now_s(self) -> float:
        """Return the time in Unix seconds."""
        return self._origin_s + self._clock()

    def snapshot(self, endpoints: Sequence[str]) -> ObservedViews:
        """Return what has been observed of ``endpoints`` up to now."""
        self._learn()
        places = {name: place for place, name in enumerate(endpoints)}
        return ObservedViews(places, self._observed.views(endpoints, self.now_s()))

    def begin(self, endpoint: str) -> None:
        """Note that a call to ``endpoint`` was sent."""
        self._pending.append(endpoint)

    def report(self, outcome: AttemptOutcome, _exchange: Exchange) -> None:
        """Note how a call ended."""
        self._pending.append(outcome)
        if len(self._pending) >= MAX_PENDING:
            self._learn()

    def drain(self) -> tuple[list[OutcomeMessage], list[InFlightMessage]]:
        """Return the messages about what happened since the last call, for the other workers."""
        self._learn()
        now_s = self.now_s()
        self._peer_in_flight.expire(now_s)
        outcomes = [to_message(one, now_s) for one in self._unsent]
        self._unsent.clear()
        return outcomes, self._local_in_flight.drain(now_s)

    def receive(self, message: OutcomeMessage, at_s: float) -> None:
        """Count an outcome that another worker sent at ``at_s``, in Unix seconds."""
        if at_s > self._began_s and self.now_s() - at_s > MAX_DELAY_S:
            return
        self._learn()
        # It ends a call of the other worker's, not one of those that are counted as in flight here.
        self._observed.learn(from_message(message, at_s))

    def receive_in_flight(self, sender: str, message: InFlightMessage, at_s: float) -> None:
        """Set the number of calls that another worker had in flight at ``at_s``, in Unix seconds."""
        self._peer_in_flight.receive(sender, message, at_s, self.now_s())

    def _learn(self) -> None:
        """Learn from the pending events, in their order. A call that began and ended among them was never in flight."""
        pending, self._pending = self._pending, []
        changes: dict[str, int] = {}
        for event in pending:
            if isinstance(event, AttemptOutcome):
                changes[event.endpoint] = changes.get(event.endpoint, 0) - 1
            else:
                changes[event] = changes.get(event, 0) + 1
        try:
            for endpoint, change in changes.items():
                self._local_in_flight.add(endpoint, change)
                self._observed.add_in_flight(endpoint, change)
        except Exception:
            self._fail()
        for event in pending:
            if isinstance(event, AttemptOutcome) and not event.stale:
                try:
                    if (found := self._outcome(event)) is not None:
                        self._observed.learn(found)
                        self._unsent.append(found)
                except Exception:
                    self._fail()

    def _outcome(self, attempt: AttemptOutcome) -> AttemptObservation | None:
        known_us = int((self._origin_s + attempt.ended_s) * 1e6)
        found = judge_attempt(known_us, attempt.error_type, attempt.ttft_us, attempt.duration_us, attempt, served=True)
        return observation_of(
            found, attempt.endpoint, attempt.provider, attempt.stream, self._origin_s + attempt.began_s
        )

    def _fail(self) -> None:
        self.failures += 1
        if self.failures & (self.failures - 1) == 0:
            logger.exception("The statistics could not learn from the end of a call (%d times)", self.failures)
