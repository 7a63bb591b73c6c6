"""Test that observations of an endpoint decay and contain nothing from the future."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from models.selection.decision.live_observations import HALF_LIVES_S, UNSEEN_ENDPOINT, LiveObservations
from models.selection.decision.outcome import AttemptObservation


def answered(now_s: float, ttft_s: float = 0.5) -> AttemptObservation:
    return AttemptObservation(now_s, "a:m", "a", "success", 1.0, ttft_s, 50.0)


def test_an_endpoint_never_seen_says_nothing() -> None:
    assert LiveObservations().view("a:m", 10.0) == UNSEEN_ENDPOINT


def test_the_shortest_memory_turns_first() -> None:
    seen = LiveObservations()
    for moment in range(600):
        seen.observe(answered(moment, 0.5))
    for moment in range(600, 660):
        seen.observe(answered(moment, 2.0))
    means = [recent.log_ttft or 0.0 for recent in seen.view("a:m", 660.0).recent]
    assert math.log(2.0) > means[0] > means[1] > means[2] > math.log(0.5)


def test_counts_halve_in_each_half_life_and_means_stay() -> None:
    seen = LiveObservations()
    seen.observe(answered(0.0))
    for half_life, recent in zip(HALF_LIVES_S, seen.view("a:m", 30.0).recent, strict=True):
        assert recent.attempts == pytest.approx(0.5 ** (30.0 / half_life))
        assert recent.log_ttft == pytest.approx(math.log(0.5))


def test_a_429_is_no_failure_and_neither_has_a_ttft() -> None:
    seen = LiveObservations()
    seen.observe(AttemptObservation(1.0, "a:m", "a", "rate_limited", 10.0))
    seen.observe(AttemptObservation(2.0, "a:m", "a", "error", 10.0))
    view = seen.view("a:m", 5.0)
    assert view.since_failure_s == pytest.approx(3.0)
    assert view.recent[2].failure == pytest.approx(1.0)
    assert view.recent[2].rate_limited == pytest.approx(0.5, abs=0.01)
    assert view.recent[2].log_ttft is None


def taken(began_s: float, now_s: float) -> AttemptObservation:
    return AttemptObservation(now_s, "a:m", "a", "success", 1.0, 0.5, 50.0, began_s=began_s)


def test_a_call_that_was_taken_tells_how_it_was_when_it_was_sent() -> None:
    seen = LiveObservations()
    seen.observe(AttemptObservation(5.0, "a:m", "a", "rate_limited", 10.0, began_s=4.9))
    seen.observe(taken(1.0, 60.0))
    view = seen.view("a:m", 61.0)
    assert (view.refused, view.since_s) == (True, pytest.approx(56.0))
    seen.observe(taken(50.0, 62.0))
    view = seen.view("a:m", 70.0)
    assert (view.refused, view.since_s) == (False, pytest.approx(20.0))


def test_more_endpoints_than_there_was_room_for_keep_what_was_seen() -> None:
    seen = LiveObservations()
    names = [f"p{number}:m" for number in range(200)]
    for name in names:
        seen.begin(name)
        seen.observe(msgspec.structs.replace(answered(0.0), endpoint=name))
        seen.begin(name)
    views = seen.views([*names, "q:m"], 0.0)
    assert views.in_flight.tolist() == [1.0] * 200 + [0.0]
    assert [view.recent[0].attempts for view in views] == [1.0] * 200 + [0.0]


def test_calls_under_way_are_counted_until_they_end() -> None:
    seen = LiveObservations()
    for _ in range(3):
        seen.begin("a:m")
    seen.observe(answered(1.0))
    seen.abandon("a:m")
    assert seen.view("a:m", 1.0).in_flight == 1


def test_three_days_of_calls_weigh_what_their_age_says() -> None:
    draw = random.Random(3)
    moments = sorted(draw.uniform(0.0, 3 * 86_400.0) for _ in range(400))
    waits = [draw.lognormvariate(0.0, 1.0) for _ in moments]
    seen = LiveObservations()
    for moment, wait in zip(moments, waits, strict=True):
        seen.observe(answered(moment, wait))
    now_s = moments[-1] + 60.0
    for half_life, recent in zip(HALF_LIVES_S, seen.view("a:m", now_s).recent, strict=True):
        weights = [0.5 ** ((now_s - moment) / half_life) for moment in moments]
        total = sum(weight * math.log(wait) for weight, wait in zip(weights, waits, strict=True))
        assert recent.attempts == pytest.approx(sum(weights))
        assert recent.log_ttft == pytest.approx(total / sum(weights))
