"""Test that windows of tool calls, tokens and Retry-After sum their events, are shared and are read by plans."""

from __future__ import annotations

from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from data.catalogue import load_catalogue
from data.lake import Lake
from router_service.cluster.messages import PeerBatch
from router_service.core.preferences import Preferences
from router_service.health import Health
from router_service.health.messages import HealthReport, QualitySums
from router_service.health.quality import NO_QUALITY, SLOT_S, QualityWindows
from router_service.planning.model_variants import RequestedModel
from router_service.planning.planner import MeasurementTimes, Planner
from router_service.planning.policy_store import PolicyStore
from tests.market import PROFILE, TOOL_PROFILE, endpoint
from tests.outcomes import answered, failed
from tests.peers import Clock
from tests.router_service.cluster.test_health_peers import pair

RECENT_SLOTS, TOOL_SLOTS = 3, 12
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 4000),
        st.sampled_from(["tokens", "retry_after", "good", "malformed", "merge"]),
        st.integers(0, 10**12),
        st.integers(0, 9000),
    ),
    max_size=40,
)


def counted(what: str, tokens: int) -> QualitySums:
    match what:
        case "tokens":
            return QualitySums(1, tokens, tokens // 2, 7)
        case "retry_after":
            return QualitySums(retry_after_count=1, retry_after_ms=1500)
        case "merge":
            return QualitySums(2, tokens, 1, 1, 3, 4, 6, 5)
        case _:
            return QualitySums(tool_requests=1, malformed=int(what == "malformed"))


@given(st.integers(0, 10**6), EVENTS)
def test_each_window_is_the_sum_of_its_events(start: int, steps: list[tuple[int, str, int, int]]) -> None:
    quality, now = QualityWindows(start), start
    events: list[tuple[int, QualitySums]] = []
    for gap, what, tokens, age in steps:
        now += gap
        second = max(0, now - age) if what == "merge" else now
        added = counted(what, tokens)
        if what == "tokens":
            quality.add_tokens(1, added.prompt, added.cached, added.completion, now)
        elif what == "retry_after":
            quality.add_retry_after(1.5, now)
        elif what == "merge":
            quality.merge(added, second, now)
        else:
            quality.add_tool_calls(what == "malformed", now)
        events.append((second, added))
    recent = [added for second, added in events if now // SLOT_S - second // SLOT_S < RECENT_SLOTS]
    tools = [added for second, added in events if now // SLOT_S - second // SLOT_S < TOOL_SLOTS]
    wanted = [sum(added[kind] for added in recent) for kind in range(6)]
    wanted += [sum(added[kind] for added in tools) for kind in (6, 7)]
    assert quality.sums(now) == QualitySums(*wanted)


def test_sums_of_another_worker_are_merged_once(tmp_path: Path) -> None:
    clock, one, other = pair(tmp_path)
    one.health.report(
        answered(
            "e",
            prompt_tokens=1000,
            cached_tokens=600,
            completion_tokens=50,
            judged_tool_calls=True,
            tool_call_fault="invalid_json",
        )
    )
    one.health.report(failed("e", "rate_limit_exceeded", 8.0))
    one.health.report(failed("e", "rate_limit_exceeded"))
    for _ in range(3):
        one.synchronise()
        other.synchronise()
    assert other.health.quality("e") == one.health.quality("e") == QualitySums(1, 1000, 600, 50, 1, 8000, 1, 1)
    clock.now += 2 * 3600
    assert other.health.quality("e") == NO_QUALITY == other.health.quality("never called")
    one.sharing.close()
    other.sharing.close()


class ReportWithoutQuality(msgspec.Struct, frozen=True, array_like=True):
    """Describe a report of a version without ``quality``."""

    endpoint: str
    success: int = 0
    failure: int = 0
    rate_limited: int = 0
    uncounted: int = 0
    ejected_until: float = 0.0
    ejections: int = 0
    retry_until: float = 0.0


class BatchWithoutQuality(msgspec.Struct, frozen=True, array_like=True):
    at: float
    reports: list[ReportWithoutQuality]


def test_workers_of_two_versions_read_each_others_reports() -> None:
    old = msgspec.msgpack.encode(BatchWithoutQuality(1.0, [ReportWithoutQuality("e", 3)]))
    assert msgspec.msgpack.decode(old, type=PeerBatch) == PeerBatch(1.0, [HealthReport("e", 3)])
    new = msgspec.msgpack.encode(PeerBatch(1.0, [HealthReport("e", 3, quality=QualitySums(1, 2))]))
    assert msgspec.msgpack.decode(new, type=BatchWithoutQuality) == BatchWithoutQuality(
        1.0, [ReportWithoutQuality("e", 3)]
    )


def test_plans_by_adjusted_shares_read_all_sums(tmp_path: Path) -> None:
    """Compare two equal endpoints: the one whose tokens come from the cache is cheaper; without tokens none is."""
    health = Health(Clock())
    offers = (endpoint("a"), endpoint("b"))
    cached = tuple(msgspec.structs.replace(e, price=msgspec.structs.replace(e.price, cache_read=10**8)) for e in offers)
    policies = PolicyStore(Lake(tmp_path).create())
    planner = Planner(load_catalogue(), {"a/b": cached}, health, policies, 0.0, clock=iter(range(0, 99, 9)).__next__)
    adjusted = Preferences(strategy="adjusted")
    assert len(set(planner.plan((RequestedModel("a/b", "a/b"),), adjusted, PROFILE).probabilities)) == 1
    for name in ("a:b", "b:b"):
        for _ in range(100):
            better = name == "b:b"
            tokens = {"prompt_tokens": 1000, "cached_tokens": 900 if better else 0, "completion_tokens": 10}
            fault = "invalid_json" if better else None
            health.report(answered(name, judged_tool_calls=True, tool_call_fault=fault, **tokens))
    plan = planner.plan((RequestedModel("a/b", "a/b"),), adjusted, PROFILE)
    assert dict(zip((e.id for e in plan.endpoints), plan.probabilities, strict=True))["b:b"] > 0.6
    health.report(failed("a:b", "rate_limit_exceeded", 30.0))
    measure = planner._state(cached, PROFILE, "adjusted", MeasurementTimes(7, 0)).measures["a:b"]
    assert (measure.retry_after_s, measure.answers, measure.completion_tokens) == (30.0, 100, 1000)
    assert (measure.tool_requests, measure.malformed) == (100, 0)
    assert planner.plan((RequestedModel("a/b", "a/b"),), adjusted, TOOL_PROFILE).arms[0].policy == "adjusted"
