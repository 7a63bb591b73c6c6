"""Test breaker, rate limits, uptime and tiers on a simulated clock, and the statistics that clients are shown."""

from __future__ import annotations

import openrouter
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.core.errors import ApiError
from router_service.execution.attempts import AttemptLoop
from router_service.execution.deadlines import AttemptDeadline, Deadlines, MeasuredDeadlines, Timeouts
from router_service.execution.outcome_reporter import OutcomeReporter
from router_service.health import Health
from router_service.health.breaker import (
    BASE_EJECTION_S,
    MAX_EJECTION_S,
    PROBE_S,
    Breaker,
    BreakerState,
    limit_ejections,
)
from router_service.health.capacity import Capacity
from tests.conftest import Stack
from tests.exchanges import exchange_of
from tests.outcomes import answered, failed
from tests.peers import Clock
from tests.router_service.planning.test_make_plan import A

CHAT = "/api/v1/chat/completions"
MODEL = "openai/gpt-oss-120b"


def failing(breaker: Breaker, now: float, times: int = 5) -> Breaker:
    for number in range(times):
        breaker.record_failure(now, 0, number + 1)
    return breaker


def test_five_consecutive_failures_open_the_breaker_and_a_success_between_them_prevents_it() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker.record_failure(0, 100, 4)
    breaker.record_success(0)
    breaker.record_failure(0, 100, 5)
    assert breaker.state(0) is BreakerState.CLOSED
    assert failing(Breaker(), 0).state(0) is BreakerState.OPEN


def test_a_failure_share_above_a_fifth_opens_the_breaker_only_with_enough_requests() -> None:
    few, many = Breaker(), Breaker()
    few.record_failure(0, 5, 2)
    many.record_failure(0, 15, 5)
    assert (few.state(0), many.state(0)) == (BreakerState.CLOSED, BreakerState.OPEN)


def test_half_open_admits_one_probe_at_a_time() -> None:
    breaker = failing(Breaker(), 0)
    due = BASE_EJECTION_S
    assert breaker.ejected(due - 0.1)
    assert breaker.state(due) is BreakerState.HALF_OPEN
    assert not breaker.ejected(due)
    assert [breaker.try_acquire(due) for _ in range(3)] == [True, False, False]
    assert breaker.ejected(due)
    breaker.release_probe()
    assert [breaker.try_acquire(due) for _ in range(2)] == [True, False]
    assert breaker.try_acquire(due + PROBE_S)
    assert breaker.record_success(due + PROBE_S)
    assert breaker.state(due + PROBE_S) is BreakerState.CLOSED


def test_ejections_double_up_to_five_minutes_and_shorten_with_successes() -> None:
    breaker, now, lasted = failing(Breaker(), 0.0), 0.0, []
    for _ in range(9):
        lasted.append(breaker.until - now)
        now = breaker.until
        assert breaker.try_acquire(now)
        breaker.record_failure(now, 0, 1)
    assert lasted == [5, 10, 20, 40, 80, 160, *[MAX_EJECTION_S] * 3]
    now = breaker.until
    breaker.record_success(now)
    for _ in range(6 * 20):
        breaker.record_success(now)
    assert failing(breaker, now).until - now == BASE_EJECTION_S


def test_failures_before_an_ejection_do_not_open_the_breaker_again() -> None:
    breaker = Breaker()
    breaker.record_failure(0, 15, 15)
    breaker.record_success(6)
    breaker.record_failure(7, 16, 16)
    assert breaker.state(7) is BreakerState.CLOSED


@given(
    st.lists(st.sampled_from("abcdefghij"), unique=True),
    st.dictionaries(st.sampled_from("abcdefghijk"), st.tuples(st.integers(1, 6), st.floats(0, 1))),
)
def test_at_most_half_are_ejected_and_the_worst_first(
    endpoints: list[str], candidates: dict[str, tuple[int, float]]
) -> None:
    ejected = limit_ejections(endpoints, candidates)
    present = [e for e in endpoints if e in candidates]
    assert len(ejected) == min(len(present), len(endpoints) // 2)
    assert ejected <= set(present)
    assert all(candidates[out] >= candidates[kept] for out in ejected for kept in present if kept not in ejected)


def test_retry_after_is_honoured_until_it_ends() -> None:
    clock = Clock()
    health = Health(clock)
    health.report(failed("e", "rate_limit_exceeded", 30.0))
    assert health.limited("e")
    clock.now += 29.9
    health.refresh()
    assert health.limited("e")
    clock.now += 0.3
    health.refresh()
    assert not health.limited("e")
    assert health.outages == frozenset()


def test_one_429_without_retry_after_has_no_effect_and_repeated_ones_double_the_pause() -> None:
    capacity, now = Capacity(), 0.0
    capacity.record_429(now)
    assert capacity.retry_until == float("-inf")
    pauses = []
    for _ in range(8):
        # A 429 that comes during a pause belongs to a call that began before it.
        for _ in range(5):
            capacity.record_429(now)
        pauses.append(capacity.retry_until - now)
        now = capacity.retry_until
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    capacity.record_accepted()
    capacity.record_429(now + 100)
    assert capacity.retry_until == now


def test_the_burst_before_a_429_does_not_count_against_the_calls_after_it() -> None:
    clock = Clock()
    health = Health(clock)
    for _ in range(50):
        health.report(answered("e"))
    health.report(failed("e", "rate_limit_exceeded"))
    assert health.limited("e")
    sent = 0
    for _ in range(29 * 4):
        clock.now += 0.25
        health.refresh()
        if not health.limited("e"):
            health.report(answered("e"))
            sent += 1
        assert sent <= 1 + 0.7 * 50 * (clock.now - 1000) / 30 * 1.1
    # Seven tenths of the rate before it, and a little more as the cap grows again: spread, not in bursts.
    assert sent == pytest.approx(0.7 * 50, rel=0.15)


def test_the_cap_decreases_once_for_each_burst_then_grows_linearly_and_is_forgotten() -> None:
    capacity = Capacity()
    assert capacity.cap(0) is None
    for _ in range(10):
        if capacity.record_429(0.0):
            capacity.decrease(0.0, 100.0)
    assert capacity.cap(0.0) == pytest.approx(70)
    assert capacity.cap(150.0) == pytest.approx(85)
    assert capacity.cap(300.0) == pytest.approx(100)
    assert (capacity.limited(300.0, 100.0), capacity.limited(300.0, 99.0)) == (True, False)
    assert capacity.cap(1300.0) is None


def test_uptime_excludes_429s_and_client_errors() -> None:
    health = Health(Clock())
    for _ in range(18):
        health.report(answered("e"))
    for kind in (
        "rate_limit_exceeded",
        "invalid_request",
        "payload_too_large",
        "permission_denied",
        "token_limit_exceeded",
    ):
        health.report(failed("e", kind))
    assert health.uptime("e", "5m") == 100.0
    health.report(failed("e", "provider_unavailable"))
    health.report(failed("e", "timeout"))
    for window in ("5m", "30m", "1d"):
        assert health.uptime("e", window) == 90.0
    assert health.uptime("never called", "1d") is None


@pytest.mark.parametrize(
    ("successes", "failures", "tier"),
    [(99, 0, "insufficient"), (95, 5, "good"), (94, 6, "degraded"), (80, 20, "degraded"), (79, 21, "down")],
)
def test_tiers_follow_the_references_bands(successes: int, failures: int, tier: str) -> None:
    clock = Clock()
    health = Health(clock)
    for number in range(successes + failures):
        clock.now += 2
        if number % 5 == 4 and failures:
            failures -= 1
            health.report(failed("e", "server"))
        else:
            health.report(answered("e"))
    for _ in range(failures):
        health.report(failed("e", "server"))
    clock.now += 1
    health.refresh()
    assert health.uptime_tier("e") == tier


def test_an_endpoint_without_traffic_is_graded_again_within_a_minute() -> None:
    clock = Clock()
    health = Health(clock)
    for _ in range(100):
        health.report(failed("e", "server"))
    health.refresh()
    assert (health.uptime_tier("e"), health.status("e")) == ("down", -5)
    clock.now += 1800
    for _ in range(60):
        clock.now += 1
        health.refresh()
    assert (health.uptime_tier("e"), health.status("e")) == ("insufficient", 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["success", "server", "rate_limit_exceeded", "invalid_request", "acquire", "refresh"]),
        st.sampled_from([0.0, 0.1, 1.0, 7.0, 40.0, 400.0]),
        st.sampled_from([None, 0.0, 3.0]),
    ),
    max_size=80,
)


@given(STEPS)
def test_the_state_that_plans_depend_on_changes_only_with_the_epoch(
    steps: list[tuple[str, str, float, float | None]],
) -> None:
    clock = Clock()
    health = Health(clock)
    states: dict[int, object] = {}
    for name, what, gap, hint in steps:
        clock.now += gap
        if what == "success":
            health.report(answered(name, 0.5, 50.0))
        elif what == "acquire":
            health.try_acquire(name)
        elif what == "refresh":
            health.refresh()
        else:
            health.report(failed(name, what, hint))
        ejected = health.ejected(["a", "b", "c"])
        assert len(ejected) <= 1
        state = (health.outages, ejected, *((health.limited(e), health.uptime_tier(e)) for e in "abc"))
        assert states.setdefault(health.epoch, state) == state


def test_a_recovering_endpoint_gets_one_probe_and_is_readmitted_by_its_success() -> None:
    clock = Clock()
    health = Health(clock)
    for _ in range(5):
        health.report(failed("a", "server"))
    assert health.ejected(["a", "b"]) == {"a"}
    assert health.ejected(["a"]) == frozenset()
    clock.now += BASE_EJECTION_S
    health.refresh()
    assert health.ejected(["a", "b"]) == frozenset()
    assert [health.try_acquire("a"), health.try_acquire("a"), health.try_acquire("b")] == [True, False, True]
    assert health.ejected(["a", "b"]) == {"a"}
    health.report(answered("a", 0.2))
    assert health.ejected(["a", "b"]) == frozenset()


def test_an_outage_does_not_prevent_the_probe_and_a_good_probe_restarts_its_count() -> None:
    clock = Clock()
    health = Health(clock)
    for _ in range(7):
        health.report(failed("a", "server"))
    assert health.outages == {"a"}
    clock.now += BASE_EJECTION_S
    health.refresh()
    assert (health.outages, health.ejected(["a", "b"])) == (frozenset(), frozenset())
    assert health.try_acquire("a")
    health.report(answered("a"))
    for _ in range(5):
        clock.now += 1
        health.refresh()
        assert health.outages == frozenset()
    assert health.counts("a", "30s").failure == 7
    health.report(failed("a", "server"))
    assert health.outages == frozenset()
    health.report(failed("a", "server"))
    assert health.outages == {"a"}


def test_a_failed_probe_restores_the_outage() -> None:
    clock = Clock()
    health = Health(clock)
    for _ in range(7):
        health.report(failed("a", "server"))
    clock.now += BASE_EJECTION_S
    assert health.try_acquire("a")
    health.report(failed("a", "server"))
    assert health.outages == {"a"}
    assert health.ejected(["a", "b"]) == {"a"}


async def test_an_attempt_reports_the_providers_retry_after() -> None:
    health = Health(Clock())

    async def call(*_: object) -> None:
        raise ApiError("rate_limit_exceeded", "slower", retry_after=9.0)

    exchange = exchange_of()
    deadlines = Deadlines(exchange, Timeouts(30.0, 300.0, 60.0, 600.0), MeasuredDeadlines(health))
    with pytest.raises(ApiError):
        await AttemptLoop(exchange, health, deadlines, OutcomeReporter([health])).attempt(A, AttemptDeadline(9.0), call)
    assert health.limited(A.id)


def test_clients_see_live_statistics_but_speeds_only_with_a_key(stack: Stack) -> None:
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "provider": {"only": ["groq"]},
    }
    with stack.client as client:
        for _ in range(10):
            assert client.post(CHAT, json=body).status_code == 200
        rows = client.get(f"/api/v1/models/{MODEL}/endpoints").json()["data"]["endpoints"]
        client.headers.pop("authorization")
        public = client.get(f"/api/v1/models/{MODEL}/endpoints").json()["data"]["endpoints"]
    groq = next(r for r in rows if r["tag"] == "groq")
    assert (groq["status"], groq["uptime_last_5m"], groq["uptime_last_1d"]) == (0, 100.0, 100.0)
    assert 5 <= groq["latency_last_30m"]["p50"] <= groq["latency_last_30m"]["p99"]
    assert groq["throughput_last_30m"]["p50"] >= groq["throughput_last_30m"]["p99"] > 0
    idle = next(r for r in rows if r["tag"] != "groq")
    assert (idle["uptime_last_30m"], idle["latency_last_30m"], idle["throughput_last_30m"]) == (None, None, None)
    hidden = next(r for r in public if r["tag"] == "groq")
    assert (hidden["uptime_last_5m"], hidden["latency_last_30m"]) == (100.0, None)
    with openrouter.OpenRouter(api_key=stack.key, server_url=f"{stack.url}/api/v1") as sdk:
        offers = sdk.endpoints.list(author="openai", slug="gpt-oss-120b").data.endpoints
    assert next(o for o in offers if o.tag == "groq").latency_last_30m.p90 > 0
