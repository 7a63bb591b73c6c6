"""Judge a candidate by four gates. Each answers passed, failed or insufficient, with figures.

G0: the artifact is complete, and the log's probabilities are those it was drawn by. G1: it predicts the held-out time
better than estimators without a learner and than the champion. G2: the log says that it earns more than the serving
policy. G3: it is not worse in any simulated scenario. Nothing here reads a clock or changes a file.
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
# Bounds of the share of responses within the predicted 90th percentile, by chance alone.
QUANTILE, COVERAGE = 0.9, (0.87, 0.93)
MAX_STANDARD_ERRORS = 2.0
# Squared errors that differ by less count as equal: a share that is one point off adds this much.
SAME_BRIER = 1e-4
ROUNDING = 1e-9
_SHARES = tuple(q.name for q in PREDICTED_QUANTITIES if q.quantile is None)
_LOGS = tuple(q.name for q in PREDICTED_QUANTITIES if q.quantile is not None)


class GateRequirements(NamedTuple):
    """Hold what the gates require; the figures are those of the project's study of routing on public measurements.

    6,000 decisions show a difference of 5 to 7 %. A challenger must not lose 0.1 points of success, cost 1 % more or
    have a p99 of TTFT 5 % longer than the champion. Two figures are our own choice: it must not lose a twentieth of the
    utility in a scenario, and most used models with thin support may make up a tenth of the decisions.
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
    """Hold the judgement of one challenger; ``replayed`` are the decisions that it has not learned from."""

    state: PolicyState
    champion: LearnedPolicy | None
    replayed: ReplayedPolicies | None
    comparison: Comparison | None


def g0_artifact(
    folder: Path, replay_set: ReplaySet | None, thresholds: SupportThresholds = SupportThresholds()
) -> GateVerdict:
    """Check that the artifact is complete and decides, and that the log's propensities are true.

    Checked are sha256, schema, features, a trial decision and parity with what was learned.
    """
    try:
        policy = LearnedPolicy.load(folder)
    except PolicyError as error:
        return GateVerdict("G0", "failed", str(error))
    figures = {"parity": float(policy.metrics.get("parity", 0.0))}
    if not figures["parity"] <= PARITY_TOLERANCE:
        return GateVerdict("G0", "failed", "the exported models differ from what was learned", figures)
    if replay_set is None:
        return GateVerdict("G0", "insufficient", "the log holds no decision between two endpoints", figures)
    support = support_of(replay_set.decisions, replay_set.decisions.logged)
    figures |= {"choices": float(support.decisions), "propensity_errors": support.propensity_errors}
    if support.propensity_errors > thresholds.propensity_errors:
        off = f"{support.propensity_errors:.1f} standard errors"
        return GateVerdict("G0", "failed", f"an endpoint was chosen {off} off its logged probabilities", figures)
    return GateVerdict("G0", "passed", "complete, loads, decides; the log's choices follow its probabilities", figures)


def g1_predictive(metrics: Mapping[str, float]) -> GateVerdict:
    """Judge the losses on the held-out time: ``metrics`` of training, and the champion's losses on the same samples.

    No interval is asked for: losses only say whether the learner is useful, G2 how much. But ``MAX_STANDARD_ERRORS``
    are allowed for chance against the champion and against what a form falls back on, the priors and the base rates;
    and for an average against the EWMA, which is the same estimator with another memory.
    """
    figures = dict(metrics)
    losing = [f"{name} by {rival}" for name, rival in _losing_quantities(figures)]
    simple = [
        name for name, form in served_forms(figures).items() if FORMS[form] in ("level", "ewma") and name in _LOGS
    ]
    keep = " Keep the EWMA" + (f" of {', '.join(simple)}" if len(simple) < len(_LOGS) else "") + "." if simple else ""
    if losing:
        hint = "; keep the EWMA" if any(rival == "EWMA" for _, rival in _losing_quantities(figures)) else ""
        return GateVerdict("G1", "failed", f"on held-out time predicted better: {', '.join(losing)}{hint}", figures)
    coverage, answers = figures.get("ttft_q90.coverage"), figures.get("ttft_q90.answers", 0.0)
    if coverage is not None and answers:
        low, high = wilson_interval(round(coverage * answers), int(answers), 0.95)
        sentence = f"{coverage:.1%} of {answers:.0f} answers came within the 90th percentile"
        if high < COVERAGE[0] or low > COVERAGE[1]:
            return GateVerdict("G1", "failed", f"{sentence}, {COVERAGE[0]:.0%} to {COVERAGE[1]:.0%} should", figures)
        if not COVERAGE[0] <= coverage <= COVERAGE[1]:
            return GateVerdict("G1", "insufficient", f"{sentence}: too few to tell from {QUANTILE:.0%}", figures)
    reason = "predicts held-out TTFT, throughput, failures and 429s no worse than levels, EWMA, base rate and champion."
    return GateVerdict("G1", "passed", reason + keep, figures)


def _losing_quantities(figures: Mapping[str, float]) -> list[tuple[str, str]]:
    """Return the quantities that another estimator predicts better, with that estimator's name."""
    chosen = served_forms(figures)
    losing = []
    for name, rival in [(n, r) for n in _LOGS for r in ("level", "ewma", "champion")] + [
        (n, r) for n in _SHARES for r in ("base_rate", "champion")
    ]:
        ours, theirs = figures.get(f"{name}.loss"), figures.get(f"{name}.loss_of_{rival}")
        if ours is None or theirs is None:
            continue
        average = FORMS[chosen.get(name, len(FORMS) - 1)] in ("level", "ewma")
        allowed = SAME_BRIER if name in _SHARES else ROUNDING
        if rival != "ewma" or average:
            allowed = max(MAX_STANDARD_ERRORS * figures.get(f"{name}.se_over_{rival}", 0.0), allowed)
        if ours - theirs > allowed:
            losing.append((name, {"level": "levels", "ewma": "EWMA", "base_rate": "base rate"}.get(rival, rival)))
    return losing


def g2_off_policy(comparison: Comparison | None, requirements: GateRequirements = GateRequirements()) -> GateVerdict:
    """Judge a comparison over decisions that the candidate has not learned from."""
    if comparison is None:
        return GateVerdict("G2", "insufficient", "no decision since the candidate was trained")
    utility, figures = comparison.utility, comparison.figures()
    if isinstance(utility, EvaluationRefusal):
        return GateVerdict("G2", "insufficient", f"not estimated: {utility.reason}", figures)
    harms = _harms(comparison, requirements)
    if utility.snips_lift.high < 0 and utility.dr_lift.high < 0:
        return GateVerdict("G2", "failed", "the log says that it earns less than what serves", figures)
    certain = [harm.text for harm in harms if harm.lower_bound > harm.margin]
    if certain:
        return GateVerdict("G2", "failed", f"the log says that {' and '.join(certain)}", figures)
    missing = _missing_evidence(comparison, requirements)
    if missing:
        return GateVerdict("G2", "insufficient", missing, figures)
    if not utility.better:
        return GateVerdict("G2", "insufficient", "the interval of its lift contains 0", figures)
    possible = [harm.text for harm in harms if harm.value > harm.margin]
    if possible:
        return GateVerdict("G2", "insufficient", f"it may be that {' and '.join(possible)}", figures)
    return GateVerdict("G2", "passed", "both estimators' lower bounds are above what serves", figures)


class _Harm(NamedTuple):
    """Describe a harm: its estimate, the lower bound of its interval, and the margin that is allowed."""

    text: str
    value: float
    lower_bound: float
    margin: float


def _harms(comparison: Comparison, requirements: GateRequirements) -> list[_Harm]:
    harms = []
    success, cost = comparison.success, comparison.cost
    if success is not None:
        loss = -success.value, -success.high
        harms.append(_Harm("fewer first attempts would succeed", *loss, requirements.success_margin))
    if cost is not None:
        harms.append(
            _Harm("it would cost more", cost.value, cost.low, requirements.cost_margin * comparison.baseline_cost)
        )
    tail = comparison.ttft.p99 if comparison.ttft else None
    if tail is not None:
        harms.append(_Harm("p99 of TTFT would grow", tail.value, tail.low, 1 + requirements.tail_margin))
    return harms


def _missing_evidence(comparison: Comparison, requirements: GateRequirements) -> str:
    """Say what the log does not hold yet; empty where nothing is missing."""
    count = comparison.decisions
    if count < requirements.decisions:
        return f"{count} decisions since it was trained, {requirements.decisions} are needed"
    thin = comparison.under_supported(requirements.thresholds.effective_samples)
    if sum(one.decisions for one in thin) > requirements.thin_share * count:
        named = ", ".join(f"{one.model} {one.effective_samples:.0f}" for one in thin)
        return f"too few effective samples of models that are much used: {named}"
    if comparison.ttft is None or comparison.ttft.p99 is None:
        return "too few effective samples to estimate p99 of TTFT"
    return ""


def g3_simulated(
    candidate: LearnedPolicy, champion: LearnedPolicy | None, requirements: GateRequirements
) -> GateVerdict:
    """Judge simulations in markets that nothing was tuned on: no scenario may be worse by more than the margin."""
    return judge_scenarios(run_trial(candidate, champion, requirements.trial), requirements.scenario_margin)


def judge_scenarios(results: Sequence[ScenarioResult], margin: float) -> GateVerdict:
    """Judge the results of all scenarios; ``margin`` is a share of the incumbent's mean utility."""
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
