"""What calls come to, known to the next plan: this worker's as they end, and what other workers tell of theirs.

By the rule that the log is read by (``models.selection.dataset.point_in_time``), so that a policy is served what it was
trained on.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from data.schema import Attempt
from models.selection.decision.live_observations import LiveObservations
from models.selection.decision.outcome import AttemptObservation, judge_attempt, observation_of
from router_service.exchange import Exchange
from router_service.routing.sharing.messages import Told, UnderWay
from router_service.routing.sharing.outcomes import heard, told
from router_service.routing.state import Seen
from router_service.routing.under_way import Others, Own

logger = logging.getLogger(__name__)

# Of one exchange with other workers, a quarter of a second; beyond it the newest are told.
MOST_TOLD = 400
# What others tell later than that says nothing of now, unless it is from before this worker began.
LATE_S = 30.0
# Beginnings and ends of calls that wait to be learned from: one after the other they cost a third of what each costs
# between two requests, and so many take less than a millisecond.
MOST_WAITING = 64


class Over(msgspec.Struct, gc=False):
    """A call at its end, as far as it is noted: what may change or be large is not kept. Its times by ``clock``."""

    endpoint: str
    provider: str
    began_s: float
    ended_s: float
    error: str | None
    ttft_us: int | None
    duration_us: int | None
    served: bool
    stream: bool
    cancelled: bool
    completion_tokens: int | None
    finish_reason: str | None
    tool_call_fault: str | None
    stale: bool


class Observing:
    """Of one worker. No method raises: what is learned of a call must not cost the call. ``failures`` counts what was
    not learned for it. Times are Unix seconds by a clock that is never set: ``clock`` gives seconds from any origin,
    and is that of ``Exchange.clock``. Used from one thread.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._origin_s = time.time() - clock()
        self._began_s = self.now_s()
        self._observed = LiveObservations()
        # What has happened since it was last learned from: a call to an endpoint began, or one was over.
        self._waiting: list[str | Over] = []
        self._untold: deque[AttemptObservation] = deque(maxlen=MOST_TOLD)
        self._own = Own()
        self._others = Others(self._observed)
        self.failures = 0

    def now_s(self) -> float:
        """Unix seconds."""
        return self._origin_s + self._clock()

    def seen(self, endpoints: Sequence[str]) -> Seen:
        """Of ``endpoints`` up to now."""
        self._learn()
        places = {name: place for place, name in enumerate(endpoints)}
        return Seen(places, self._observed.views(endpoints, self.now_s()))

    def begin(self, exchange: Exchange, attempt: Attempt) -> None:
        """``attempt`` is on its way."""
        exchange.under_way.append(attempt)
        self._waiting.append(attempt.endpoint)

    def end(self, exchange: Exchange, attempt: Attempt, *, stale: bool = False) -> None:
        """``attempt`` is over, as far as it is noted; ``stale`` if it met a connection that had been ended.

        Told once: a call that was cut may come to its own end later.
        """
        try:
            if _close(exchange, attempt):
                self._waiting.append(self._over(exchange, attempt, stale))
        except Exception:
            self._fail()
        if len(self._waiting) >= MOST_WAITING:
            self._learn()

    def settle(self, exchange: Exchange) -> None:
        """The request is over, and with it whatever of it is still under way."""
        for attempt in tuple(exchange.under_way):
            self.end(exchange, attempt)

    def take(self) -> tuple[list[Told], list[UnderWay]]:
        """What happened since the last call, for the other workers."""
        self._learn()
        now_s = self.now_s()
        self._others.forget(now_s)
        outcomes = [told(one, now_s) for one in self._untold]
        self._untold.clear()
        return outcomes, self._own.take(now_s)

    def hear(self, one: Told, at_s: float) -> None:
        """Count what another worker told at ``at_s``."""
        if at_s > self._began_s and self.now_s() - at_s > LATE_S:
            return
        self._learn()
        # It ends a call of the other's, not one of those that are counted as under way here.
        self._observed.begin(one.endpoint)
        self._observed.observe(heard(one, at_s))

    def hear_under_way(self, sender: str, one: UnderWay, at_s: float) -> None:
        """Count the calls of another worker that were under way at ``at_s``."""
        self._others.hear(sender, one, at_s, self.now_s())

    def _over(self, exchange: Exchange, attempt: Attempt, stale: bool) -> Over:
        spent_us = max(attempt.duration_us or 0, attempt.ttft_us or 0)
        usage, verdict, head = exchange.usage, exchange.verdict, exchange.head
        began_s = exchange.clock + attempt.started_us / 1e6
        return Over(
            attempt.endpoint,
            attempt.provider,
            began_s,
            began_s + spent_us / 1e6 if spent_us else self._clock(),
            attempt.error_type,
            attempt.ttft_us,
            attempt.duration_us,
            # Of a request one attempt is answered at most; those that were cut for it say so themselves.
            attempt.endpoint == exchange.endpoint,
            head is not None and head.stream,
            exchange.cancelled,
            usage.completion_tokens if usage else None,
            exchange.finish_reason,
            verdict.fault if verdict else None,
            stale,
        )

    def _learn(self) -> None:
        """From what has happened, in its order."""
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            try:
                if isinstance(event, Over):
                    self._own.end(event.endpoint)
                    self._end(event)
                else:
                    self._own.begin(event)
                    self._observed.begin(event)
            except Exception:
                self._fail()

    def _end(self, over: Over) -> None:
        found = None if over.stale else self._outcome(over)
        if found is None:
            self._observed.abandon(over.endpoint)
        else:
            self._observed.observe(found)
            self._untold.append(found)

    def _outcome(self, over: Over) -> AttemptObservation | None:
        known_us = int((self._origin_s + over.ended_s) * 1e6)
        found = judge_attempt(known_us, over.error, over.ttft_us, over.duration_us, over, served=over.served)
        return observation_of(found, over.endpoint, over.provider, over.stream, self._origin_s + over.began_s)

    def _fail(self) -> None:
        self.failures += 1
        if self.failures & (self.failures - 1) == 0:
            logger.exception("the end of a call was not learned from (%d times)", self.failures)


def _close(exchange: Exchange, attempt: Attempt) -> bool:
    for place, one in enumerate(exchange.under_way):
        if one is attempt:
            del exchange.under_way[place]
            return True
    return False
