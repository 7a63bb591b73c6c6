"""Each gate answers passed, failed or insufficient, and says why; so do the guardrails."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from models.selection.dataset.logged_decisions import LoggedDecision, from_rows
from models.selection.dataset.replay_set import ReplaySet
from models.selection.decision.features import RequestContext
from models.selection.decision.live_observations import EndpointViews
from models.selection.decision.predictor import FORMS
from models.selection.evaluation.comparison import compare
from models.selection.evaluation.gates import GateRequirements, g1_predictive, g2_off_policy, judge_scenarios
from models.selection.evaluation.intervals import Interval, wilson_interval
from models.selection.evaluation.off_policy import SupportThresholds
from models.selection.evaluation.simulation_trial import ScenarioResult
from models.selection.evaluation.ttft import ttft_ratios
from models.selection.lifecycle.guardrails import GuardrailLimits, read_guardrails

FORM = {form: float(number) for number, form in enumerate(FORMS)}
METRICS = {
    "failure.loss": 0.10,
    "failure.loss_of_base_rate": 0.14,
    "limited.loss": 0.05,
    "limited.loss_of_base_rate": 0.05,
    "ttft_q50.loss": 0.2,
    "ttft_q50.loss_of_level": 0.25,
    "ttft_q50.loss_of_ewma": 0.25,
    "ttft_q50.se_over_ewma": 0.01,
    "ttft_q50.form": FORM["boosted"],
    "ttft_q90.loss": 0.1,
    "ttft_q90.loss_of_ewma": 0.12,
    "ttft_q90.form": FORM["linear"],
    "ttft_q90.coverage": 0.9,
    "ttft_q90.answers": 1000.0,
    "tokens_per_s_q50.form": FORM["linear"],
    "tokens_per_s_q10.form": FORM["linear"],
}
AVERAGE = {"ttft_q50.form": FORM["ewma"], "ttft_q50.loss": 0.26}


def logged(count: int, dear: float = 1.0, tail: float = 1.0) -> ReplaySet:
    """``good`` earns 2 more than ``bad``; 40 blocks; it costs ``dear`` times and takes ``tail`` times as much."""
    rng = np.random.default_rng(1)
    rows, cost, ttft = [], [], []
    for number in range(count):
        chosen = int(rng.random() < 0.5)
        rows.append(
            LoggedDecision(number * 144_000 / count, ["good", "bad"], [0.5, 0.5], chosen, -1 - 2 * chosen, "m", "s")
        )
        cost.append(1.0 if chosen else dear)
        ttft.append(rng.lognormal(0, 0.6) * (1.0 if chosen else tail))
    contexts: list[RequestContext] = [RequestContext(100, None, True, False, 12)] * count
    figures = np.ones(count), np.array(cost), np.array(ttft)
    return ReplaySet(
        from_rows(rows), contexts, [()] * count, EndpointViews.unseen(0), np.zeros(count, int), *figures, {}
    )


def always(count: int, column: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.eye(2)[np.full(count, column)]


@pytest.mark.parametrize(
    ("metrics", "outcome", "says"),
    [
        ({}, "passed", "no worse than levels, EWMA"),
        ({"ttft_q50.loss": 0.26}, "failed", "ttft_q50 by levels, ttft_q50 by EWMA; keep the EWMA"),
        ({"ttft_q50.loss_of_level": 0.19, "ttft_q50.se_over_level": 0.01}, "passed", "no worse"),
        ({"ttft_q50.loss_of_level": 0.19, "ttft_q50.se_over_level": 0.004}, "failed", "ttft_q50 by levels"),
        ({"ttft_q90.loss_of_ewma": 0.09}, "failed", "ttft_q90 by EWMA"),
        ({"failure.loss": 0.2}, "failed", "failure by base rate"),
        ({"failure.loss": 0.2, "failure.se_over_base_rate": 0.02}, "failed", "failure by base rate"),
        ({"failure.loss": 0.2, "failure.se_over_base_rate": 0.04}, "passed", "no worse"),
        ({"limited.loss": 0.06}, "failed", "limited by base rate"),
        ({"failure.loss_of_champion": 0.09}, "failed", "failure by champion"),
        ({"failure.loss_of_champion": 0.09, "failure.se_over_champion": 0.006}, "passed", "no worse"),
        ({"ttft_q50.loss_of_champion": 0.15, "ttft_q50.se_over_champion": 0.02}, "failed", "ttft_q50 by champion"),
        ({"limited.loss": 0.05005}, "passed", "no worse"),
        (AVERAGE | {"ttft_q50.loss_of_level": 0.3}, "passed", "Keep the EWMA of ttft_q50."),
        (AVERAGE | {"ttft_q50.loss": 0.28, "ttft_q50.loss_of_level": 0.3}, "failed", "ttft_q50 by EWMA"),
        ({"ttft_q90.coverage": 0.8}, "failed", "80.0% of 1000 answers"),
        ({"ttft_q90.coverage": 0.97}, "failed", "97.0% of 1000 answers"),
        ({"ttft_q90.coverage": 0.85, "ttft_q90.answers": 60.0}, "insufficient", "too few to tell"),
        ({"ttft_q90.coverage": 0.6, "ttft_q90.answers": 60.0}, "failed", "60.0% of 60 answers"),
    ],
)
def test_g1_wants_better_predictions_than_need_no_learner(metrics: dict[str, float], outcome: str, says: str) -> None:
    verdict = g1_predictive(METRICS | metrics)
    assert (verdict.outcome, says in verdict.reason) == (outcome, True), verdict


@pytest.mark.parametrize(
    ("count", "column", "dear", "tail", "outcome", "says"),
    [
        (8000, 0, 1.0, 1.0, "passed", "above what serves"),
        (8000, 1, 1.0, 1.0, "failed", "earns less"),
        (8000, 0, 1.5, 1.0, "failed", "cost more"),
        (8000, 0, 1.0, 2.0, "failed", "p99 of TTFT would grow"),
        (8000, 0, 1.0, 0.9, "passed", "above what serves"),
        (2000, 0, 1.0, 1.0, "insufficient", "2000 decisions since it was trained, 6000 are needed"),
        (300, 0, 1.0, 1.0, "insufficient", "effective samples, 200 are needed"),
    ],
)
def test_g2_answers_from_the_log_or_says_that_it_cannot(
    count: int, column: int, dear: float, tail: float, outcome: str, says: str
) -> None:
    log = logged(count, dear, tail)
    found = compare(log, always(count, column), log.decisions.logged, SupportThresholds())
    verdict = g2_off_policy(found)
    assert (verdict.outcome, says in verdict.reason) == (outcome, True), verdict


def test_g2_wants_effective_samples_of_every_model_that_is_much_used() -> None:
    found = logged(8000)
    often = np.where(np.arange(8000) % 50 == 0, "seldom", "m")
    rare = found._replace(decisions=found.decisions._replace(model=often))
    verdict = g2_off_policy(compare(rare, always(8000, 0), rare.decisions.logged, SupportThresholds()))
    assert verdict.outcome == "passed"
    assert 60 < verdict.figures["effective_samples.seldom"] < 100
    often = np.where(np.arange(8000) % 25 == 0, "seldom", np.where(np.arange(8000) % 25 == 1, "rarely", "m"))
    often = np.where(np.arange(8000) % 25 == 2, "hardly", often)
    rare = found._replace(decisions=found.decisions._replace(model=often))
    verdict = g2_off_policy(compare(rare, always(8000, 0), rare.decisions.logged, SupportThresholds()))
    assert verdict.outcome == "insufficient"
    assert "models that are much used: hardly" in verdict.reason


def test_waits_are_those_of_the_weighted_log() -> None:
    """Half of the log is ten times as slow in its slowest 3 %; a policy that avoids it has a tenth of the p99."""
    rng = np.random.default_rng(5)
    slow = np.arange(20_000) % 2 == 0
    ttft = np.where(slow & (rng.random(20_000) < 0.03), 10.0, 1.0)
    ttft[::7] = np.nan
    found = ttft_ratios(ttft, np.where(slow, 0.0, 2.0), np.ones(20_000), np.arange(20_000) // 500)
    assert found is not None and found.p99 is not None
    assert found.p99.value == pytest.approx(0.1)
    assert found.mean.low < 1 / (1 + 9 * 0.015) < found.mean.high
    thin = ttft_ratios(ttft[:400], np.where(slow[:400], 0.0, 2.0), np.ones(400), np.arange(400) // 10)
    assert thin is not None and thin.p99 is None


def test_waits_of_nothing_are_no_ratio() -> None:
    ones = np.ones(2000)
    assert ttft_ratios(np.zeros(2000), ones, ones, np.arange(2000) // 100) is None
    found = ttft_ratios(np.where(np.arange(2000) % 2, 0.0, 1.0), ones, ones, np.arange(2000) // 100)
    assert found is not None
    assert found.mean == pytest.approx((1.0, 1.0, 1.0))


def test_guardrails_of_what_costs_nothing_for_nearly_all_are_numbers() -> None:
    frame = requests(2000)
    seldom = pl.int_range(pl.len()) % 100 < 2
    seen = read_guardrails(frame.with_columns(pl.when(seldom).then("ttft_us").otherwise(0).alias("ttft_us")), "v1")
    assert np.isfinite(list(seen.figures().values())).all()
    assert "ttft_p95_ratio" in seen.figures()


def test_g2_without_a_decision_is_insufficient() -> None:
    assert g2_off_policy(None).outcome == "insufficient"


@pytest.mark.parametrize(
    ("gain", "outcome"),
    [((0.0, -0.04, 0.1), "passed"), ((-0.02, -0.06, 0.1), "insufficient"), ((-0.2, -0.3, -0.1), "failed")],
)
def test_g3_lets_no_scenario_be_worse_by_a_twentieth(gain: tuple[float, float, float], outcome: str) -> None:
    calm = ScenarioResult("calm", Interval(1.0, 0.9, 1.1), -1.0, 0.5)
    verdict = judge_scenarios(
        [calm, ScenarioResult("flapping", Interval(*gain), -1.0, gain[1])], GateRequirements().scenario_margin
    )
    assert verdict.outcome == outcome
    assert ("flapping" in verdict.reason) == (outcome != "passed")
    assert verdict.figures["flapping.low"] == verdict.figures["flapping.worst_market"] == gain[1]


def requests(count: int, *, failing: float = 0.0, wait: float = 1.0, cost: float = 1.0) -> pl.DataFrame:
    """Every second request by ``v1`` with these figures, the others by price; one a second."""
    dice = np.random.default_rng(2)
    rows = []
    for number in range(count):
        ours = number % 2 == 0
        rows.append(
            {
                "started_at": datetime(2026, 11, 17, tzinfo=UTC) + timedelta(seconds=number),
                "policy": "learned" if ours else "price",
                "policy_version": "v1" if ours else "2",
                "candidates": [{"probability": 0.5}, {"probability": 0.5}],
                "error_type": "timeout" if ours and dice.random() < failing else None,
                "cancelled": False,
                "ttft_us": int(1e6 * dice.lognormal(0, 0.2) * (wait if ours else 1.0)),
                "cost_nano": int(1e6 * (cost if ours else 1.0)),
            }
        )
    return pl.DataFrame(rows, schema_overrides={"error_type": pl.String})


@pytest.mark.parametrize(
    ("figures", "breach"),
    [
        ({}, None),
        ({"wait": 0.5, "cost": 1.4}, None),
        ({"failing": 0.1}, "success"),
        ({"wait": 1.5}, "mean TTFT"),
        ({"cost": 2.0}, "cost"),
    ],
)
def test_a_guardrail_breaks_when_its_whole_interval_lies_beyond(figures: dict[str, float], breach: str | None) -> None:
    seen = read_guardrails(requests(2000, **figures), "v1")
    assert (breach in seen.sentence()) if breach else seen.breaches == (), seen


def test_too_few_decisions_break_no_guardrail_and_say_so() -> None:
    seen = read_guardrails(requests(150, wait=9.0), "v1")
    assert seen.breaches == ()
    assert "too few to judge" in seen.sentence()
    assert read_guardrails(requests(150), "v2").decisions == 0


def test_only_the_last_minutes_count_unless_all_is_asked_for() -> None:
    frame = requests(2000)
    assert read_guardrails(frame, "v1", GuardrailLimits(minutes=10)).decisions == 300
    assert read_guardrails(frame, "v1", GuardrailLimits(minutes=10), all_rows=True).decisions == 1000


def test_wilsons_interval_of_a_textbook_share() -> None:
    """Newcombe 1998: 81 of 263 is 0.2553 to 0.3662."""
    assert wilson_interval(81, 263, 0.95) == pytest.approx((0.2553, 0.3662), abs=5e-5)
