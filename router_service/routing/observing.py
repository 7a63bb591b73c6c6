"""What calls come to, known to the next plan: this worker's as they end, and what other workers tell of theirs.

By the rule that the log is read by (``models.selection.as_of``), so that a policy is served what it was trained on.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence

from data.schema import Attempt
from models.selection.as_of import Answer, come_to, outcome
from models.selection.observed import Observed
from models.selection.outcome import Outcome
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


class Observing:
    """Of one worker. No method raises: what is learned of a call must not cost the call. ``failures`` counts what was
    not learned for it. Times are Unix seconds by a clock that is never set: ``clock`` gives seconds from any origin,
    and is that of ``Exchange.clock``. Used from one thread.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._origin_s = time.time() - clock()
        self._began_s = self.now_s()
        self._observed = Observed()
        self._untold: deque[Outcome] = deque(maxlen=MOST_TOLD)
        self._own = Own()
        self._others = Others(self._observed)
        self.failures = 0

    def now_s(self) -> float:
        """Unix seconds."""
        return self._origin_s + self._clock()

    def seen(self, endpoints: Sequence[str]) -> Seen:
        """Of ``endpoints`` up to now."""
        places = {name: place for place, name in enumerate(endpoints)}
        return Seen(places, self._observed.views(endpoints, self.now_s()))

    def begin(self, exchange: Exchange, attempt: Attempt) -> None:
        """``attempt`` is on its way."""
        try:
            exchange.under_way.append(attempt)
            self._observed.begin(attempt.endpoint)
            self._own.begin(attempt.endpoint)
        except Exception:
            self._fail()

    def end(self, exchange: Exchange, attempt: Attempt, *, stale: bool = False) -> None:
        """``attempt`` is over, as far as it is noted; ``stale`` if it met a connection that had been ended.

        Told once: a call that was cut may come to its own end later.
        """
        try:
            if _close(exchange, attempt):
                self._own.end(attempt.endpoint)
                self._tell(attempt.endpoint, None if stale else self._come_to(exchange, attempt))
        except Exception:
            self._fail()

    def settle(self, exchange: Exchange) -> None:
        """The request is over, and with it whatever of it is still under way."""
        for attempt in list(exchange.under_way):
            self.end(exchange, attempt)

    def take(self) -> tuple[list[Told], list[UnderWay]]:
        """What happened since the last call, for the other workers."""
        now_s = self.now_s()
        self._others.forget(now_s)
        outcomes = [told(one, now_s) for one in self._untold]
        self._untold.clear()
        return outcomes, self._own.take(now_s)

    def hear(self, one: Told, at_s: float) -> None:
        """Count what another worker told at ``at_s``."""
        if at_s > self._began_s and self.now_s() - at_s > LATE_S:
            return
        # It ends a call of the other's, not one of those that are counted as under way here.
        self._observed.begin(one.endpoint)
        self._observed.observe(heard(one, at_s))

    def hear_under_way(self, sender: str, one: UnderWay, at_s: float) -> None:
        """Count the calls of another worker that were under way at ``at_s``."""
        self._others.hear(sender, one, at_s, self.now_s())

    def _come_to(self, exchange: Exchange, attempt: Attempt) -> Outcome | None:
        stream = bool(exchange.head and exchange.head.stream)
        spent_us = max(attempt.duration_us or 0, attempt.ttft_us or 0)
        ended_s = exchange.clock + (attempt.started_us + spent_us) / 1e6 if spent_us else self._clock()
        usage, verdict = exchange.usage, exchange.verdict
        answer = Answer(
            stream,
            exchange.cancelled,
            usage.completion_tokens if usage else None,
            exchange.finish_reason,
            verdict.fault if verdict else None,
        )
        # Of a request one attempt is answered at most; those that were cut for it say so themselves.
        found = come_to(
            int((self._origin_s + ended_s) * 1e6),
            attempt.error_type,
            attempt.ttft_us,
            attempt.duration_us,
            answer,
            served=attempt.endpoint == exchange.endpoint,
        )
        return outcome(found, attempt.endpoint, attempt.provider, stream)

    def _tell(self, endpoint: str, one: Outcome | None) -> None:
        if one is None:
            self._observed.abandon(endpoint)
        else:
            self._observed.observe(one)
            self._untold.append(one)

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
