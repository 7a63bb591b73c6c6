"""Test that windows equal the counts of a plain list of events, and percentiles the sorted values within a bucket."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router_service.health.percentiles import BASE, Histogram
from router_service.health.windows import FAILURE, RINGS, SUCCESS, OutcomeWindows

GAPS = st.one_of(st.integers(0, 3), st.integers(0, 90), st.integers(0, 4000), st.integers(0, 200_000))
EVENTS = st.lists(st.tuples(GAPS, st.integers(0, 3)), max_size=60)


def plain(events: list[tuple[int, int]], width: int, slots: int, now: int) -> tuple[int, ...]:
    inside = [kind for second, kind in events if now // width - second // width < slots]
    return tuple(inside.count(kind) for kind in range(4))


@given(st.integers(0, 10**6), EVENTS, GAPS)
def test_every_window_is_the_sum_of_its_events(start: int, steps: list[tuple[int, int]], idle: int) -> None:
    windows, now, events = OutcomeWindows(start), start, []
    for gap, kind in steps:
        now += gap
        windows.add(kind, now)
        events.append((now, kind))
        assert windows.totals("30s", now) == plain(events, 1, 30, now)
    now += idle
    for name, ring in RINGS.items():
        assert windows.totals(name, now) == plain(events, ring.width, ring.slots, now)


@given(st.integers(0, 10**6), EVENTS, st.lists(st.integers(0, 4000), max_size=20))
def test_counts_of_another_worker_are_merged_at_the_time_of_their_events(
    start: int, steps: list[tuple[int, int]], ages: list[int]
) -> None:
    windows, now, events = OutcomeWindows(start), start, []
    for gap, kind in steps:
        now += gap
        windows.add(kind, now)
        events.append((now, kind))
    for age in ages:
        second = max(0, now - age)
        windows.merge((2, 1, 0, 0), second, now)
        events += [(second, SUCCESS)] * 2 + [(second, FAILURE)]
    for name, ring in RINGS.items():
        assert windows.totals(name, now) == plain(events, ring.width, ring.slots, now)


VALUES = st.lists(st.floats(0.006, 120), min_size=1, max_size=200)


@given(VALUES)
@example([0.005])
def test_percentiles_are_within_half_a_bucket(values: list[float]) -> None:
    histogram = Histogram(0.005, 1000)
    for value in values:
        histogram.add(value, 1000)
    ordered = sorted(values)
    for window in ("5m", "30m"):
        found = histogram.percentiles(window, 1000)
        assert found is not None
        for level, value in zip((50, 75, 90, 99), found, strict=True):
            exact = ordered[max(1, math.ceil(level * len(ordered) / 100)) - 1]
            assert value == pytest.approx(exact, rel=math.sqrt(BASE) - 1 + 1e-6)


def test_throughput_percentiles_count_down_from_the_highest_value() -> None:
    histogram = Histogram(0.1, 0)
    for value in range(1, 101):
        histogram.add(float(value), 0)
    found = histogram.percentiles("5m", 0, highest_first=True)
    assert found is not None
    assert found == pytest.approx((51, 26, 11, 2), rel=0.05)


def test_values_leave_each_window_at_its_end() -> None:
    histogram = Histogram(0.005, 0)
    histogram.add(1.0, 0)
    assert histogram.percentiles("5m", 300) is None
    assert histogram.percentiles("30m", 1799) is not None
    assert histogram.percentiles("30m", 1800) is None


GAPS = st.integers(0, 700) | st.integers(1500, 10_000)


@given(st.lists(st.tuples(GAPS, st.floats(0.01, 100)), min_size=1, max_size=40))
def test_a_speed_window_contains_the_values_of_its_slots(steps: list[tuple[int, float]]) -> None:
    histogram, now, events = Histogram(0.005, 0), 0, []
    for gap, value in steps:
        now += gap
        histogram.add(value, now)
        events.append((now, value))
    for window, width, slots in (("5m", 60, 5), ("30m", 300, 6)):
        inside = sorted(v for second, v in events if now // width - second // width < slots)
        found = histogram.percentiles(window, now)
        assert found is not None
        assert found.p99 == pytest.approx(inside[math.ceil(0.99 * len(inside)) - 1], rel=math.sqrt(BASE) - 1 + 1e-6)


def test_a_full_slot_keeps_its_percentiles() -> None:
    """Add 70,000 of one value and 30,000 of another in one minute to buckets of 16 bits."""
    histogram = Histogram(0.005, 0)
    for _ in range(10_000):
        for value in (0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 5.0, 5.0, 5.0):
            histogram.add(value, 0)
    # The second case reads a span of five minutes that is over.
    for window, second in (("5m", 0), ("30m", 300)):
        found = histogram.percentiles(window, second)
        assert found is not None
        assert (found.p50, found.p75) == pytest.approx((0.1, 5.0), rel=0.05)


def test_a_span_of_full_minutes_keeps_its_percentiles() -> None:
    histogram = Histogram(0.005, 0)
    for minute in range(5):
        for _ in range(20_000):
            histogram.add(0.1, 60 * minute)
        for _ in range(8_000):
            histogram.add(5.0, 60 * minute)
    found = histogram.percentiles("30m", 300)
    assert found is not None
    assert (found.p50, found.p75) == pytest.approx((0.1, 5.0), rel=0.05)
