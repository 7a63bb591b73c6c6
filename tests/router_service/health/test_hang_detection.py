"""Test that an endpoint that hangs is ejected before its calls have failed, and a slow one is not."""

from __future__ import annotations

import contextlib
from pathlib import Path

import httpx2
import pytest

from router_service.cluster.journal import JournalTransport
from router_service.health import Health
from router_service.health.breaker import BASE_EJECTION_S
from router_service.health.hang_detection import MIN_LATE_CALLS, MIN_MEASURED, RESPONSE_FLOOR_S, STREAM_FLOOR_S
from router_service.health.tracked_calls import TrackedCall
from tests.conftest import Stack, open_stack
from tests.outcomes import answered, failed
from tests.peers import Clock, Worker
from tests.router_service.execution.test_fallback import CHAT, body
from tests.running import until

PAIR = ["e", "f"]
USUAL_S = 4.0


def measured(clock: Clock, *, stream: bool = True, usual_s: float = USUAL_S, count: int = MIN_MEASURED) -> Health:
    health = Health(clock)
    for _ in range(count):
        health.report(answered("e", usual_s, stream=stream))
    clock.now += 1
    return health


def begin_calls(
    health: Health, calls: int = MIN_LATE_CALLS, *, stream: bool = True, allowance_s: float = 0.0
) -> list[TrackedCall]:
    return [health.track("e", stream=stream, allowance_s=allowance_s) for _ in range(calls)]


def ejected_after(health: Health, clock: Clock, max_s: float = 1000.0) -> float | None:
    begun = clock.now
    while clock.now - begun < max_s:
        clock.now += 0.25
        health.refresh()
        if health.ejected(PAIR):
            return clock.now - begun
    return None


@pytest.mark.parametrize(("stream", "usual_s"), [(True, USUAL_S), (False, 60.0)])
def test_three_calls_past_twice_p99_are_a_hang(stream: bool, usual_s: float) -> None:
    clock = Clock()
    health = measured(clock, stream=stream, usual_s=usual_s)
    begin_calls(health, stream=stream)
    assert ejected_after(health, clock) == pytest.approx(2 * usual_s, rel=0.06)


def test_two_calls_or_an_endpoint_without_measurements_are_no_hang() -> None:
    clock = Clock()
    health = measured(clock)
    begin_calls(health, MIN_LATE_CALLS - 1)
    assert ejected_after(health, clock) is None
    few = measured(clock, count=MIN_MEASURED - 1)
    begin_calls(few)
    assert ejected_after(few, clock) is None


def test_streams_do_not_determine_the_limit_of_non_streaming_responses() -> None:
    clock = Clock()
    health = measured(clock)
    begin_calls(health, stream=False)
    assert ejected_after(health, clock) is None


def test_quick_endpoints_have_a_floor_and_long_prompts_an_allowance() -> None:
    clock = Clock()
    for stream, floor in ((True, STREAM_FLOOR_S), (False, RESPONSE_FLOOR_S)):
        health = measured(clock, stream=stream, usual_s=0.05)
        begin_calls(health, stream=stream)
        assert ejected_after(health, clock) == floor + 0.25
    health = measured(clock)
    begin_calls(health, allowance_s=30)
    assert ejected_after(health, clock) == pytest.approx(30 + 2 * USUAL_S, rel=0.06)


def test_an_endpoint_that_responds_to_other_calls_is_slow_and_does_not_hang() -> None:
    clock = Clock()
    health = measured(clock)
    for _ in range(200):
        clock.now += 1
        begin_calls(health, 1)
        health.untrack(health.track("e", stream=True), answered=True)
        health.refresh()
        assert health.ejected(PAIR) == frozenset()


def test_the_first_response_ends_the_ejection_which_is_not_counted() -> None:
    clock = Clock()
    health = measured(clock)
    calls = begin_calls(health)
    assert ejected_after(health, clock)
    health.untrack(calls[0], answered=True)
    assert health.ejected(PAIR) == frozenset()
    for call in calls[1:]:
        health.report(failed("e", "timeout", lasted_s=clock.now - call.began))
        health.untrack(call, answered=False)
    assert health.ejected(PAIR) == frozenset()
    clock.now += 1
    begin_calls(health)
    assert ejected_after(health, clock)
    clock.now += BASE_EJECTION_S
    health.refresh()
    assert health.ejected(PAIR) == frozenset()


def test_failures_of_calls_that_hung_do_not_count_against_the_probe() -> None:
    clock = Clock()
    health = measured(clock)
    calls = begin_calls(health)
    assert ejected_after(health, clock)
    clock.now += BASE_EJECTION_S
    assert health.try_acquire("e")
    probe = health.track("e", stream=True)
    for call in calls:
        health.report(failed("e", "timeout", lasted_s=clock.now - call.began))
        health.untrack(call, answered=False)
    health.untrack(probe, answered=True)
    assert health.ejected(PAIR) == frozenset()
    assert health.is_healthy("f")


def test_failures_of_calls_that_hung_do_not_eject_at_another_worker(tmp_path: Path) -> None:
    clock = Clock()
    one, other = (Worker(JournalTransport(tmp_path), clock=clock) for _ in range(2))
    for _ in range(MIN_MEASURED):
        one.health.report(answered("e", USUAL_S))
    clock.now += 1
    calls = begin_calls(one.health)
    assert ejected_after(one.health, clock)
    for worker in (one, other):
        worker.synchronise()
    assert other.health.ejected(PAIR) == {"e"}
    clock.now += BASE_EJECTION_S
    for worker in (one, other):
        worker.health.report(answered("e"))
    for call in calls:
        one.health.report(failed("e", "timeout", lasted_s=clock.now - call.began))
        one.health.untrack(call, answered=False)
    for worker in (one, other):
        worker.synchronise()
        assert worker.health.ejected(PAIR) == frozenset()
    assert other.health.counts("e", "30s").failure == MIN_LATE_CALLS
    for _ in range(MIN_LATE_CALLS):
        one.health.report(failed("e", "timeout"))
    for worker in (one, other):
        worker.synchronise()
        assert worker.health.ejected(PAIR) == {"e"}
    for worker in (one, other):
        worker.sharing.close()


def test_three_timeouts_or_five_failures_in_a_row_eject() -> None:
    for kind, needed in (("timeout", 3), ("server", 5)):
        health = Health(Clock())
        for _ in range(20):
            health.report(answered("e"))
        for _ in range(needed - 1):
            health.report(failed("e", kind))
        assert health.ejected(PAIR) == frozenset()
        health.report(failed("e", kind))
        assert health.ejected(PAIR) == {"e"}


def status(client: httpx2.Client, tag: str = "groq") -> int:
    found = client.get("/api/v1/models/openai/gpt-oss-120b/endpoints").json()["data"]["endpoints"]
    return int(next(row for row in found if row["tag"] == tag)["status"])


def ask(stack: Stack, **preferences: object) -> httpx2.Response:
    with stack.client as client:
        return client.post(CHAT, json=body(True, provider=preferences))


def test_a_hanging_endpoint_is_ejected_while_its_calls_wait_and_is_readmitted_later(tmp_path: Path) -> None:
    with (
        open_stack(tmp_path, ttft_timeout=60.0) as stack,
        stack.client as client,
        contextlib.ExitStack() as hanging,
    ):
        for _ in range(MIN_MEASURED):
            assert ask(stack, only=["groq"]).status_code == 200
        stack.lab.modes["groq"] = {"mode": "hang"}
        for _ in range(MIN_LATE_CALLS):
            hanging.enter_context(stack.send(body(True, provider={"only": ["groq"], "ttft_timeout": 60})))
        # There is no other traffic: a request to the other endpoint makes the router refresh its health.
        until(lambda: ask(stack, only=["deepinfra"]) and status(client) == -5, "the hanging endpoint is ejected", 15)
        assert not stack.lab.cancelled
        both = {"only": ["groq", "deepinfra"], "strategy": "price"}
        before = stack.lab.calls.total()
        # Few, for it comes back after some seconds.
        assert all("Deep Infra" in ask(stack, **both).text for _ in range(3))
        assert stack.lab.calls.total() - before == 3
        stack.lab.modes.clear()
        until(
            lambda: ask(stack, **both) and status(client) == 0,
            "it is readmitted while its old calls still hang",
            15,
        )
        assert not stack.lab.cancelled
