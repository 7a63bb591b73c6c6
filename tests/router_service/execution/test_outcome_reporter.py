"""Test that each call to a provider is reported exactly once to every listener, with the end that it had."""

from __future__ import annotations

import logging
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.record.attempt import CLIENT_DEADLINE, HEDGE, LOST, Attempt, AttemptEnd, AttemptOutcome
from router_service.core.caller import Caller
from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.core.preferences import parse_preferences
from router_service.core.route_trace import RouteStep
from router_service.core.tool_calls import ToolCallVerdict
from router_service.core.usage import Usage
from router_service.execution.attempts import AttemptLoop
from router_service.execution.deadlines import Deadlines, MeasuredDeadlines, Timeouts
from router_service.execution.outcome_reporter import OutcomeReporter
from router_service.health import Health
from router_service.planning.constraints import NO_CONSTRAINTS
from router_service.planning.make_plan import make_plan
from router_service.upstream.transport import DeadlineMissed, StaleConnection
from tests.exchanges import parsed_exchange
from tests.market import PROFILE, endpoint, state

TIMEOUTS = Timeouts(ttft_s=30, answer_s=300, stall_s=60, total_s=600)
BODY = b'{"model": "a/b", "stream": true, "messages": ["hi"]}'


class Recorder:
    """Record the calls that begin and the outcomes that are reported."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.outcomes: list[AttemptOutcome] = []

    def begin(self, endpoint: str) -> None:
        self.begun.append(endpoint)

    def report(self, outcome: AttemptOutcome, _exchange: Exchange) -> None:
        self.outcomes.append(outcome)

    def ends(self) -> list[tuple[str, AttemptEnd]]:
        return [(outcome.endpoint, outcome.ended) for outcome in self.outcomes]


class Broken:
    """Fail on every report."""

    def report(self, outcome: AttemptOutcome, exchange: Exchange) -> None:
        raise ZeroDivisionError


def request() -> Exchange:
    return parsed_exchange(BODY)


def sent(reporter: OutcomeReporter, exchange: Exchange, name: str, reason: str = "sampled") -> Attempt:
    """Return an attempt at endpoint ``name`` whose start is reported."""
    attempt = Attempt(name, name.partition(":")[0], "a/b", reason=reason)
    exchange.route.attempts.append(attempt)
    reporter.begin(exchange, attempt)
    return attempt


def served(exchange: Exchange, attempt: Attempt, *, complete: bool = True) -> None:
    """Mark ``attempt`` as the one whose response the client gets."""
    outcome = exchange.outcome
    outcome.endpoint, outcome.complete = attempt.endpoint, complete
    outcome.finish_reason = "stop"
    exchange.route.step.usage = outcome.usage = Usage(100, 20, 60)
    attempt.ttft_us, attempt.duration_us = 500_000, 2_000_000


def test_a_served_call_is_answered_with_its_figures() -> None:
    recorder = Recorder()
    reporter, exchange = OutcomeReporter([recorder], [recorder.begin]), request()
    attempt = sent(reporter, exchange, "a:b")
    served(exchange, attempt)
    exchange.outcome.tool_call_verdict = ToolCallVerdict(2, "invalid_json")
    exchange.caller = Caller("k", NO_CONSTRAINTS, "eu")
    assert recorder.begun == ["a:b"]
    assert recorder.outcomes == []
    reporter.settle(exchange)
    assert recorder.outcomes == [
        AttemptOutcome(
            endpoint="a:b",
            provider="a",
            model="a/b",
            ended="answered",
            stream=True,
            began_s=exchange.request.arrival_s,
            ended_s=exchange.request.arrival_s + 2.0,
            ttft_us=500_000,
            duration_us=2_000_000,
            client_region="eu",
            finish_reason="stop",
            prompt_tokens=100,
            cached_tokens=60,
            completion_tokens=20,
            tool_call_fault="invalid_json",
            judged_tool_calls=True,
        )
    ]


@pytest.mark.parametrize(
    ("change", "end"),
    [
        ({}, "answered"),
        ({"complete": False}, "abandoned"),
        ({"cancelled": True}, "abandoned"),
        ({"complete": False, "cancelled": True}, "abandoned"),
        ({"deadline_expired": True}, "abandoned"),
        ({"endpoint": "other:b"}, "abandoned"),
        ({"endpoint": None}, "abandoned"),
    ],
)
@pytest.mark.parametrize("error_type", [None, "provider_unavailable"])
def test_settling_classifies_the_open_call(change: dict[str, object], end: str, error_type: str | None) -> None:
    """An error counts against the endpoint only if neither the client nor its deadline ended the call."""
    recorder = Recorder()
    reporter, exchange = OutcomeReporter([recorder], [recorder.begin]), request()
    attempt = sent(reporter, exchange, "a:b")
    served(exchange, attempt)
    attempt.error_type = error_type
    for name, value in change.items():
        setattr(exchange.outcome, name, value)
    reporter.settle(exchange)
    interrupted = end == "abandoned" and change != {"complete": False}
    expected = "failed" if error_type and not interrupted else end
    assert recorder.ends() == [("a:b", expected)]
    assert recorder.outcomes[0].cancelled is exchange.outcome.cancelled


def test_a_call_is_reported_with_the_usage_of_its_own_step() -> None:
    recorder = Recorder()
    reporter, exchange = OutcomeReporter([recorder]), request()
    served(exchange, sent(reporter, exchange, "a:b"))
    reporter.settle(exchange)
    exchange.route.earlier_steps, exchange.route.step = (exchange.route.step,), RouteStep(1)
    served(exchange, sent(reporter, exchange, "a:b"))
    exchange.outcome.usage = Usage(200, 40, 120)
    reporter.settle(exchange)
    assert [(outcome.prompt_tokens, outcome.completion_tokens) for outcome in recorder.outcomes] == [(100, 20)] * 2


def test_a_hedged_pair_is_reported_as_lost_and_answered_and_only_the_winner_has_tokens() -> None:
    recorder = Recorder()
    reporter, exchange = OutcomeReporter([recorder], [recorder.begin]), request()
    first, hedge = sent(reporter, exchange, "a:b"), sent(reporter, exchange, "c:d", HEDGE)
    first.error_type, first.duration_us = LOST, 700_000
    reporter.end(exchange, first, "lost")
    served(exchange, hedge)
    reporter.settle(exchange)
    assert recorder.ends() == [("a:b", "lost"), ("c:d", "answered")]
    assert [outcome.hedge for outcome in recorder.outcomes] == [False, True]
    assert [outcome.prompt_tokens for outcome in recorder.outcomes] == [None, 100]


def test_a_call_is_reported_once_however_often_it_ends() -> None:
    recorder = Recorder()
    reporter, exchange = OutcomeReporter([recorder], [recorder.begin]), request()
    attempt, twin = sent(reporter, exchange, "a:b"), sent(reporter, exchange, "a:b")
    # The two attempts are equal, so identity decides.
    assert attempt == twin
    reporter.end(exchange, attempt, "failed", retry_after_s=3.0, stale=True)
    reporter.end(exchange, attempt, "answered")
    assert recorder.ends() == [("a:b", "failed")]
    assert (recorder.outcomes[0].retry_after_s, recorder.outcomes[0].stale) == (3.0, True)
    reporter.settle(exchange)
    reporter.settle(exchange)
    assert recorder.ends() == [("a:b", "failed"), ("a:b", "abandoned")]
    assert exchange.route.open_attempts == []


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_failing_listener_affects_neither_the_request_nor_other_listeners(
    order: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    before, after = Recorder(), Recorder()
    listeners = [before, Broken(), after]
    reporter, exchange = OutcomeReporter([listeners[place] for place in order], [before.begin, after.begin]), request()
    for name in ("a:b", "c:d", "e:f"):
        reporter.end(exchange, sent(reporter, exchange, name), "failed")
    assert before.ends() == after.ends() == [("a:b", "failed"), ("c:d", "failed"), ("e:f", "failed")]
    assert before.begun == after.begun == ["a:b", "c:d", "e:f"]
    assert reporter.failures == 3
    # Only powers of two are logged, so that a broken listener cannot fill the disk.
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(("failed", "abandoned", "lost", None))), max_size=8))
def test_every_listener_gets_each_call_exactly_once(calls: list[tuple[str, AttemptEnd | None]]) -> None:
    """Leave the calls with the end ``None`` open until the request is settled."""
    recorders = [Recorder(), Recorder()]
    reporter, exchange = OutcomeReporter(recorders, [recorder.begin for recorder in recorders]), request()
    attempts = [(sent(reporter, exchange, name), end) for name, end in calls]
    for attempt, end in reversed(attempts):
        if end is not None:
            reporter.end(exchange, attempt, end)
    reporter.settle(exchange)
    expected = [(attempt.endpoint, end) for attempt, end in reversed(attempts) if end is not None]
    expected += [(attempt.endpoint, "abandoned") for attempt, end in attempts if end is None]
    assert [recorder.ends() for recorder in recorders] == [expected, expected]
    assert [recorder.begun for recorder in recorders] == [[name for name, _ in calls]] * 2


@pytest.mark.parametrize(
    ("provider", "error", "end", "error_type"),
    [
        ("{}", ApiError("rate_limit_exceeded", "slow down", retry_after=7.0), "failed", "rate_limit_exceeded"),
        ("{}", ApiError("invalid_request", "too long"), "failed", "invalid_request"),
        ("{}", DeadlineMissed("no token"), "failed", "timeout"),
        ('{"ttft_timeout": 0.5}', DeadlineMissed("no token"), "abandoned", CLIENT_DEADLINE),
        ('{"ttft_timeout": 0.5}', ApiError("timeout", "a gateway's"), "failed", "timeout"),
        ('{"ttft_timeout": 300}', DeadlineMissed("no token"), "failed", "timeout"),
    ],
)
async def test_the_attempt_loop_reports_each_failure(provider: str, error: ApiError, end: str, error_type: str) -> None:
    recorder, exchange, health = Recorder(), request(), Health()
    reporter = OutcomeReporter([recorder], [recorder.begin])
    attempts = AttemptLoop(exchange, health, Deadlines(exchange, TIMEOUTS, MeasuredDeadlines(health)), reporter)
    plan = make_plan("a/b", [endpoint("a")], parse_preferences(provider.encode()), PROFILE, state())

    async def fail(*_: object) -> None:
        raise error

    with pytest.raises(ApiError):
        await attempts.run(iter([plan.sample(0.0)]), fail, lambda _response: None)
    reporter.settle(exchange)
    assert [(one.ended, one.error_type, one.retry_after_s) for one in recorder.outcomes] == [
        (end, error_type, error.retry_after)
    ]


async def test_a_stale_connection_and_its_retry_are_two_calls() -> None:
    recorder, exchange, health = Recorder(), request(), Health()
    reporter = OutcomeReporter([recorder], [recorder.begin])
    attempts = AttemptLoop(exchange, health, Deadlines(exchange, TIMEOUTS, MeasuredDeadlines(health)), reporter)
    plan = make_plan("a/b", [endpoint("a")], parse_preferences(b"{}"), PROFILE, state())

    async def stale_once(*_: object) -> str:
        if len(exchange.route.attempts) < 2:
            raise StaleConnection
        return "response"

    assert await attempts.run(iter([plan.sample(0.0)]), stale_once, lambda _response: None) == "response"
    served(exchange, exchange.route.attempts[-1])
    reporter.settle(exchange)
    assert [(one.ended, one.stale) for one in recorder.outcomes] == [("abandoned", True), ("answered", False)]
    assert recorder.begun == ["a:b", "a:b"]
