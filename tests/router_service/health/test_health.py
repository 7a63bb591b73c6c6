"""Breaker, rate limits, uptime and tiers, on a clock that the tests turn; what clients are shown of them."""

from __future__ import annotations

import openrouter
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.core.errors import ApiError
from router_service.core.exchange import Exchange
from router_service.execution.attempts import AttemptLoop
from router_service.execution.deadlines import AttemptDeadline, Deadlines, MeasuredDeadlines, Timeouts
from router_service.execution.outcome_reporter import OutcomeReporter
from router_service.health import Health
from router_service.health.breaker import (
    FIRST_EJECTION_S,
    LONGEST_EJECTION_S,
    PROBE_S,
    Breaker,
    Phase,
    spare_half,
)
from router_service.health.capacity import Capacity
from tests.conftest import House
from tests.router_service.planning.test_make_plan import A

CHAT = "/api/v1/chat/completions"
MODEL = "openai/gpt-oss-120b"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def failing(breaker: Breaker, now: float, times: int = 5) -> Breaker:
    for number in range(times):
        breaker.failure(now, 0, number + 1)
    return breaker


def test_five_failures_in_a_row_open_and_a_success_between_them_does_not() -> None:
    breaker = Breaker()
    for _ in range(4):
        breaker.failure(0, 100, 4)
    breaker.success(0)
    breaker.failure(0, 100, 5)
    assert breaker.phase(0) is Phase.CLOSED
    assert failing(Breaker(), 0).phase(0) is Phase.OPEN


def test_a_fifth_of_the_window_failing_opens_only_with_enough_requests() -> None:
    few, many = Breaker(), Breaker()
    few.failure(0, 5, 2)
    many.failure(0, 15, 5)
    assert (few.phase(0), many.phase(0)) == (Phase.CLOSED, Phase.OPEN)


def test_half_open_admits_one_probe_at_a_time() -> None:
    breaker = failing(Breaker(), 0)
    due = FIRST_EJECTION_S
    assert breaker.ejected(due - 0.1)
    assert breaker.phase(due) is Phase.HALF_OPEN
    assert not breaker.ejected(due)
    assert [breaker.claim(due) for _ in range(3)] == [True, False, False]
    assert breaker.ejected(due)
    breaker.release()
    assert [breaker.claim(due) for _ in range(2)] == [True, False]
    assert breaker.claim(due + PROBE_S)
    assert breaker.success(due + PROBE_S)
    assert breaker.phase(due + PROBE_S) is Phase.CLOSED


def test_ejections_grow_to_five_minutes_and_shrink_with_successes() -> None:
    breaker, now, lasted = failing(Breaker(), 0.0), 0.0, []
    for _ in range(9):
        lasted.append(breaker.until - now)
        now = breaker.until
        assert breaker.claim(now)
        breaker.failure(now, 0, 1)
    assert lasted == [5, 10, 20, 40, 80, 160, *[LONGEST_EJECTION_S] * 3]
    now = breaker.until
    breaker.success(now)
    for _ in range(6 * 20):
        breaker.success(now)
    assert failing(breaker, now).until - now == FIRST_EJECTION_S


def test_failures_of_before_an_ejection_do_not_open_it_again() -> None:
    breaker = Breaker()
    breaker.failure(0, 15, 15)
    breaker.success(6)
    breaker.failure(7, 16, 16)
    assert breaker.phase(7) is Phase.CLOSED


@given(
    st.lists(st.sampled_from("abcdefghij"), unique=True),
    st.dictionaries(st.sampled_from("abcdefghijk"), st.tuples(st.integers(1, 6), st.floats(0, 1))),
)
def test_never_more_than_half_are_ejected_and_the_worst_go_first(
    endpoints: list[str], wanting: dict[str, tuple[int, float]]
) -> None:
    ejected = spare_half(endpoints, wanting)
    wanted = [e for e in endpoints if e in wanting]
    assert len(ejected) == min(len(wanted), len(endpoints) // 2)
    assert ejected <= set(wanted)
    assert all(wanting[out] >= wanting[kept] for out in ejected for kept in wanted if kept not in ejected)


def test_retry_after_is_honoured_and_ends() -> None:
    clock = Clock()
    health = Health(clock)
    health.failure("e", "rate_limit_exceeded", 30.0)
    assert health.limited("e")
    clock.now += 29.9
    health.refresh()
    assert health.limited("e")
    clock.now += 0.3
    health.refresh()
    assert not health.limited("e")
    assert health.outages == frozenset()


def test_one_429_without_a_hint_is_chance_and_a_burst_backs_off_longer_each_time() -> None:
    capacity, now = Capacity(), 0.0
    capacity.rate_limited(now)
    assert capacity.retry_until == float("-inf")
    pauses = []
    for _ in range(8):
        # What comes during a pause was under way when it began.
        for _ in range(5):
            capacity.rate_limited(now)
        pauses.append(capacity.retry_until - now)
        now = capacity.retry_until
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    capacity.accepted()
    capacity.rate_limited(now + 100)
    assert capacity.retry_until == now


def test_the_burst_that_met_a_429_does_not_count_against_what_follows_it() -> None:
    clock = Clock()
    health = Health(clock)
    for _ in range(50):
        health.success("e", None, None)
    health.failure("e", "rate_limit_exceeded")
    assert health.limited("e")
    sent = 0
    for _ in range(29 * 4):
        clock.now += 0.25
        health.refresh()
        if not health.limited("e"):
            health.success("e", None, None)
            sent += 1
        assert sent <= 1 + 0.7 * 50 * (clock.now - 1000) / 30 * 1.1
    # Seven tenths of the rate that met it, and a little more as the cap grows back: spread, not in bursts.
    assert sent == pytest.approx(0.7 * 50, rel=0.15)


def test_the_cap_is_cut_once_per_burst_grows_by_a_constant_and_is_forgotten() -> None:
    capacity = Capacity()
    assert capacity.cap(0) is None
    for _ in range(10):
        if capacity.rate_limited(0.0):
            capacity.met(0.0, 100.0)
    assert capacity.cap(0.0) == pytest.approx(70)
    assert capacity.cap(150.0) == pytest.approx(85)
    assert capacity.cap(300.0) == pytest.approx(100)
    assert (capacity.limited(300.0, 100.0), capacity.limited(300.0, 99.0)) == (True, False)
    assert capacity.cap(1300.0) is None


def test_uptime_leaves_out_429s_and_the_clients_errors() -> None:
    health = Health(Clock())
    for _ in range(18):
        health.success("e", None, None)
    for kind in (
        "rate_limit_exceeded",
        "invalid_request",
        "payload_too_large",
        "permission_denied",
        "token_limit_exceeded",
    ):
        health.failure("e", kind)
    assert health.uptime("e", "5m") == 100.0
    health.failure("e", "provider_unavailable")
    health.failure("e", "timeout")
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
            health.failure("e", "server")
        else:
            health.success("e", None, None)
    for _ in range(failures):
        health.failure("e", "server")
    clock.now += 1
    health.refresh()
    assert health.tier("e") == tier


def test_a_quiet_endpoint_is_judged_again_within_a_minute() -> None:
    clock = Clock()
    health = Health(clock)
    for _ in range(100):
        health.failure("e", "server")
    health.refresh()
    assert (health.tier("e"), health.status("e")) == ("down", -5)
    clock.now += 1800
    for _ in range(60):
        clock.now += 1
        health.refresh()
    assert (health.tier("e"), health.status("e")) == ("insufficient", 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["success", "server", "rate_limit_exceeded", "invalid_request", "claim", "refresh"]),
        st.sampled_from([0.0, 0.1, 1.0, 7.0, 40.0, 400.0]),
        st.sampled_from([None, 0.0, 3.0]),
    ),
    max_size=80,
)


@given(STEPS)
def test_what_plans_depend_on_changes_only_with_the_epoch(steps: list[tuple[str, str, float, float | None]]) -> None:
    clock = Clock()
    health = Health(clock)
    seen: dict[int, object] = {}
    for name, what, gap, hint in steps:
        clock.now += gap
        if what == "success":
            health.success(name, 0.5, 50.0)
        elif what == "claim":
            health.claim(name)
        elif what == "refresh":
            health.refresh()
        else:
            health.failure(name, what, hint)
        ejected = health.ejected(["a", "b", "c"])
        assert len(ejected) <= 1
        standing = (health.outages, ejected, *((health.limited(e), health.tier(e)) for e in "abc"))
        assert seen.setdefault(health.epoch, standing) == standing


def test_a_recovering_endpoint_gets_one_probe_and_comes_back() -> None:
    clock = Clock()
    health = Health(clock)
    for _ in range(5):
        health.failure("a", "server")
    assert health.ejected(["a", "b"]) == {"a"}
    assert health.ejected(["a"]) == frozenset()
    clock.now += FIRST_EJECTION_S
    health.refresh()
    assert health.ejected(["a", "b"]) == frozenset()
    assert [health.claim("a"), health.claim("a"), health.claim("b")] == [True, False, True]
    assert health.ejected(["a", "b"]) == {"a"}
    health.success("a", 0.2, None)
    assert health.ejected(["a", "b"]) == frozenset()


def test_an_outage_keeps_nobody_from_the_probe_and_after_a_good_one_counts_anew() -> None:
    clock = Clock()
    health = Health(clock)
    for _ in range(7):
        health.failure("a", "server")
    assert health.outages == {"a"}
    clock.now += FIRST_EJECTION_S
    health.refresh()
    assert (health.outages, health.ejected(["a", "b"])) == (frozenset(), frozenset())
    assert health.claim("a")
    health.success("a", None, None)
    for _ in range(5):
        clock.now += 1
        health.refresh()
        assert health.outages == frozenset()
    assert health.counts("a", "30s").failure == 7
    health.failure("a", "server")
    assert health.outages == frozenset()
    health.failure("a", "server")
    assert health.outages == {"a"}


def test_a_probe_that_fails_puts_the_outage_back() -> None:
    clock = Clock()
    health = Health(clock)
    for _ in range(7):
        health.failure("a", "server")
    clock.now += FIRST_EJECTION_S
    assert health.claim("a")
    health.failure("a", "server")
    assert health.outages == {"a"}
    assert health.ejected(["a", "b"]) == {"a"}


async def test_the_attempt_passes_the_providers_retry_after_on() -> None:
    health = Health(Clock())

    async def call(*_: object) -> None:
        raise ApiError("rate_limit_exceeded", "slower", retry_after=9.0)

    exchange = Exchange(b"", {})
    deadlines = Deadlines(exchange, Timeouts(30.0, 300.0, 60.0, 600.0), MeasuredDeadlines(health))
    with pytest.raises(ApiError):
        await AttemptLoop(exchange, health, deadlines, OutcomeReporter([health])).attempt(A, AttemptDeadline(9.0), call)
    assert health.limited(A.id)


def test_clients_see_live_statistics_and_speeds_need_a_key(house: House) -> None:
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "provider": {"only": ["groq"]},
    }
    with house.client as client:
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
    with openrouter.OpenRouter(api_key=house.key, server_url=f"{house.url}/api/v1") as sdk:
        offers = sdk.endpoints.list(author="openai", slug="gpt-oss-120b").data.endpoints
    assert next(o for o in offers if o.tag == "groq").latency_last_30m.p90 > 0
