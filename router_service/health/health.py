"""What a router process knows of its endpoints' health."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from data.record.attempt import AttemptOutcome
from models.selection.decision.outcome import UNINFORMATIVE_ERRORS
from router_service.core.exchange import Exchange
from router_service.health import tiers
from router_service.health.breaker import spare_half
from router_service.health.capacity import LONGEST_RETRY_AFTER_S
from router_service.health.distance import Distances
from router_service.health.endpoint_health import EndpointHealth
from router_service.health.hang_detection import is_hanging
from router_service.health.messages import HealthReport, QualitySums
from router_service.health.percentiles import MeasuredPercentiles, SpeedWindow
from router_service.health.plan_state import PlanState, per_minute
from router_service.health.quality import NO_QUALITY
from router_service.health.tiers import Tier
from router_service.health.tracked_calls import AwaitingCalls, TrackedCall
from router_service.health.windows import (
    FAILURE,
    KINDS,
    RATE_LIMITED,
    SUCCESS,
    UNCOUNTED,
    Counts,
    WindowName,
)

INTERVAL_S = 0.25
# Endpoints without traffic change tier as windows pass: all are graded again in this many seconds, a part in each.
GRADING_S = 60
RECENT_S = 30.0
# One after the other they cost half of what each costs between two requests; so many take a fraction of a millisecond.
MOST_WAITING = 64
_NONE: frozenset[str] = frozenset()
# Endpoint, when, TTFT, throughput, client region, time of a whole answer: as ``Health.success`` takes them.
_Answer = tuple[str, float, float | None, float | None, str | None, float | None]


class _Answers:
    """Good ones of one endpoint in one second: how many, and when the last of them ended."""

    __slots__ = ("count", "last", "state")

    def __init__(self, state: EndpointHealth) -> None:
        self.state = state
        self.count = 0
        self.last = 0.0


class Health:
    """Endpoints by id. What ``outages``, ``ejected``, ``limited`` and ``tier`` say changes only when ``epoch`` moves,
    so a plan holds for as long as the epoch does. Used from one thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._endpoints: dict[str, EndpointHealth] = {}
        self._order: list[EndpointHealth] = []
        self._standing = PlanState()
        self._distances = Distances()
        self._fresh: list[EndpointHealth] = []
        self._ungraded: set[EndpointHealth] = set()
        self._unsent: set[EndpointHealth] = set()
        self._at_work: set[EndpointHealth] = set()
        # Good answers of endpoints that nothing is held against, and what answers used, to be counted together.
        self._waiting: list[_Answer] = []
        self._used: list[tuple[str, float, int, int, int]] = []
        self._next_graded = 0
        self._due = self._grading_due = float("-inf")

    @property
    def epoch(self) -> int:
        return self._standing.epoch

    @property
    def outages(self) -> frozenset[str]:
        """Endpoints with a significant outage in the last 30 s."""
        return self._standing.outages

    def success(
        self,
        endpoint: str,
        ttft_s: float | None,
        tokens_per_s: float | None,
        client_region: str | None = None,
        whole_s: float | None = None,
    ) -> None:
        """Count a good answer; TTFT and throughput (tokens a second) of a stream where they were measured, or the
        time that an answer sent whole took. Times in seconds.
        """
        now = self._clock()
        self._waiting.append((endpoint, now, ttft_s, tokens_per_s, client_region, whole_s))
        if endpoint in self._standing.watched or len(self._waiting) >= MOST_WAITING:
            self._catch_up()

    def failure(
        self, endpoint: str, error_type: str, retry_after: float | None = None, began: float | None = None
    ) -> None:
        """Count a failed call by its ``error_type``; ``retry_after`` is the provider's wish in seconds, ``began`` the
        second of this clock at which the call went out.
        """
        self._catch_up()
        now = self._clock()
        second = int(now)
        if error_type == "rate_limit_exceeded":
            state = self._count(endpoint, RATE_LIMITED, now)
            state.breaker.release()
            if retry_after is not None:
                waited_s = LONGEST_RETRY_AFTER_S if retry_after > LONGEST_RETRY_AFTER_S else retry_after
                (state.quality or state.quality_at(second)).waited(waited_s, second)
            counts = state.windows.totals("30s", second)
            if state.capacity.rate_limited(now, retry_after):
                state.capacity.met(now, per_minute(counts.accepted))
        elif error_type in UNINFORMATIVE_ERRORS:
            state = self._count(endpoint, UNCOUNTED, now)
            state.capacity.accepted()
            state.breaker.release()
            if endpoint not in self._standing.watched:
                return
            counts = state.windows.totals("30s", second)
        else:
            state = self._count(endpoint, FAILURE, now)
            counts = state.windows.totals("30s", second)
            if began is not None and state.breaker.outdated(began):
                state.unsent_outdated += 1
            else:
                late = error_type == "timeout"
                state.unsent_timeouts += late
                state.breaker.failure(now, counts.success, counts.failure, timeouts=late)
            if retry_after is not None:
                state.capacity.hold(now, retry_after)
        self._standing.review(state, now, counts)

    def begin(self, endpoint: str) -> None:
        """Ignore what was sent: calls under way are followed by ``track``."""

    def report(self, outcome: AttemptOutcome, _exchange: Exchange | None = None) -> None:
        """Count how a call ended, and what its response used. This is the one inlet of the request path."""
        endpoint = outcome.endpoint
        if outcome.ended == "answered":
            self._answered(outcome)
        elif outcome.ended == "failed":
            # A stream that broke says something about now, whenever it began.
            began = None if outcome.ttft_us else self._clock() - (outcome.ended_s - outcome.began_s)
            self.failure(endpoint, outcome.error_type or "server", outcome.retry_after_s, began)
        elif outcome.ended == "lost":
            self.outlasted(endpoint, (outcome.duration_us or 0) / 1e6, stream=outcome.stream)
        else:
            self.abandon(endpoint)
        if outcome.prompt_tokens:
            cached = min(outcome.cached_tokens or 0, outcome.prompt_tokens)
            self.used(endpoint, outcome.prompt_tokens, cached, outcome.completion_tokens or 0)
        if outcome.judged_tool_calls:
            self.tool_calls(endpoint, outcome.tool_call_fault is not None)

    def _answered(self, outcome: AttemptOutcome) -> None:
        first_s = (outcome.ttft_us or 0) / 1e6
        if not outcome.stream:
            self.success(outcome.endpoint, None, None, whole_s=first_s)
            return
        tokens, duration_us = outcome.completion_tokens, outcome.duration_us
        # Without usage the rate of tokens is unknown; with a count of 0 it is 0.
        rate = tokens / duration_us * 1e6 if tokens is not None and duration_us else None
        self.success(outcome.endpoint, first_s, rate, outcome.client_region)

    def track(self, endpoint: str, *, stream: bool, allowance_s: float = 0.0) -> TrackedCall:
        """Follow a call from now until ``untrack``; ``allowance_s`` is what its prompt takes everywhere."""
        now = self._clock()
        state = self._endpoints.get(endpoint) or self._new(endpoint, now)
        call = TrackedCall(endpoint, now, allowance_s, stream)
        waiting = state.waiting
        if waiting is None:
            waiting = state.waiting = AwaitingCalls()
        waiting.calls.add(call)
        self._at_work.add(state)
        return call

    def untrack(self, call: TrackedCall, *, answered: bool) -> None:
        """``call`` has its first token or its whole answer, or, not ``answered``, will have none."""
        state = self._endpoints[call.endpoint]
        waiting = state.waiting
        assert waiting is not None  # made by ``track``
        waiting.calls.discard(call)
        if answered:
            waiting.answered_at = now = self._clock()
            if state.breaker.answered(now):
                self._review(state, now)

    def used(self, endpoint: str, prompt: int, cached: int, completion: int) -> None:
        """Count the tokens of an answer; ``prompt`` tokens hold the ``cached`` ones."""
        self._used.append((endpoint, self._clock(), prompt, cached, completion))
        if len(self._used) >= MOST_WAITING:
            self._catch_up()

    def tool_calls(self, endpoint: str, malformed: bool) -> None:
        """Count an answer that ended with tool calls, one of them malformed or all as they should be."""
        now = self._clock()
        state = self._endpoints.get(endpoint) or self._new(endpoint, now)
        state.quality_at(int(now)).tool_calls(malformed, int(now))
        self._tell(state)

    def abandon(self, endpoint: str) -> None:
        """A call ended without an outcome, cancelled by its client: the next may probe."""
        state = self._standing.watched.get(endpoint)
        if state is not None:
            state.breaker.release()
            self._review(state, self._clock())

    def outlasted(self, endpoint: str, waited_s: float, *, stream: bool) -> None:
        """A call that gave no first token in ``waited_s`` was cut for another's: neither success nor failure.

        The true wait is longer by an unknown time. It is counted as what is known of it, the longer of ``waited_s``
        and the running mean: leaving it out would make an endpoint look quick whose slow calls are always cut.
        """
        state = self._known(endpoint)
        if state is None:
            return
        second = int(self._clock())
        if stream:
            state.add_ttft(max(waited_s, state.ttft_s or 0.0), second)
        else:
            state.add_answer(waited_s, second)

    def sound(self, endpoint: str) -> bool:
        """Whether nothing is held against it now: no outage, limit or ejection, and not on its way back from one."""
        state = self._standing.watched.get(endpoint)
        if state is None:
            return True
        return not (state.breaker.tripped or endpoint in self._standing.outages or endpoint in self._standing.limited)

    def claim(self, endpoint: str) -> bool:
        """To be asked right before each call. False while another call probes a recovering endpoint: try the next."""
        state = self._standing.watched.get(endpoint)
        if state is None:
            return True
        now = self._clock()
        allowed = state.breaker.claim(now)
        self._review(state, now)
        return allowed

    def ejected(self, endpoints: Sequence[str]) -> frozenset[str]:
        """Those of a model's ``endpoints`` to be left alone: never more than half of them, the worst first."""
        ejecting = self._standing.ejecting
        return spare_half(endpoints, ejecting) if ejecting else _NONE

    def limited(self, endpoint: str) -> bool:
        """Whether a call would come before Retry-After or above the learned cap: to be made last of all."""
        return endpoint in self._standing.limited

    def tier(self, endpoint: str) -> Tier:
        """By uptime; at most a second old for an endpoint with traffic, a minute for one without."""
        return self._standing.tiers.get(endpoint, "insufficient")

    def status(self, endpoint: str) -> int:
        """The public status code, see ``tiers``; the gravest that holds."""
        standing, tier = self._standing, self.tier(endpoint)
        if endpoint in standing.ejecting:
            return tiers.STATUS_EJECTED
        if endpoint in standing.limited:
            return tiers.STATUS_LIMITED
        if tier == "down":
            return tiers.STATUS_DOWN
        return tiers.STATUS_DEGRADED if tier == "degraded" or endpoint in standing.outages else tiers.STATUS_NORMAL

    def counts(self, endpoint: str, window: WindowName) -> Counts:
        """Requests of ``window``, of this worker and of those it hears from."""
        state = self._known(endpoint)
        return state.windows.totals(window, int(self._clock())) if state else Counts(*[0] * KINDS)

    def uptime(self, endpoint: str, window: WindowName) -> float | None:
        """Percent, successful ÷ (successful + failed) of ``window``; ``None`` when there were too few."""
        return tiers.uptime(self.counts(endpoint, window))

    def quality(self, endpoint: str) -> QualitySums:
        """Tool calls, tokens and waits, of this worker and of those it hears from."""
        state = self._known(endpoint)
        return state.quality.sums(int(self._clock())) if state and state.quality else NO_QUALITY

    def ttft(self, endpoint: str) -> float | None:
        """Seconds, a running mean."""
        state = self._known(endpoint)
        return state.ttft_s if state else None

    def throughput(self, endpoint: str) -> float | None:
        """Tokens a second, a running mean."""
        state = self._known(endpoint)
        return state.tokens_per_s if state else None

    def distance(self, endpoint: str, client_region: str | None) -> float:
        """What the endpoint's wait is to be multiplied by for clients from there; of this worker's streamed answers."""
        self._catch_up()
        return self._distances.factor(endpoint, client_region)

    def latency_percentiles(self, endpoint: str, window: SpeedWindow, least: int = 1) -> MeasuredPercentiles | None:
        """TTFT in seconds, of this worker's streamed answers; ``None`` when there were fewer than ``least``."""
        state = self._known(endpoint)
        return state.latency.percentiles(window, int(self._clock()), least) if state and state.latency else None

    def waits(self, endpoint: str, percents: Sequence[int], least: int, *, stream: bool) -> list[float] | None:
        """Seconds that each of ``percents`` of this worker's calls of 30 minutes did not exceed, to the first token of
        a stream or to the end of a whole answer; ``None`` when there were fewer than ``least``.
        """
        state = self._known(endpoint)
        waits = state.first_tokens(stream=stream) if state else None
        return waits.levels("30m", int(self._clock()), percents, least) if waits else None

    def throughput_percentiles(self, endpoint: str, window: SpeedWindow) -> MeasuredPercentiles | None:
        """Tokens a second, of this worker's streamed answers; ``p90`` is what 90 % of them reached."""
        state = self._known(endpoint)
        if state is None or state.throughput is None:
            return None
        return state.throughput.percentiles(window, int(self._clock()), highest_first=True)

    def refresh(self) -> int:
        """Let end what time ends, grade again what has changed; returns ``epoch``. Almost free between intervals."""
        now = self._clock()
        if now >= self._due:
            self._due = now + INTERVAL_S
            self._catch_up()
            self._listen(now)
            self._standing.review_watched(now)
            if now >= self._grading_due:
                self._grading_due = now + 1.0
                self._sort_fresh()
                self._standing.grade(self._to_grade(), now)
        return self._standing.epoch

    def take(self, now: float) -> list[HealthReport]:
        """What happened since the last call, for the other workers."""
        self._catch_up()
        self._sort_fresh()
        self._unsent.update(s for s in self._standing.watched.values() if s.breaker.probe_until(now))
        reports = [state.report(now) for state in self._unsent]
        self._unsent.clear()
        return reports

    def hear(self, report: HealthReport, at: float, now: float) -> None:
        """Count what another worker saw until ``at``, and follow its ejections and holds."""
        self._catch_up()
        state = self._endpoints.get(report.endpoint) or self._new(report.endpoint, now)
        state.windows.merge(report.counts, int(at), int(now))
        state.capacity.sent(sum(report.counts))
        if report.quality is not None:
            state.quality_at(int(now)).merge(report.quality, int(at), int(now))
        self._ungraded.add(state)
        breaker, capacity = state.breaker, state.capacity
        counts = state.windows.totals("30s", int(now))
        breaker.adopt(report.ejected_until, report.ejections, now)
        if report.probe_until > now:
            breaker.leave_probe(report.probe_until, now)
        capacity.adopt(report.retry_until, now)
        if now - at < RECENT_S:
            if report.success:
                capacity.accepted()
                breaker.success(now, report.success)
            failures = report.failure - report.outdated
            if failures > 0:
                breaker.failure(now, counts.success, counts.failure, failures, min(report.timeouts, failures))
            if report.rate_limited and capacity.rate_limited(now):
                capacity.met(now, per_minute(counts.accepted))
        self._standing.review(state, now, counts)

    def _listen(self, now: float) -> None:
        """Eject those that have fallen is_hanging, and let the other workers know."""
        for state in tuple(self._at_work):
            if state.waiting is None or not state.waiting.calls:
                self._at_work.discard(state)
            elif not state.breaker.tripped and is_hanging(state, now):
                state.breaker.fall_silent(now)
                self._tell(state)
                self._review(state, now)

    def _known(self, endpoint: str) -> EndpointHealth | None:
        """Up to now; ``None`` when there was never a call."""
        self._catch_up()
        return self._endpoints.get(endpoint)

    def _catch_up(self) -> None:
        """Count what waits; of an endpoint and a second together, since most of it is."""
        if self._used:
            self._count_used()
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        together: dict[tuple[str, int], _Answers] = {}
        for endpoint, now, ttft_s, tokens_per_s, client_region, whole_s in waiting:
            second = int(now)
            answers = together.get((endpoint, second))
            if answers is None:
                state = self._endpoints.get(endpoint) or self._new(endpoint, now)
                answers = together[endpoint, second] = _Answers(state)
            state = answers.state
            answers.count += 1
            answers.last = now
            if ttft_s is not None:
                state.add_ttft(ttft_s, second)
                self._distances.add(endpoint, client_region, ttft_s)
            if tokens_per_s is not None:
                state.add_throughput(tokens_per_s, second)
            if whole_s is not None:
                state.add_answer(whole_s, second)
        for (endpoint, _), answers in together.items():
            state = self._count(endpoint, SUCCESS, answers.last, answers.count)
            state.capacity.accepted()
            if state.breaker.success(answers.last, answers.count):
                self._review(state, answers.last)

    def _count_used(self) -> None:
        used, self._used = self._used, []
        together: dict[tuple[str, int], list[int]] = {}
        for endpoint, now, prompt, cached, completion in used:
            sums = together.get((endpoint, int(now)))
            if sums is None:
                sums = together[endpoint, int(now)] = [0, 0, 0, 0]
            sums[0] += 1
            sums[1] += prompt
            sums[2] += cached
            sums[3] += completion
        for (endpoint, second), (answers, prompt, cached, completion) in together.items():
            state = self._endpoints.get(endpoint) or self._new(endpoint, second)
            state.quality_at(second).used(answers, prompt, cached, completion, second)
            self._tell(state)

    def _count(self, endpoint: str, kind: int, now: float, count: int = 1) -> EndpointHealth:
        state = self._endpoints.get(endpoint) or self._new(endpoint, now)
        state.windows.add(kind, int(now), count)
        state.capacity.sent(count)
        self._tell(state)
        return state

    def _tell(self, state: EndpointHealth) -> None:
        """Look at ``state`` at the next occasion, and tell the other workers."""
        if not state.fresh:
            state.fresh = True
            self._fresh.append(state)

    def _new(self, endpoint: str, now: float) -> EndpointHealth:
        state = self._endpoints[endpoint] = EndpointHealth(endpoint, int(now))
        self._order.append(state)
        return state

    def _review(self, state: EndpointHealth, now: float) -> None:
        self._standing.review(state, now, state.windows.totals("30s", int(now)))

    def _sort_fresh(self) -> None:
        for state in self._fresh:
            state.fresh = False
        self._ungraded.update(self._fresh)
        self._unsent.update(self._fresh)
        self._fresh.clear()

    def _to_grade(self) -> set[EndpointHealth]:
        states, self._ungraded = self._ungraded, set()
        share = -(-len(self._order) // GRADING_S)
        states.update(self._order[self._next_graded : self._next_graded + share])
        self._next_graded = self._next_graded + share if self._next_graded + share < len(self._order) else 0
        return states
