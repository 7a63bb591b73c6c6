"""The four gates between a candidate and traffic. Each answers passed, failed or insufficient, with figures.

G0 the artifact is whole and the log's probabilities are those it chose by; G1 it predicts the held-out time
better than what needs no learner and than the champion; G2 the log says that it earns more than what serves;
G3 it is not worse in any simulated scenario. Nothing here looks at a clock or changes a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data.policies import GateVerdict, PolicyState
from models.selection.dataset.replay_set import ReplaySet
from models.selection.decision.artifact import PARITY_TOLERANCE, PolicyError
from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.predictor import FORMS, PREDICTED_QUANTITIES
from models.selection.evaluation.comparison import Comparison
from models.selection.evaluation.intervals import flatten_intervals, wilson_interval
from models.selection.evaluation.off_policy import EvaluationRefusal, SupportThresholds, support_of
from models.selection.evaluation.predictive import served_forms
from models.selection.evaluation.replay import ReplayedPolicies
from models.selection.evaluation.simulation_trial import ScenarioResult, TrialSettings, run_trial

GATES = ("G0", "G1", "G2", "G3")
# Of the answers within the predicted 90th percentile: the share that may be a fault of nothing.
QUANTILE, COVERAGE = 0.9, (0.87, 0.93)
CHANCE = 2.0
# Squared errors that differ by less are the same: a share that is one point off adds this much.
SAME_BRIER = 1e-4
ROUNDING = 1e-9
_SHARES = tuple(q.name for q in PREDICTED_QUANTITIES if q.quantile is None)
_LOGS = tuple(q.name for q in PREDICTED_QUANTITIES if q.quantile is not None)


class GateRequirements(NamedTuple):
    """What the gates ask for; the figures are those of the project's study of routing on public measurements.

    6,000 decisions show a difference of 5 to 7 %. A challenger must not lose 0.1 points of success, cost 1 % more nor
    have a p99 of TTFT 5 % longer than the champion. ReplaySet of the house: it must not lose a twentieth of the utility
    in a scenario, and most used models too thinly logged may make up a tenth of the decisions.
    """

    decisions: int = 6000
    success_margin: float = 0.001
    cost_margin: float = 0.01
    tail_margin: float = 0.05
    thin_share: float = 0.1
    scenario_margin: float = 0.05
    thresholds: SupportThresholds = SupportThresholds()
    trial: TrialSettings = TrialSettings()


class GateJudgement(NamedTuple):
    """Of one challenger; ``replayed`` are the decisions that it has not learned from."""

    state: PolicyState
    champion: LearnedPolicy | None
    replayed: ReplayedPolicies | None
    comparison: Comparison | None


def g0_artifact(
    folder: Path, found: ReplaySet | None, thresholds: SupportThresholds = SupportThresholds()
) -> GateVerdict:
    """sha256, schema, features, dry run, parity with what was learned; propensities of the log."""
    try:
        policy = LearnedPolicy.load(folder)
    except PolicyError as error:
        return GateVerdict("G0", "failed", str(error))
    figures = {"parity": float(policy.metrics.get("parity", 0.0))}
    if not figures["parity"] <= PARITY_TOLERANCE:
        return GateVerdict("G0", "failed", "the exported models differ from what was learned", figures)
    if found is None:
        return GateVerdict("G0", "insufficient", "the log holds no decision between two endpoints", figures)
    support = support_of(found.decisions, found.decisions.logged)
    figures |= {"choices": float(support.decisions), "propensity_errors": support.propensity_errors}
    if support.propensity_errors > thresholds.propensity_errors:
        off = f"{support.propensity_errors:.1f} standard errors"
        return GateVerdict("G0", "failed", f"an endpoint was chosen {off} off its logged probabilities", figures)
    return GateVerdict("G0", "passed", "whole, loads, decides; the log chose as its probabilities say", figures)


def g1_predictive(metrics: Mapping[str, float]) -> GateVerdict:
    """``metrics`` of training, on the time that was held out, and the champion's losses on the same samples.

    No interval: losses only say whether the learner is worth its place, G2 what it is worth. But ``CHANCE`` standard
    errors are left to chance beside the champion and beside what a form falls back on, the levels and the base rates,
    and to an average beside the EWMA, which is the same estimator with another memory.
    """
    figures = dict(metrics)
    losing = [f"{name} by {rival}" for name, rival in _beaten(figures)]
    kept = [name for name, form in served_forms(figures).items() if FORMS[form] in ("level", "ewma") and name in _LOGS]
    keep = " Keep the EWMA" + (f" of {', '.join(kept)}" if len(kept) < len(_LOGS) else "") + "." if kept else ""
    if losing:
        hint = "; keep the EWMA" if any(rival == "EWMA" for _, rival in _beaten(figures)) else ""
        return GateVerdict("G1", "failed", f"on held-out time predicted better: {', '.join(losing)}{hint}", figures)
    covered, answers = figures.get("ttft_q90.coverage"), figures.get("ttft_q90.answers", 0.0)
    if covered is not None and answers:
        low, high = wilson_interval(round(covered * answers), int(answers), 0.95)
        said = f"{covered:.1%} of {answers:.0f} answers came within the 90th percentile"
        if high < COVERAGE[0] or low > COVERAGE[1]:
            return GateVerdict("G1", "failed", f"{said}, {COVERAGE[0]:.0%} to {COVERAGE[1]:.0%} should", figures)
        if not COVERAGE[0] <= covered <= COVERAGE[1]:
            return GateVerdict("G1", "insufficient", f"{said}: too few to tell from {QUANTILE:.0%}", figures)
    reason = "predicts held-out TTFT, throughput, failures and 429s no worse than levels, EWMA, base rate and champion."
    return GateVerdict("G1", "passed", reason + keep, figures)


def _beaten(figures: Mapping[str, float]) -> list[tuple[str, str]]:
    """Quantities that something else predicts better, and what that is."""
    chosen = served_forms(figures)
    found = []
    for name, rival in [(n, r) for n in _LOGS for r in ("level", "ewma", "champion")] + [
        (n, r) for n in _SHARES for r in ("base_rate", "champion")
    ]:
        ours, theirs = figures.get(f"{name}.loss"), figures.get(f"{name}.loss_of_{rival}")
        if ours is None or theirs is None:
            continue
        average = FORMS[chosen.get(name, len(FORMS) - 1)] in ("level", "ewma")
        allowed = SAME_BRIER if name in _SHARES else ROUNDING
        if rival != "ewma" or average:
            allowed = max(CHANCE * figures.get(f"{name}.se_over_{rival}", 0.0), allowed)
        if ours - theirs > allowed:
            found.append((name, {"level": "levels", "ewma": "EWMA", "base_rate": "base rate"}.get(rival, rival)))
    return found


def g2_off_policy(comparison: Comparison | None, wanted: GateRequirements = GateRequirements()) -> GateVerdict:
    """Only decisions that the candidate has not learned from may be in ``comparison``."""
    if comparison is None:
        return GateVerdict("G2", "insufficient", "no decision since the candidate was trained")
    utility, figures = comparison.utility, comparison.figures()
    if isinstance(utility, EvaluationRefusal):
        return GateVerdict("G2", "insufficient", f"not estimated: {utility.reason}", figures)
    guards = _guards(comparison, wanted)
    if utility.snips_lift.high < 0 and utility.dr_lift.high < 0:
        return GateVerdict("G2", "failed", "the log says that it earns less than what serves", figures)
    broken = [guard.says for guard in guards if guard.mildest > guard.margin]
    if broken:
        return GateVerdict("G2", "failed", f"the log says that {' and '.join(broken)}", figures)
    lacking = _lacking(comparison, wanted)
    if lacking:
        return GateVerdict("G2", "insufficient", lacking, figures)
    if not utility.better:
        return GateVerdict("G2", "insufficient", "the interval of its lift holds 0", figures)
    doubtful = [guard.says for guard in guards if guard.value > guard.margin]
    if doubtful:
        return GateVerdict("G2", "insufficient", f"it may be that {' and '.join(doubtful)}", figures)
    return GateVerdict("G2", "passed", "both estimators' lower bounds are above what serves", figures)


class _Guard(NamedTuple):
    """A harm and how much of it is allowed: its estimate, and the least that its interval leaves open."""

    says: str
    value: float
    mildest: float
    margin: float


def _guards(comparison: Comparison, wanted: GateRequirements) -> list[_Guard]:
    found = []
    success, cost = comparison.success, comparison.cost
    if success is not None:
        loss = -success.value, -success.high
        found.append(_Guard("fewer first attempts would succeed", *loss, wanted.success_margin))
    if cost is not None:
        found.append(_Guard("it would cost more", cost.value, cost.low, wanted.cost_margin * comparison.cost_now))
    tail = comparison.waits.p99 if comparison.waits else None
    if tail is not None:
        found.append(_Guard("the longest waits (p99) would grow", tail.value, tail.low, 1 + wanted.tail_margin))
    return found


def _lacking(comparison: Comparison, wanted: GateRequirements) -> str:
    """What the log does not hold yet, or nothing."""
    count = comparison.decisions
    if count < wanted.decisions:
        return f"{count} decisions since it was trained, {wanted.decisions} are needed"
    thin = comparison.thin(wanted.thresholds.effective_samples)
    if sum(one.decisions for one in thin) > wanted.thin_share * count:
        named = ", ".join(f"{one.model} {one.effective_samples:.0f}" for one in thin)
        return f"too few effective samples of models that are much used: {named}"
    if comparison.waits is None or comparison.waits.p99 is None:
        return "too few effective samples to know the longest waits (p99)"
    return ""


def g3_simulated(candidate: LearnedPolicy, champion: LearnedPolicy | None, wanted: GateRequirements) -> GateVerdict:
    """Simulation, in markets that nobody has tuned anything on: no scenario may be worse by more than the margin."""
    return judge_scenarios(run_trial(candidate, champion, wanted.trial), wanted.scenario_margin)


def judge_scenarios(results: Sequence[ScenarioResult], margin: float) -> GateVerdict:
    """``margin`` is a share of the incumbent's mean utility."""
    figures: dict[str, float] = {}
    for result in results:
        figures |= flatten_intervals({result.scenario: result.gain}) | {f"{result.scenario}.worst_market": result.worst}
    worse = [r.scenario for r in results if r.gain.high < -margin * abs(r.utility)]
    unclear = [r.scenario for r in results if r.gain.low < -margin * abs(r.utility)]
    if worse:
        return GateVerdict("G3", "failed", f"worse in simulation: {', '.join(worse)}", figures)
    if unclear:
        return GateVerdict("G3", "insufficient", f"may be worse in simulation: {', '.join(unclear)}", figures)
    return GateVerdict("G3", "passed", f"no worse in {len(results)} scenarios, simulated in fresh markets", figures)
