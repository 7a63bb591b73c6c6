"""Test that features of a decision use the past only: an injected future changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.record.attempt import CLIENT_DEADLINE, LOST, STALE
from models.selection.dataset.logged_decisions import decision_of
from models.selection.dataset.point_in_time import (
    eligible_endpoints,
    first_attempted_endpoint,
    judge_logged_attempt,
    walk_log,
)
from models.selection.decision.live_observations import UNSEEN_ENDPOINT, EndpointView, LiveObservations
from models.selection.decision.outcome import UNINFORMATIVE_ERRORS, AttemptObservation
from models.selection.decision.utility import USD_PER_FAILURE, USD_PER_SECOND
from router_service.health import health

START = datetime(2026, 11, 16, tzinfo=UTC)
NAMES = ("a:m", "b:m", "c:m")


def attempt(name: str, error: str | None = None, **figures: Any) -> dict[str, Any]:
    found = {"endpoint": name, "provider": name[0], "model": "x/m", "error_type": error}
    return found | {"started_us": 0, "ttft_us": None, "duration_us": 1_000_000} | figures


def row(at_s: float, *attempts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    candidates = [{"endpoint": name, "probability": 1 / 3, "score": 1.0} for name in NAMES]
    found = {"generation_id": f"g{at_s}", "started_at": START + timedelta(seconds=at_s), "attempts": list(attempts)}
    return found | {"candidates": candidates, "stream": True, "cancelled": False, "completion_tokens": 100} | fields


def answered(name: str, ttft_s: float = 0.5, duration_s: float = 2.5) -> dict[str, Any]:
    return attempt(name, ttft_us=int(ttft_s * 1e6), duration_us=int(duration_s * 1e6))


def seen(rows: list[dict[str, Any]]) -> list[EndpointView]:
    return [views[0] for _, views in walk_log(rows, first_attempted_endpoint)]


def test_a_call_under_way_is_seen_as_such_and_its_outcome_only_when_it_has_ended() -> None:
    rows = [row(0, answered("a:m", duration_s=5)), row(3, answered("a:m")), row(5, answered("a:m")), row(5.1)]
    rows[3]["attempts"] = [answered("a:m")]
    first, during, at_its_end, after = seen(rows)
    assert first == UNSEEN_ENDPOINT
    assert (during.in_flight, during.recent[0].attempts) == (1, 0.0)
    assert (at_its_end.in_flight, at_its_end.recent[0].attempts) == (2, 0.0)
    assert after.recent[0].attempts == pytest.approx(1.0, abs=0.01)
    assert after.recent[2].log_tokens_per_s == pytest.approx(np.log(100 / 4.5))


def test_a_later_failure_is_not_known_and_an_earlier_one_is() -> None:
    rows = [row(0, attempt("a:m", "timeout")), row(0.5, answered("a:m")), row(2, answered("a:m"))]
    _, before, after = seen(rows)
    assert before.since_failure_s == np.inf
    assert after.since_failure_s == pytest.approx(1.0)


def test_a_fallback_begins_when_it_was_sent_and_a_clients_error_says_nothing() -> None:
    rows = [
        row(0, attempt("b:m", "server_error", duration_us=2_000_000), answered("a:m") | {"started_us": 2_000_000}),
        row(1, answered("a:m")),
        row(3, attempt("a:m", "invalid_request", duration_us=100_000)),
        row(60, answered("a:m")),
    ]
    _, at_one, at_three, at_last = seen(rows)
    assert at_one.in_flight == 0
    assert at_three.in_flight == 2
    assert at_last.in_flight == 0
    assert at_last.recent[2].attempts < 2.0
    assert at_last.recent[2].failure == 0.0


@pytest.mark.parametrize("error", sorted(UNINFORMATIVE_ERRORS))
def test_what_is_the_clients_own_doing_is_charged_to_nobody(error: str) -> None:
    judged = row(0, attempt("a:m", error), answered("b:m"), cost_nano=0, model="x/m")
    assert judge_logged_attempt(judged, 0).result is None
    assert decision_of(judged) is None


@pytest.mark.parametrize(
    ("stream", "waited_s", "error", "result"),
    [
        (False, 300.01, "timeout", "success"),
        (False, 600, "timeout", "success"),
        (True, 300.01, "timeout", "error"),
        (False, 5, "timeout", "error"),
        (False, 400, "provider_unavailable", "error"),
    ],
)
def test_a_whole_answer_that_took_too_long_to_write_has_not_failed(
    stream: bool, waited_s: float, error: str, result: str
) -> None:
    late = attempt("a:m", error, duration_us=int(waited_s * 1e6))
    judged = row(0, late, answered("b:m"), stream=stream, cost_nano=0, model="x/m", tools=0)
    found, decision = judge_logged_attempt(judged, 0), decision_of(judged)
    assert (found.result, found.ttft_s) == (result, waited_s if result == "success" else None)
    failed = USD_PER_FAILURE if result == "error" else 0
    assert decision is not None
    assert decision.reward == pytest.approx(-(failed + USD_PER_SECOND * waited_s))


def test_a_choice_of_next_to_no_chance_is_no_decision() -> None:
    judged = row(0, answered("a:m"), cost_nano=0, model="x/m", tools=0)
    assert decision_of(judged) is not None
    judged["candidates"][0]["probability"] = 1e-300
    assert decision_of(judged) is None


def test_a_stale_connection_is_no_failure_of_a_choice() -> None:
    again = answered("a:m") | {"reason": STALE}
    assert decision_of(row(0, attempt("a:m", "provider_unavailable"), again, cost_nano=0, model="x/m")) is None


def test_a_call_cut_for_anothers_answer_waited_at_least_so_long_and_the_other_has_its_pace() -> None:
    cut = attempt("a:m", LOST, duration_us=3_000_000)
    won = answered("b:m") | {"started_us": 1_000_000}
    rows = [row(0, cut, won), row(10, won | {"started_us": 0}, cut), row(20, won), row(30, cut)]
    *_, before, after = walk_log(rows, lambda _: ("a:m", "b:m"))
    beaten, winner = before[1]
    assert beaten.recent[2].failure == 0.0
    assert beaten.recent[2].log_ttft == pytest.approx(np.log(3.0))
    assert beaten.recent[2].log_tokens_per_s is None
    assert winner.recent[2].log_tokens_per_s == pytest.approx(np.log(100 / 2.0))
    assert (beaten.in_flight, after[1][0].recent[2].attempts) == (0, pytest.approx(2.0, abs=0.05))


def test_a_call_given_up_before_the_routers_own_deadline_says_nothing() -> None:
    given_up = attempt("a:m", CLIENT_DEADLINE, duration_us=1_000)
    rows = [row(0, given_up), row(10, answered("a:m"), given_up | {"ttft_us": 500}), row(20, answered("a:m"))]
    *_, during, after = seen(rows)
    assert (during.in_flight, during.recent[2].attempts, during.since_failure_s) == (0, 0.0, np.inf)
    assert after.recent[2].attempts == pytest.approx(1.0, abs=0.01)


def test_whole_answers_are_no_first_tokens() -> None:
    whole = answered("a:m", ttft_s=9.0, duration_s=9.0)
    rows = [row(0, answered("a:m")), row(10, whole, stream=False), row(20, answered("a:m"))]
    recent = seen(rows)[-1].recent[2]
    assert (recent.log_ttft, recent.log_whole) == (pytest.approx(np.log(0.5)), pytest.approx(np.log(9.0)))
    assert recent.log_tokens_per_s == pytest.approx(np.log(100 / 2.0))


@pytest.mark.parametrize(("fault", "share"), [(None, 0.0), ("invalid_json", 1.0)])
def test_tool_calls_are_seen_of_answers_that_ended_with_them(fault: str | None, share: float) -> None:
    called = {"finish_reason": "tool_calls", "tool_call_fault": fault}
    failed, other = attempt("a:m", "timeout", duration_us=1), answered("b:m") | {"started_us": 1}
    rows = [row(0, answered("a:m"), **called), row(10, failed, other, finish_reason="stop"), row(20, answered("a:m"))]
    *_, (_, (served, fallback)) = walk_log(rows, lambda _: ("a:m", "b:m"))
    assert served.recent[3].malformed == share
    assert fallback.recent[3].malformed is None


def test_a_kept_connection_that_had_been_ended_says_nothing() -> None:
    again = answered("a:m") | {"started_us": 1_000_000, "reason": STALE}
    rows = [row(0, attempt("a:m", "provider_unavailable"), again), row(10, answered("a:m"))]
    after = seen(rows)[-1]
    assert (after.recent[3].failure, after.in_flight) == (0.0, 0)


def test_each_candidate_is_seen_where_that_is_asked_for() -> None:
    rows = [row(0, answered("a:m")), row(10, answered("b:m"))]
    found = [len(views) for _, views in walk_log(rows, eligible_endpoints)]
    assert found == [3, 3]
    with pytest.raises(ValueError, match="arrived before"):
        list(walk_log(rows[::-1], first_attempted_endpoint))


def test_what_judges_nothing_is_the_routers_own_list() -> None:
    assert health.UNINFORMATIVE_ERRORS is UNINFORMATIVE_ERRORS


ERRORS = (None, "timeout", "rate_limit_exceeded", "invalid_request", LOST, CLIENT_DEADLINE)


@st.composite
def logs(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows, at_s = [], 0.0
    for _ in range(draw(st.integers(2, 12))):
        at_s += draw(st.floats(0.0, 20.0))
        attempts, started = [], 0
        for _ in range(draw(st.integers(1, 3))):
            error = draw(st.sampled_from(ERRORS))
            spent = draw(st.integers(1, 60_000_000))
            ttft = draw(st.integers(1, spent)) if error is None else None
            attempts.append(attempt(draw(st.sampled_from(NAMES)), error, started_us=started, duration_us=spent))
            attempts[-1]["ttft_us"] = ttft
            started += spent
            if error is None:
                break
        rows.append(row(round(at_s, 6), *attempts))
    return rows


@settings(max_examples=40, deadline=None)
@given(before=logs(), other=logs(), cut=st.integers(0, 11))
def test_no_feature_depends_on_what_came_after(
    before: list[dict[str, Any]], other: list[dict[str, Any]], cut: int
) -> None:
    """The rows after one are exchanged, and of all calls that had not ended by then the outcome."""
    place = min(cut, len(before) - 1)
    moment = before[place]["started_at"]
    planted = [_otherwise(r, moment) for r in before[: place + 1]]
    after = [r | {"started_at": moment + (r["started_at"] - START)} for r in other]
    for truth, changed in zip(
        list(walk_log(before, eligible_endpoints))[: place + 1],
        walk_log([*planted, *after], eligible_endpoints),
        strict=False,
    ):
        assert list(truth[1]) == list(changed[1])


def _otherwise(record: dict[str, Any], moment: datetime) -> dict[str, Any]:
    attempts = []
    for one in record["attempts"]:
        begun = record["started_at"] + timedelta(microseconds=one["started_us"])
        ended = begun + timedelta(microseconds=one["duration_us"])
        if begun >= moment:
            continue
        if ended >= moment:
            one = one | {"error_type": "timeout", "ttft_us": None, "duration_us": one["duration_us"] + 7_000_000}
        attempts.append(one)
    return record | {"attempts": attempts or record["attempts"][:1]}


@settings(max_examples=25, deadline=None)
@given(logs())
def test_the_log_walked_again_is_what_the_router_saw(rows: list[dict[str, Any]]) -> None:
    """A plain replay: everything that happened before each decision, sorted and told to a fresh observer."""
    for place, (record, views) in enumerate(walk_log(rows, eligible_endpoints)):
        now = record["started_at"]
        events = []
        for earlier in rows[:place]:
            for number, one in enumerate(earlier["attempts"]):
                begun = earlier["started_at"] + timedelta(microseconds=one["started_us"])
                ended = begun + timedelta(microseconds=one["duration_us"])
                events += [(begun, 0, one, earlier, number), (ended, 1, one, earlier, number)]
        observed = LiveObservations()
        for at, kind, one, earlier, number in sorted((e for e in events if e[0] < now), key=lambda e: e[:2]):
            at_s = at.timestamp()
            if kind == 0:
                observed.begin(one["endpoint"])
            elif one["error_type"] in ("invalid_request", CLIENT_DEADLINE):
                observed.abandon(one["endpoint"])
            else:
                named = {None: "success", LOST: "success", "rate_limit_exceeded": "rate_limited"}
                result = named.get(one["error_type"], "error")
                ttft_s = (one["ttft_us"] or one["duration_us"]) / 1e6 if result == "success" else None
                served = all(later["error_type"] == LOST for later in earlier["attempts"][number + 1 :])
                pouring = (one["duration_us"] - (one["ttft_us"] or 0)) / 1e6
                pace = 100 / pouring if one["error_type"] is None and served and pouring > 0 else None
                begun = earlier["started_at"] + timedelta(microseconds=one["started_us"])
                told = AttemptObservation(
                    at_s,
                    one["endpoint"],
                    one["provider"],
                    result,  # type: ignore[arg-type]
                    0.0,
                    ttft_s,
                    pace,
                    began_s=begun.timestamp(),
                )
                observed.observe(told)
        for view, name in zip(views, NAMES, strict=True):
            wanted = observed.view(name, now.timestamp())
            assert (view.in_flight, view.refused) == (wanted.in_flight, wanted.refused)
            assert view.since_s == pytest.approx(wanted.since_s, abs=1e-6)
            assert view.since_failure_s == pytest.approx(wanted.since_failure_s, abs=1e-6)
            got = np.array([list(recent) for recent in view.recent], dtype=float)
            assert got == pytest.approx(np.array([list(r) for r in wanted.recent], dtype=float), nan_ok=True, abs=1e-6)
