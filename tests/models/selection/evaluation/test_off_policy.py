"""A policy's value is estimated from another's log with an honest interval, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from data.record.attempt import CLIENT_DEADLINE
from models.selection.dataset.logged_decisions import LoggedDecision, LoggedDecisions, decision_of, from_rows
from models.selection.decision.utility import USD_PER_SECOND
from models.selection.evaluation.estimators import cross_fit, endpoint_means
from models.selection.evaluation.intervals import mean_interval
from models.selection.evaluation.off_policy import (
    EvaluationRefusal,
    OffPolicyEvaluation,
    SupportThresholds,
    evaluate,
    evaluate_by,
)
from models.selection.evaluation.self_test import self_test

REWARDS = {"good": -1.0, "bad": -3.0}


def log(count: int = 2000, share: float = 0.5, seed: int = 1) -> LoggedDecisions:
    """``good`` earns -1 and ``bad`` -3, give or take; model ``b`` has ``good`` second; 40 blocks."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        names = ["good", "bad"] if number % 2 else ["bad", "good"]
        chances = [share if name == "good" else 1 - share for name in names]
        chosen = int(rng.random() >= chances[0])
        reward = REWARDS[names[chosen]] + rng.normal()
        model = "a" if number % 2 else "b"
        rows.append(LoggedDecision(number * 3600 * 40 / count, names, chances, chosen, reward, model, "short"))
    return from_rows(rows)


def always(decisions: LoggedDecisions, endpoint: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return (decisions.endpoints == endpoint).astype(float)


GOOD = 1  # endpoints are numbered as they come, and the first decision names ``bad`` first


def test_every_estimator_finds_the_value_and_the_lift() -> None:
    decisions = log()
    result = evaluate(decisions, always(decisions, GOOD))
    assert isinstance(result, OffPolicyEvaluation)
    for interval in (result.ips, result.snips, result.dr):
        assert interval.low < -1 < interval.high
    assert result.dr_lift.low < 1 < result.dr_lift.high
    assert result.better
    assert result.dr.high - result.dr.low < result.ips.high - result.ips.low


def test_a_policy_is_no_better_than_itself() -> None:
    decisions = log()
    result = evaluate(decisions, decisions.logged)
    assert isinstance(result, OffPolicyEvaluation)
    assert not result.better
    assert result.snips_lift == pytest.approx((0, 0, 0))


def test_each_model_is_judged_by_itself() -> None:
    decisions = log()
    found = evaluate_by(decisions, always(decisions, GOOD), "model")
    assert sorted(found) == ["a", "b"]
    assert all(
        isinstance(result, OffPolicyEvaluation) and result.support.decisions == 1000 for result in found.values()
    )


@pytest.mark.parametrize(
    ("count", "share", "reason"),
    [(300, 0.5, "effective samples, 200 are needed"), (2000, 0.0, "100.0% of its probability lies where")],
)
def test_thin_support_is_refused_with_its_reason(count: int, share: float, reason: str) -> None:
    decisions = log(count, share)
    result = evaluate(decisions, always(decisions, GOOD))
    assert isinstance(result, EvaluationRefusal)
    assert reason in result.reason


def test_few_blocks_one_heavy_decision_and_false_propensities_are_refused() -> None:
    decisions = log()
    target = always(decisions, GOOD)
    few = evaluate(decisions._replace(block=decisions.block // 10), target)
    assert isinstance(few, EvaluationRefusal) and "4 blocks" in few.reason
    logged = decisions.logged.copy()
    place = int(np.flatnonzero(target[np.arange(2000), decisions.chosen])[0])
    logged[place] = np.where(target[place] > 0, 0.005, 0.995)
    heavy = evaluate(decisions._replace(logged=logged), target, thresholds=SupportThresholds(effective_samples=50))
    assert isinstance(heavy, EvaluationRefusal) and "of the weight" in heavy.reason
    lying = np.where(target > 0, 0.7, 0.3)
    false = evaluate(decisions._replace(logged=lying), target)
    assert isinstance(false, EvaluationRefusal) and "standard errors off" in false.reason


def test_a_log_that_contradicts_itself_is_an_error() -> None:
    decisions = log(100)
    with pytest.raises(ValueError, match="sum to 1"):
        evaluate(decisions._replace(logged=decisions.logged * 2), decisions.logged)
    with pytest.raises(ValueError, match="no number"):
        evaluate(decisions._replace(reward=decisions.reward * np.nan), decisions.logged)
    with pytest.raises(ValueError, match="probability is 0"):
        from_rows([LoggedDecision(0, ["a", "b"], [1, 0], 1, 0.0)])
    with pytest.raises(ValueError, match="shape"):
        evaluate(decisions, decisions.logged[:, :1])


def test_predictions_never_see_their_own_block() -> None:
    decisions = log(400)
    predicted = cross_fit(decisions, endpoint_means)
    first = decisions.block == decisions.block.min()
    changed = decisions._replace(reward=np.where(first, 1e6, decisions.reward))
    assert np.array_equal(cross_fit(changed, endpoint_means)[first], predicted[first])


def test_a_block_bootstrap_is_wider_where_neighbours_are_alike() -> None:
    block = np.arange(1000) // 50
    alike = np.random.default_rng(0).normal(size=20)[block]
    wide, narrow = mean_interval(alike, block), mean_interval(alike, np.arange(1000))
    assert wide.high - wide.low > 4 * (narrow.high - narrow.low)


def test_a_record_becomes_a_decision_on_its_first_attempt() -> None:
    eligible = [{"endpoint": "p:m", "probability": 0.25}, {"endpoint": "q:m", "probability": 0.75}]
    answered: dict[str, Any] = {"endpoint": "q:m", "error_type": None, "ttft_us": 2_000_000, "duration_us": 3_000_000}
    answered["started_us"] = 0
    record: dict[str, Any] = {
        "candidates": [*eligible, {"endpoint": "r:m", "probability": 0.0}],
        "attempts": [answered],
        "cost_nano": 1_000_000,
        "started_at": datetime(2026, 1, 1, tzinfo=UTC),
        "model": "a/m",
        "stream": True,
        "cancelled": False,
    }
    decision = decision_of(record)
    assert decision is not None
    assert (decision.endpoints, decision.chosen) == (["p:m", "q:m"], 1)
    assert decision.reward == pytest.approx(-(0.001 + 2 * USD_PER_SECOND))
    failed = record | {"attempts": [answered | {"error_type": "timeout", "ttft_us": None}]}
    assert decision_of(failed)._replace(reward=0) == decision._replace(reward=0)  # type: ignore[union-attr]
    assert decision_of(record | {"candidates": eligible[1:]}) is None
    assert decision_of(record | {"attempts": [answered | {"ttft_us": None}]}) is None
    assert decision_of(record | {"attempts": [answered | {"error_type": CLIENT_DEADLINE}]}) is None


def test_known_truth_is_found_on_sixty_logs() -> None:
    report = self_test(seed=7, logs=60)
    assert len(report.refusals) == 3
    for trial in (report.ips, report.snips, report.dr, report.dr_lift):
        assert abs(trial.bias) < 4 * trial.bias_error
        assert trial.coverage >= 0.85  # 4 standard errors below 95 % on 60 logs would be 0.84


@pytest.mark.slow
def test_known_truth_is_found_and_covered_on_two_hundred_logs() -> None:
    report = self_test(seed=11)
    assert report.passed, report
    assert report.dr.rmse <= report.ips.rmse
