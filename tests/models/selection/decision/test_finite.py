"""Whatever happens, and however long nothing does: everything learned is a finite number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.policies.live import DecayedMeans, LivePolicy
from data.record.attempt import CLIENT_DEADLINE, LOST, STALE
from models.selection.dataset.point_in_time import eligible_endpoints, walk_log
from models.selection.decision.artifact import Artifact
from models.selection.decision.features import CandidateEndpoint, RequestContext, feature_matrix
from models.selection.decision.live_observations import (
    FAILURE,
    MALFORMED,
    RATE_LIMITED,
    EndpointViews,
    LiveObservations,
)
from models.selection.decision.outcome import MAX_MEASURED, AttemptObservation, log_measured
from models.selection.decision.output_length import OutputLengths
from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.posterior import FILTER_QUANTITIES, VARIANCE_BETWEEN, GaussianPrior, update_posterior
from models.selection.decision.predictor import PREDICTED_QUANTITIES as PREDICTED
from models.selection.decision.predictor import Predictor, QuantityModel
from models.selection.decision.priors import Moments, PriorHierarchy
from models.selection.simulation.simulated_policy import SimulationState
from router_service.health import Health
from router_service.health.messages import HealthReport
from tests.outcomes import failed, outcome
from tests.peers import Clock

NAMES = ("a:m", "b:m", "c:m")
CANDIDATES = [CandidateEndpoint(name, name[0], 10**9, 10**9) for name in NAMES]
CONTEXTS = [RequestContext(300, 100, stream, True, 12) for stream in (True, False)]
START_S = 1_794_900_000.0
MINUTE, DAY, YEAR = 60.0, 86_400.0, 365 * 86_400.0

GAPS_S = st.one_of(
    st.sampled_from([0.0, 1e-6, 30.0, 1799.9, 1800.0, 1800.1, 31 * MINUTE, DAY, 31 * DAY, YEAR]),
    st.floats(0.0, 60.0),
    st.floats(0.0, YEAR),
    # A clock that is set back, and outcomes that come out of order.
    st.sampled_from([-1e-6, -0.5, -30.0, -31 * MINUTE, -DAY, -31 * DAY, -YEAR]),
)
NONSENSE = [0.0, -1.0, 1e-300, 1e200, float("inf"), float("nan"), float("-inf")]
FIGURES = st.one_of(st.floats(1e-6, 1e6), st.sampled_from(NONSENSE))
KINDS = ("stream", "whole", "tools", "malformed", "lost", "error", "limited", "begin", "abandon")


class Event(NamedTuple):
    gap_s: float
    kind: str
    name: str = NAMES[0]
    figure: float = 0.5

    def outcome(self, now_s: float) -> AttemptObservation | None:
        result: Any = {"error": "error", "limited": "rate_limited"}.get(self.kind, "success")
        if self.kind in ("begin", "abandon"):
            return None
        streamed = self.kind in ("stream", "tools", "malformed", "lost")
        return AttemptObservation(
            now_s,
            self.name,
            self.name[0],
            result,
            1.0,
            self.figure if streamed else None,
            self.figure if streamed and self.kind != "lost" else None,
            self.kind == "malformed",
            self.kind in ("tools", "malformed"),
            self.figure if self.kind == "whole" else None,
            now_s - self.figure if 0 < self.figure < YEAR else None,
        )


EVENTS = st.lists(
    st.builds(Event, GAPS_S, st.sampled_from(KINDS), st.sampled_from(NAMES), FIGURES), min_size=1, max_size=20
)


def policy() -> LearnedPolicy:
    """Every form but trees, from nothing learned."""
    rules = [QuantityModel("ewma", 0.0, {q.recent: 1.0, **({q.spread: 1.28} if q.spread else {})}) for q in PREDICTED]
    rules[0] = QuantityModel("linear", -3.0, {"recent_failure": 4.0, "log_since_failure": -0.1}, logistic=True)
    rules[3] = rules[3]._replace(form="linear", base="recent_log_ttft", within=(0.0, 2.0))
    return LearnedPolicy(Artifact("v", {}, PriorHierarchy({}, {}, {}), OutputLengths({}), Predictor(rules)))


POLICY = policy()


def check_views(views: EndpointViews) -> None:
    for column in (views.counts, views.means, views.squares, views.in_flight, views.streak, views.cap):
        assert np.isfinite(column).all()
    shares = views.means[:, [FAILURE, RATE_LIMITED, MALFORMED]]
    assert ((shares >= 0) & (shares <= 1)).all()
    assert np.abs(views.means).max() <= np.log(MAX_MEASURED) + 1e-6
    for column in (views.counts, views.squares, views.since_failure_s, views.since_s):
        assert (column >= 0).all()
    for view in views:
        assert all(figure is None or np.isfinite(figure) for recent in view.recent for figure in recent)


def check_decision(chances: Sequence[float]) -> None:
    assert np.isfinite(chances).all()
    assert min(chances) >= 0
    assert sum(chances) == pytest.approx(1)


def check(views: EndpointViews) -> None:
    """``views`` are of ``NAMES``, as served and, in single precision, as replayed."""
    for seen in (views, views.single()):
        check_views(seen)
        for context in CONTEXTS:
            assert np.isfinite(
                feature_matrix([context], CANDIDATES, seen, PriorHierarchy({}, {}, {}), OutputLengths({}))
            ).all()
            means = np.tile([[quantity.mean] for quantity in FILTER_QUANTITIES], (1, len(NAMES)))
            found = update_posterior(
                GaussianPrior(means, np.tile(VARIANCE_BETWEEN[:, None], (1, len(NAMES)))), seen, context.stream
            )
            assert np.isfinite(found.means).all()
            assert np.isfinite(found.variances).all()
            assert (found.variances >= 0).all()
            check_decision(POLICY.probabilities(context, CANDIDATES, seen))


HALF_AN_HOUR_LATER = [Event(0.0, "error"), Event(31 * MINUTE, "limited"), Event(0.0, "limited", NAMES[1])]


@settings(max_examples=40)
@example(HALF_AN_HOUR_LATER)
@example([Event(0.0, "error"), Event(-DAY, "stream"), Event(YEAR, "limited")])
@given(EVENTS)
def test_everything_seen_and_made_of_it_is_finite(events: list[Event]) -> None:
    seen, now_s = LiveObservations(), START_S
    for event in events:
        now_s += event.gap_s
        outcome = event.outcome(now_s)
        if outcome is not None:
            seen.observe(outcome)
        elif event.kind == "begin":
            seen.begin(event.name)
        else:
            seen.abandon(event.name)
        check(seen.views(NAMES, now_s))
    for later_s in (-YEAR, -MINUTE, MINUTE, 31 * DAY, 10 * YEAR):
        check(seen.views(NAMES, now_s + later_s))


@settings(max_examples=30)
@example(HALF_AN_HOUR_LATER)
@given(EVENTS)
def test_the_live_policy_gives_probabilities_whatever_happened(events: list[Event]) -> None:
    live, now_s = LivePolicy(), START_S
    for event in events:
        now_s += event.gap_s
        outcome = event.outcome(now_s)
        if outcome is not None:
            live.observe(outcome)
        for context in CONTEXTS:
            check_decision(live.choose(context, CANDIDATES, SimulationState(now_s, [0] * len(NAMES), [])))


def test_a_failure_that_a_429_follows_half_an_hour_later_is_a_share_of_one_call() -> None:
    """The share of failures used to be a sum divided by a difference that had been lost in rounding."""
    seen, now_s = LiveObservations(), START_S
    for event in HALF_AN_HOUR_LATER[:2]:
        now_s += event.gap_s
        seen.observe(event.outcome(now_s))  # type: ignore[arg-type]
    means, view = seen.views(NAMES, now_s).means[0], seen.view(NAMES[0], now_s)
    assert means[FAILURE, :4] == pytest.approx(1.0)
    assert [recent.attempts for recent in view.recent] == pytest.approx(
        [1 + 0.5 ** (31 * MINUTE / half_life) for half_life in (30, 300, 1800, DAY)]
    )
    assert [recent.failure for recent in view.recent] == [None, *[pytest.approx(1.0)] * 3]


@pytest.mark.parametrize("figure", [*NONSENSE, None])
def test_a_figure_that_is_no_measurement_says_nothing(figure: float | None) -> None:
    assert log_measured(figure) is None
    seen = LiveObservations()
    seen.observe(AttemptObservation(START_S, "a:m", "a", "success", 1.0, figure, figure, total_s=figure))
    recent = seen.view("a:m", START_S).recent[0]
    assert (recent.attempts, recent.log_ttft, recent.log_tokens_per_s, recent.log_whole) == (1.0, None, None, None)


@pytest.mark.parametrize("now_s", [float("inf"), float("-inf"), float("nan")])
def test_a_time_that_is_none_counts_nothing(now_s: float) -> None:
    seen = LiveObservations()
    seen.begin("a:m")
    seen.observe(AttemptObservation(now_s, "a:m", "a", "error", 1.0))
    seen.observe(AttemptObservation(START_S, "a:m", "a", "success", 1.0, 0.5))
    check(seen.views(NAMES, START_S))
    assert (seen.view("a:m", START_S).recent[3].failure, seen.view("a:m", START_S).in_flight) == (0.0, 0)


def test_a_failure_told_before_its_time_is_no_time_ago() -> None:
    """Other workers' clocks, and one that is set back."""
    seen = LiveObservations()
    seen.observe(AttemptObservation(START_S + DAY, "a:m", "a", "error", 1.0))
    assert seen.view("a:m", START_S).since_failure_s == 0.0


@given(st.lists(st.tuples(GAPS_S, st.none() | st.floats(-1e6, 1e6)), min_size=1, max_size=30))
def test_averages_that_fade_are_finite(told: list[tuple[float, float | None]]) -> None:
    faded, now_s = DecayedMeans((30.0, DAY), 1), START_S
    for gap_s, value in told:
        now_s += gap_s
        faded.add(now_s, [value])
        assert np.isfinite([*faded.sums[0], *faded.counts[0], *faded.fades(now_s + YEAR)]).all()


ERRORS = (None, "timeout", "server_error", "rate_limit_exceeded", "invalid_request", LOST, CLIENT_DEADLINE)


@st.composite
def logs(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows of ``decision_log`` in order of arrival, minutes or months apart, some at the same moment."""
    rows: list[dict[str, Any]] = []
    at = datetime.fromtimestamp(START_S, UTC)
    for number in range(draw(st.integers(1, 12))):
        at += timedelta(seconds=max(draw(GAPS_S), 0.0))
        attempts, started_us = [], 0
        for _ in range(draw(st.integers(1, 3))):
            spent_us = draw(st.sampled_from([None, 0, 1, 500_000, 60_000_000, int(2 * DAY * 1e6)]))
            one = {"endpoint": draw(st.sampled_from(NAMES)), "provider": "a", "model": "x/m", "started_us": started_us}
            one |= {"error_type": draw(st.sampled_from(ERRORS)), "reason": draw(st.sampled_from(["sampled", STALE]))}
            attempts.append(one | {"duration_us": spent_us, "ttft_us": draw(st.sampled_from([None, 0, 1, spent_us]))})
            started_us += spent_us or 0
        row = {"generation_id": f"g{number}", "started_at": at, "attempts": attempts, "cancelled": draw(st.booleans())}
        row["candidates"] = [{"endpoint": name, "probability": 1 / 3, "score": 1.0} for name in NAMES]
        row |= {"stream": draw(st.booleans()), "completion_tokens": draw(st.sampled_from([None, 0, 1, 10**9]))}
        fault = draw(st.sampled_from([None, "invalid_json"]))
        rows.append(row | {"finish_reason": draw(st.sampled_from(["stop", "tool_calls"])), "tool_call_fault": fault})
    return rows


@settings(max_examples=30)
@given(logs())
def test_a_log_of_any_gaps_and_errors_walked_again_is_finite(rows: list[dict[str, Any]]) -> None:
    for _, views in walk_log(rows, eligible_endpoints):
        check(views)


@pytest.mark.parametrize(("first", "rest"), [(100.0, 100.0), (-100.0, -100.0), (-100.0, 100.0), (0.0, 0.0)])
def test_a_whole_answers_level_is_a_number_at_any_ttft_and_throughput(first: float, rest: float) -> None:
    node = {"log_ttft": Moments(1e9, first), "log_tokens_per_s": Moments(1e9, rest)}
    level = PriorHierarchy({"a:m": node}, {}, {}).of("a:m", "a")
    assert level.log_whole == pytest.approx(max(first, np.log(500) - rest), abs=1.0)


def test_a_limit_of_any_size_has_features() -> None:
    for limit in (None, 1, 10**400, -5):
        context = CONTEXTS[0]._replace(max_tokens=limit)
        assert np.isfinite(
            feature_matrix(
                [context], CANDIDATES, EndpointViews.unseen(3), PriorHierarchy({}, {}, {}), OutputLengths({})
            )
        ).all()


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(GAPS_S.map(abs), st.sampled_from(["ttft", "whole", "failure", "limited", "told"]), FIGURES),
        max_size=30,
    )
)
def test_health_measures_in_finite_numbers_whatever_it_is_told(told: list[tuple[float, str, float]]) -> None:
    clock = Clock()
    health = Health(clock)
    for gap_s, kind, figure in told:
        clock.now += gap_s
        if kind == "failure":
            health.report(failed("a:m", "timeout", figure))
        elif kind == "limited":
            health.report(failed("a:m", "rate_limit_exceeded", figure))
        elif kind == "told":
            report = HealthReport("a:m", failure=5, ejected_until=clock.now + figure, retry_until=clock.now + figure)
            health.receive(report, clock.now, clock.now)
        else:
            measured_us = int(min(max(figure, 0.0), 1e12) * 1e6) if math.isfinite(figure) else None
            health.report(
                outcome(
                    "a:m",
                    "answered",
                    stream=kind != "whole",
                    ttft_us=measured_us,
                    duration_us=measured_us,
                    completion_tokens=measured_us,
                    client_region="eu",
                )
            )
        measured: list[float] = [health.distance("a:m", "eu"), *health.quality("a:m")]
        measured += [figure for figure in (health.ttft("a:m"), health.throughput("a:m")) if figure is not None]
        measured += [health.uptime("a:m", "1d") or 0.0, *(health.latency_percentiles("a:m", "30m") or ())]
        measured += health.throughput_percentiles("a:m", "30m") or ()
        measured += health.latency_quantiles("a:m", (50, 99), 1, stream=False) or ()
        assert np.isfinite(measured).all()
        assert min(measured) >= 0
        health.refresh()
        health.drain(clock.now)
    clock.now += 2 * DAY
    health.refresh()
    assert health.ejected(("a:m", "b:m")) == frozenset()
    assert not health.limited("a:m")
