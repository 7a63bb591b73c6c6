"""What calls come to, known to the next plan: this worker's as they end, and what other workers tell of theirs.

By the rule that the log is read by (``models.selection.decision.outcome``): a policy is served what it was trained on.
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
from router_service.health.in_flight import OwnInFlight, PeerInFlight
from router_service.health.messages import InFlightMessage, OutcomeMessage
from router_service.health.outcome_messages import from_message, to_message

logger = logging.getLogger(__name__)

# Of one exchange with other workers, a quarter of a second; beyond it the newest are to_message.
MOST_TOLD = 400
# What others tell later than that says nothing of now, unless it is from before this worker began.
LATE_S = 30.0
# Beginnings and ends of calls that wait to be learned from: one after the other they cost a third of what each costs
# between two requests, and so many take less than a millisecond.
MOST_WAITING = 64


class ObservedViews(NamedTuple):
    """Hold what had been observed of endpoints at one moment: ``views``, and the place of each in them."""

    places: Mapping[str, int]
    views: EndpointViews

    def of(self, endpoints: Sequence[Endpoint]) -> EndpointViews:
        """Return the views of ``endpoints``, in their order."""
        return self.views.at(np.array([self.places[endpoint.id] for endpoint in endpoints]))


class LiveStatistics:
    """Of one worker. No method raises: what is learned of a call must not cost the call. ``failures`` counts what was
    not learned for it. Times are Unix seconds by a clock that is never set: ``clock`` gives seconds from any origin,
    and is that of ``Exchange.arrival_s``. Used from one thread.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._origin_s = time.time() - clock()
        self._began_s = self.now_s()
        self._observed = LiveObservations()
        # What has happened since it was last learned from: a call to an endpoint began, or one was over.
        self._waiting: list[str | AttemptOutcome] = []
        self._untold: deque[AttemptObservation] = deque(maxlen=MOST_TOLD)
        self._own = OwnInFlight()
        self._others = PeerInFlight(self._observed)
        self.failures = 0

    def now_s(self) -> float:
        """Unix seconds."""
        return self._origin_s + self._clock()

    def seen(self, endpoints: Sequence[str]) -> ObservedViews:
        """Of ``endpoints`` up to now."""
        self._learn()
        places = {name: place for place, name in enumerate(endpoints)}
        return ObservedViews(places, self._observed.views(endpoints, self.now_s()))

    def begin(self, endpoint: str) -> None:
        """Note that a call to ``endpoint`` was sent."""
        self._waiting.append(endpoint)

    def report(self, outcome: AttemptOutcome, _exchange: Exchange) -> None:
        """Take in how a call ended."""
        self._waiting.append(outcome)
        if len(self._waiting) >= MOST_WAITING:
            self._learn()

    def take(self) -> tuple[list[OutcomeMessage], list[InFlightMessage]]:
        """What happened since the last call, for the other workers."""
        self._learn()
        now_s = self.now_s()
        self._others.forget(now_s)
        outcomes = [to_message(one, now_s) for one in self._untold]
        self._untold.clear()
        return outcomes, self._own.take(now_s)

    def hear(self, one: OutcomeMessage, at_s: float) -> None:
        """Count what another worker to_message at ``at_s``."""
        if at_s > self._began_s and self.now_s() - at_s > LATE_S:
            return
        self._learn()
        # It ends a call of the other's, not one of those that are counted as under way here.
        self._observed.begin(one.endpoint)
        self._observed.observe(from_message(one, at_s))

    def hear_under_way(self, sender: str, one: InFlightMessage, at_s: float) -> None:
        """Count the calls of another worker that were under way at ``at_s``."""
        self._others.hear(sender, one, at_s, self.now_s())

    def _learn(self) -> None:
        """From what has happened, in its order."""
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            try:
                if isinstance(event, AttemptOutcome):
                    self._own.end(event.endpoint)
                    self._end(event)
                else:
                    self._own.begin(event)
                    self._observed.begin(event)
            except Exception:
                self._fail()

    def _end(self, over: AttemptOutcome) -> None:
        found = None if over.stale else self._outcome(over)
        if found is None:
            self._observed.abandon(over.endpoint)
        else:
            self._observed.observe(found)
            self._untold.append(found)

    def _outcome(self, over: AttemptOutcome) -> AttemptObservation | None:
        known_us = int((self._origin_s + over.ended_s) * 1e6)
        found = judge_attempt(known_us, over.error_type, over.ttft_us, over.duration_us, over, served=True)
        return observation_of(found, over.endpoint, over.provider, over.stream, self._origin_s + over.began_s)

    def _fail(self) -> None:
        self.failures += 1
        if self.failures & (self.failures - 1) == 0:
            logger.exception("the end of a call was not learned from (%d times)", self.failures)
