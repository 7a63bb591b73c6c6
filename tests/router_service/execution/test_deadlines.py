"""Test deadlines: the request's limits precede the installation's, and measurements shorten both."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from data.catalogue.types import Endpoint
from data.record.attempt import Attempt
from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.core.plan import Plan
from router_service.core.preferences import parse_preferences
from router_service.execution.attempts import AttemptLoop
from router_service.execution.deadlines import (
    FALLBACK_P95_MULTIPLE,
    MIN_MEASURED,
    OWN_P90_MULTIPLE,
    AttemptDeadline,
    Deadlines,
    MeasuredDeadlines,
    Timeouts,
    TotalTimeoutExpired,
)
from router_service.execution.outcome_reporter import OutcomeReporter
from router_service.health import Health
from router_service.planning.make_plan import make_plan
from router_service.upstream.stall import StallWatch
from tests.conftest import Stack, open_stack
from tests.exchanges import parsed_exchange
from tests.market import PROFILE, endpoint, state
from tests.outcomes import answered, failed
from tests.router_service.execution.test_fallback import CHAT, body
from tests.running import until

A, B = "a:b", "b:b"
TIMEOUTS = Timeouts(ttft_s=30, answer_s=300, stall_s=60, total_s=600)


def discard(_answer: object) -> None:
    """Accept the response of a losing call, which these tests never have."""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def plan(provider: str = "{}") -> Plan:
    return make_plan("a/b", [endpoint("a"), endpoint("b")], parse_preferences(provider.encode()), PROFILE, state())


def asked(*, stream: bool = True, prompt: str = "hi") -> Exchange:
    raw = b'{"model": "a/b", "stream": %s, "messages": ["%s"]}' % (b"true" if stream else b"false", prompt.encode())
    return parsed_exchange(raw)


def deadlines(health: Health, clock: Clock, exchange: Exchange | None = None, **limits: float) -> Deadlines:
    return Deadlines(exchange or asked(), TIMEOUTS._replace(**limits), MeasuredDeadlines(health, clock))


def measured(**seconds: float) -> tuple[Health, Clock]:
    clock = Clock()
    health = Health(clock)
    for name, level in seconds.items():
        for _ in range(MIN_MEASURED):
            health.report(answered(f"{name}:b", level))
    return health, clock


def test_the_deadline_of_the_request_comes_first() -> None:
    limits = deadlines(*measured(a=0.1, b=0.1), ttft_s=9)
    assert limits.first_token(plan('{"ttft_timeout": 77}'), A, last=False) == AttemptDeadline(77)
    assert limits.first_token(plan('{"ttft_timeout": 0.01}'), A, last=True) == AttemptDeadline(0.01, from_client=True)


def test_a_deadline_is_the_clients_own_if_it_is_below_the_measured_one() -> None:
    limits = deadlines(*measured(a=1.0, b=3.0))
    found = [limits.first_token(plan(f'{{"ttft_timeout": {s}}}'), A, last=False).from_client for s in (5, 7, 29)]
    assert found == [True, False, False]


def test_measurements_shorten_the_deadline_but_never_below_the_minimum() -> None:
    limits = deadlines(*measured(a=1.0, b=3.0))
    assert limits.first_token(plan(), A, last=False).seconds == pytest.approx(FALLBACK_P95_MULTIPLE * 3.0, rel=0.05)
    assert limits.first_token(plan(), A, last=True).seconds == 30
    assert 2 <= deadlines(*measured(a=0.01, b=0.01)).first_token(plan(), A, last=False).seconds < 2.1
    long = deadlines(*measured(a=0.01, b=0.01), asked(prompt="x" * 40_000))
    assert long.first_token(plan(), A, last=False).seconds == pytest.approx(12, rel=0.01)


def test_an_endpoint_that_is_always_slow_gets_a_longer_deadline() -> None:
    limits = deadlines(*measured(a=1.0, b=3.0))
    assert limits.first_token(plan(), B, last=False).seconds == pytest.approx(OWN_P90_MULTIPLE * 3.0, rel=0.05)


def test_a_failing_endpoint_is_no_alternative() -> None:
    health, clock = measured(a=1.0, b=3.0)
    for _ in range(MIN_MEASURED):
        health.report(failed(B, "server"))
    assert deadlines(health, clock).first_token(plan(), A, last=False).seconds == 30


def test_without_measurements_the_setting_applies() -> None:
    for levels in ({}, {"a": 1.0}, {"b": 1.0}):
        assert deadlines(*measured(**levels)).first_token(plan(), A, last=False).seconds == 30
    assert deadlines(*measured(a=100.0, b=1.0)).first_token(plan(), A, last=False).seconds == 30


def test_a_non_streaming_response_has_its_own_deadline() -> None:
    limits = deadlines(*measured(a=1.0, b=1.0), asked(stream=False), answer_s=50, total_s=70)
    assert limits.first_token(plan(), A, last=False).seconds == 50
    assert limits.first_token(plan(), A, last=True).seconds == 70
    assert limits.first_token(plan('{"ttft_timeout": 3}'), A, last=False).seconds == 3


class Cut:
    """Offer a stream whose error is the result of ``cut``."""

    def __init__(self, cut: asyncio.Future[Exception]) -> None:
        self.abort = cut.set_result


def limits_of(total_s: float) -> Deadlines:
    return deadlines(*measured(a=1.0, b=1.0), total_s=total_s)


async def test_a_hanging_provider_is_cut_and_a_slow_reader_is_not() -> None:
    cut: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    watch = StallWatch(Cut(cut), 0.05, 60, limits_of(60))
    await asyncio.sleep(0.2)
    assert not cut.done()
    watch.waiting_since = time.perf_counter()
    assert "sent nothing" in str(await asyncio.wait_for(cut, 120))


async def test_chunks_reset_the_stall_timeout_and_the_total_timeout_ends_the_stream() -> None:
    cut: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
    watch = StallWatch(Cut(cut), 30, 0.1, limits_of(0.1))
    while not cut.done():
        watch.waiting_since = time.perf_counter()
        await asyncio.sleep(0.01)
    assert "0.1" in str(cut.result())


@pytest.mark.parametrize("stream", [False, True])
def test_the_ttft_timeout_of_the_request_falls_back(stack: Stack, stream: bool) -> None:
    stack.lab.modes["groq"] = {"mode": "hang"}
    with stack.client as client:
        answer = client.post(CHAT, json=body(stream, provider={"order": ["groq", "deepinfra"], "ttft_timeout": 2.0}))
        assert answer.status_code == 200
    assert "Deep Infra" in answer.text
    until(lambda: sum(stack.lab.cancelled.values()) == 1, "the hanging call is cancelled")


def test_a_stall_ends_the_stream_with_an_error_and_counts_against_the_endpoint(tmp_path: Path) -> None:
    with open_stack(tmp_path, stall_timeout=0.2) as stack, stack.client as client:
        stack.lab.modes["groq"] = {"mode": "stall"}
        request = body(True, user="one", provider={"order": ["groq", "deepinfra"]})
        text = client.post(CHAT, json=request).text
        rows = [client.post(CHAT, json=request).text for _ in range(2)]
        found = client.get("/api/v1/models/openai/gpt-oss-120b/endpoints").json()["data"]["endpoints"]
    assert '"finish_reason":"error"' in text
    assert '"error_type":"timeout"' in text
    assert text.endswith("data: [DONE]\n\n")
    assert all('"finish_reason":"error"' in row for row in rows)
    assert next(row for row in found if row["tag"] == "groq")["status"] == -5
    assert stack.lab.completed == {}
    assert {name.split(":")[0] for name in stack.lab.calls} == {"groq"}


@pytest.mark.parametrize("stream", [False, True])
async def test_the_total_timeout_covers_all_attempts_and_counts_against_no_endpoint_that_it_cut(stream: bool) -> None:
    health, clock = measured()
    exchange = asked(stream=stream)
    limits = deadlines(health, clock, exchange, total_s=1.5, ttft_s=1.0, answer_s=1.0)
    calls = []

    async def late(endpoint: Endpoint, _attempt: Attempt, timeout_s: float) -> None:
        calls.append(endpoint.id)
        await asyncio.sleep(timeout_s)
        raise ApiError("timeout", "late")

    attempts = AttemptLoop(exchange, health, limits, OutcomeReporter([health]))
    with pytest.raises(TotalTimeoutExpired) as caught:
        await attempts.run(iter([plan('{"order": ["a", "b"]}').sample(0.0)]), late, discard)
    assert calls == [A, B]
    assert [error["provider"] for error in caught.value.metadata["previous_errors"]] == ["a"]
    assert [health.counts(name, "30s").failure for name in (A, B)] == [1, 0]


@pytest.mark.parametrize("stream", [False, True])
def test_a_disconnect_before_the_first_token_cancels_the_provider_call(stack: Stack, stream: bool) -> None:
    stack.lab.modes["groq"] = {"mode": "hang"}
    with stack.send(body(stream, provider={"only": ["groq"], "ttft_timeout": 300})):
        until(lambda: stack.lab.calls, "the provider is called")
    until(lambda: sum(stack.lab.cancelled.values()) == 1, "the provider's call is closed")
    assert len(stack.lab.calls) == 1
