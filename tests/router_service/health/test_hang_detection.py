"""An endpoint that has stopped answering is left before its calls have failed; one that is slow is not."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from router_service.cluster.journal import JournalTransport
from router_service.health import Health
from router_service.health.breaker import FIRST_EJECTION_S
from router_service.health.hang_detection import CALLS, LEAST_MEASURED, STREAM_FLOOR_S, WHOLE_FLOOR_S
from router_service.health.tracked_calls import TrackedCall
from tests.conftest import House, open_house
from tests.peers import Clock, Worker
from tests.router_service.execution.test_fallback import CHAT, body
from tests.running import until

PAIR = ["e", "f"]
USUAL_S = 4.0


def measured(clock: Clock, *, stream: bool = True, usual_s: float = USUAL_S, count: int = LEAST_MEASURED) -> Health:
    health = Health(clock)
    for _ in range(count):
        health.success("e", usual_s if stream else None, None, whole_s=None if stream else usual_s)
    clock.now += 1
    return health


def waiting(health: Health, calls: int = CALLS, *, stream: bool = True, allowance_s: float = 0.0) -> list[TrackedCall]:
    return [health.track("e", stream=stream, allowance_s=allowance_s) for _ in range(calls)]


def left_after(health: Health, clock: Clock, most_s: float = 1000.0) -> float | None:
    begun = clock.now
    while clock.now - begun < most_s:
        clock.now += 0.25
        health.refresh()
        if health.ejected(PAIR):
            return clock.now - begun
    return None


@pytest.mark.parametrize(("stream", "usual_s"), [(True, USUAL_S), (False, 60.0)])
def test_three_calls_past_twice_p99_are_silence(stream: bool, usual_s: float) -> None:
    clock = Clock()
    health = measured(clock, stream=stream, usual_s=usual_s)
    waiting(health, stream=stream)
    assert left_after(health, clock) == pytest.approx(2 * usual_s, rel=0.06)


def test_two_calls_or_calls_never_measured_are_not() -> None:
    clock = Clock()
    health = measured(clock)
    waiting(health, CALLS - 1)
    assert left_after(health, clock) is None
    few = measured(clock, count=LEAST_MEASURED - 1)
    waiting(few)
    assert left_after(few, clock) is None


def test_streams_say_nothing_of_whole_answers() -> None:
    clock = Clock()
    health = measured(clock)
    waiting(health, stream=False)
    assert left_after(health, clock) is None


def test_the_quick_have_a_floor_and_long_prompts_their_time() -> None:
    clock = Clock()
    for stream, floor in ((True, STREAM_FLOOR_S), (False, WHOLE_FLOOR_S)):
        health = measured(clock, stream=stream, usual_s=0.05)
        waiting(health, stream=stream)
        assert left_after(health, clock) == floor + 0.25
    health = measured(clock)
    waiting(health, allowance_s=30)
    assert left_after(health, clock) == pytest.approx(30 + 2 * USUAL_S, rel=0.06)


def test_an_endpoint_that_answers_others_is_slow_and_not_silent() -> None:
    clock = Clock()
    health = measured(clock)
    for _ in range(200):
        clock.now += 1
        waiting(health, 1)
        health.untrack(health.track("e", stream=True), answered=True)
        health.refresh()
        assert health.ejected(PAIR) == frozenset()


def test_the_first_answer_ends_it_and_leaves_no_mark() -> None:
    clock = Clock()
    health = measured(clock)
    calls = waiting(health)
    assert left_after(health, clock)
    health.untrack(calls[0], answered=True)
    assert health.ejected(PAIR) == frozenset()
    for call in calls[1:]:
        health.failure("e", "timeout", began=call.began)
        health.untrack(call, answered=False)
    assert health.ejected(PAIR) == frozenset()
    clock.now += 1
    waiting(health)
    assert left_after(health, clock)
    clock.now += FIRST_EJECTION_S
    health.refresh()
    assert health.ejected(PAIR) == frozenset()


def test_calls_that_hung_before_say_nothing_about_the_probe() -> None:
    clock = Clock()
    health = measured(clock)
    calls = waiting(health)
    assert left_after(health, clock)
    clock.now += FIRST_EJECTION_S
    assert health.claim("e")
    probe = health.track("e", stream=True)
    for call in calls:
        health.failure("e", "timeout", began=call.began)
        health.untrack(call, answered=False)
    health.untrack(probe, answered=True)
    assert health.ejected(PAIR) == frozenset()
    assert health.sound("f")


def test_nor_to_another_worker_that_hears_of_them(tmp_path: Path) -> None:
    clock = Clock()
    one, other = (Worker(JournalTransport(tmp_path), clock=clock) for _ in range(2))
    for _ in range(LEAST_MEASURED):
        one.health.success("e", USUAL_S, None)
    clock.now += 1
    calls = waiting(one.health)
    assert left_after(one.health, clock)
    for worker in (one, other):
        worker.synchronise()
    assert other.health.ejected(PAIR) == {"e"}
    clock.now += FIRST_EJECTION_S
    for worker in (one, other):
        worker.health.success("e", None, None)
    for call in calls:
        one.health.failure("e", "timeout", began=call.began)
        one.health.untrack(call, answered=False)
    for worker in (one, other):
        worker.synchronise()
        assert worker.health.ejected(PAIR) == frozenset()
    assert other.health.counts("e", "30s").failure == CALLS
    for _ in range(CALLS):
        one.health.failure("e", "timeout")
    for worker in (one, other):
        worker.synchronise()
        assert worker.health.ejected(PAIR) == {"e"}
    for worker in (one, other):
        worker.sharing.close()


def test_three_timeouts_or_five_failures_in_a_row_eject() -> None:
    for kind, needed in (("timeout", 3), ("server", 5)):
        health = Health(Clock())
        for _ in range(20):
            health.success("e", None, None)
        for _ in range(needed - 1):
            health.failure("e", kind)
        assert health.ejected(PAIR) == frozenset()
        health.failure("e", kind)
        assert health.ejected(PAIR) == {"e"}


def status(client: httpx2.Client, tag: str = "groq") -> int:
    found = client.get("/api/v1/models/openai/gpt-oss-120b/endpoints").json()["data"]["endpoints"]
    return int(next(row for row in found if row["tag"] == tag)["status"])


def ask(house: House, **preferences: object) -> httpx2.Response:
    with house.client as client:
        return client.post(CHAT, json=body(True, provider=preferences))


def test_a_hang_is_left_while_its_calls_still_wait_and_the_endpoint_comes_back(tmp_path: Path) -> None:
    with open_house(tmp_path, ttft_timeout=60.0) as house, house.client as client, ExitStack() as hanging:
        for _ in range(LEAST_MEASURED):
            assert ask(house, only=["groq"]).status_code == 200
        house.lab.modes["groq"] = {"mode": "hang"}
        for _ in range(CALLS):
            hanging.enter_context(house.send(body(True, provider={"only": ["groq"], "ttft_timeout": 500})))
        # Nothing else goes on meanwhile: a request for the other endpoint makes the router look.
        until(lambda: ask(house, only=["deepinfra"]) and status(client) == -5, "the silent endpoint is left")
        assert not house.lab.cancelled
        both = {"only": ["groq", "deepinfra"], "strategy": "price"}
        before = house.lab.calls.total()
        # Few, for it comes back after some seconds.
        assert all("Deep Infra" in ask(house, **both).text for _ in range(3))
        assert house.lab.calls.total() - before == 3
        house.lab.modes.clear()
        until(lambda: ask(house, **both) and status(client) == 0, "it is back, its old calls notwithstanding")
        assert not house.lab.cancelled
