"""Report each call to a provider once, when it has ended, to every listener."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from data.record.attempt import HEDGE, Attempt, AttemptEnd, AttemptOutcome
from router_service.core.exchange import Exchange

logger = logging.getLogger(__name__)


class OutcomeListener(Protocol):
    """Learn from calls, as health, live statistics, hedging and affinity do."""

    def report(self, outcome: AttemptOutcome, exchange: Exchange) -> None:
        """Record how a call ended."""


class OutcomeReporter:
    """Make one ``AttemptOutcome`` of each call. A failing listener affects neither the request nor other listeners.

    Each of ``on_begin`` is called with the endpoint when a call is sent. ``failures`` counts reports that raised an
    exception.
    """

    def __init__(self, listeners: Sequence[OutcomeListener], on_begin: Sequence[Callable[[str], None]] = ()) -> None:
        self._listeners = listeners
        self._on_begin = on_begin
        self.failures = 0

    def begin(self, exchange: Exchange, attempt: Attempt) -> None:
        """Record that ``attempt`` was sent. It is reported by ``settle`` at the latest."""
        exchange.route.open_attempts.append(attempt)
        for begin in self._on_begin:
            begin(attempt.endpoint)

    def end(
        self,
        exchange: Exchange,
        attempt: Attempt,
        ended: AttemptEnd,
        *,
        retry_after_s: float | None = None,
        stale: bool = False,
    ) -> None:
        """Report ``attempt`` unless it was reported before: a cancelled call may reach its own end later."""
        for place, one in enumerate(exchange.route.open_attempts):
            if one is attempt:
                del exchange.route.open_attempts[place]
                break
        else:
            return
        outcome = _make_outcome(exchange, attempt, ended, retry_after_s, stale)
        for listener in self._listeners:
            try:
                listener.report(outcome, exchange)
            except Exception:
                self.failures += 1
                if self.failures & (self.failures - 1) == 0:
                    logger.exception("a listener failed on the outcome of a call (%d times)", self.failures)

    def settle(self, exchange: Exchange) -> None:
        """Report the open calls of a request that is over: the one that served it, and any cancelled with it."""
        for attempt in tuple(exchange.route.open_attempts):
            self.end(exchange, attempt, _classify_end(exchange, attempt))


def _classify_end(exchange: Exchange, attempt: Attempt) -> AttemptEnd:
    outcome = exchange.outcome
    if outcome.cancelled or outcome.deadline_expired or attempt.endpoint != outcome.endpoint:
        return "abandoned"
    if attempt.error_type is not None:
        return "failed"
    return "answered" if outcome.complete else "abandoned"


def _make_outcome(
    exchange: Exchange, attempt: Attempt, ended: AttemptEnd, retry_after_s: float | None, stale: bool
) -> AttemptOutcome:
    spent_us = max(attempt.duration_us or 0, attempt.ttft_us or 0)
    request, caller, outcome = exchange.request, exchange.caller, exchange.outcome
    began_s = request.arrival_s + attempt.started_us / 1e6
    head, verdict = request.head, outcome.tool_call_verdict
    # At most one attempt serves a step, so only that one gets the response's usage.
    served = attempt.endpoint == outcome.endpoint
    usage = exchange.route.step.usage if served else None
    # In the order of the fields: keyword arguments of a struct of this many fields take nine times as long.
    return AttemptOutcome(
        attempt.endpoint,
        attempt.provider,
        attempt.model,
        ended,
        head is not None and head.stream,
        began_s,
        began_s + spent_us / 1e6 if spent_us else time.perf_counter(),
        attempt.error_type,
        attempt.ttft_us,
        attempt.duration_us,
        retry_after_s,
        stale,
        attempt.reason == HEDGE,
        caller.client_region if caller else None,
        outcome.cancelled,
        outcome.finish_reason if served else None,
        usage.prompt_tokens if usage else None,
        usage.cached_tokens if usage else None,
        usage.completion_tokens if usage else None,
        verdict.fault if served and verdict else None,
        served and verdict is not None,
    )
