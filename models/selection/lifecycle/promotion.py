"""Advance the lifecycle: judge the challenger, check the guardrails of the serving policies, take the next step.

Time is counted in decisions, so that a small installation takes longer and is not less careful.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import msgspec

from data.lake import Lake
from data.policies import Canary, GateVerdict, PolicyState, error_sentence, read_audit
from models.selection.dataset import decision_log
from models.selection.dataset.replay_set import ReplaySet, read_replay_set
from models.selection.dataset.samples import build_samples
from models.selection.decision.artifact import PolicyError
from models.selection.decision.policy import LearnedPolicy
from models.selection.evaluation.comparison import Comparison, compare
from models.selection.evaluation.gates import (
    GATES,
    GateJudgement,
    GateRequirements,
    g0_artifact,
    g1_predictive,
    g2_off_policy,
    g3_simulated,
)
from models.selection.evaluation.predictive import prediction_losses, quantile_coverage
from models.selection.evaluation.replay import ReplayedPolicies, replay_policies
from models.selection.lifecycle.guardrails import GuardrailLimits, GuardrailReading, read_guardrails
from models.selection.lifecycle.registry import Registry, RegistryError
from models.selection.lifecycle.rollout import RolloutSchedule

logger = logging.getLogger(__name__)

ACTOR = "pipelines"
# A version is not judged again after this many processes were killed while judging it: it may be the cause.
MAX_KILLED_JUDGINGS = 3
# The latest decisions suffice, and replaying all of them each minute would take too long.
MAX_JUDGED_DECISIONS = 20_000
# The windowed features of the held-out part still depend on this much time before it.
WARM_UP = timedelta(hours=2)
MAX_WATCHED_DECISIONS = 50_000


def guardrail_limits(schedule: RolloutSchedule) -> GuardrailLimits:
    """Return the guardrails' limits, whose window is an hour of the market's time."""
    return GuardrailLimits(minutes=GuardrailLimits().minutes / schedule.speed)


def judge_challenger(
    lake: Lake, requirements: GateRequirements = GateRequirements(), speed: float = 1.0
) -> GateJudgement | None:
    """Judge the challenger by the gates and keep their verdicts with it; ``None`` without a challenger.

    ``speed`` is that of ``RolloutSchedule``. A challenger that has failed another gate is not simulated. An exception
    makes the gate fail that was being asked.
    """
    registry = Registry(lake, ACTOR)
    challengers = registry.in_state("candidate", "shadow")
    if not challengers:
        return None
    with registry.judging(challengers[-1].version) as state:
        case = ChallengerCase(lake, state, registry.serving.champion)
        try:
            case.ask_gates(requirements, speed)
        except Exception as error:
            logger.exception("%s could not be judged", state.version)
            case.fail(error_sentence(error))
        against = case.champion.version if case.champion is not None else None
        verdicts = tuple(msgspec.structs.replace(verdict, against=against) for verdict in case.verdicts)
        return GateJudgement(registry.judge(state.version, verdicts), case.champion, case.replayed, case.comparison)


class ChallengerCase:
    """Collect what is found of a challenger while it is judged; an exception keeps what was found before it."""

    def __init__(self, lake: Lake, state: PolicyState, champion: str | None) -> None:
        self._lake, self._state = lake, state
        self.champion = _load(lake, champion)
        self.verdicts: list[GateVerdict] = []
        self.replayed: ReplayedPolicies | None = None
        self.comparison: Comparison | None = None

    def ask_gates(self, requirements: GateRequirements, speed: float) -> None:
        """Ask the gates in their order. Raises whatever they raise."""
        lake, state = self._lake, self._state
        if state.judgings >= MAX_KILLED_JUDGINGS:
            self.fail(f"{state.judgings} processes were killed while they judged it")
            return
        candidate, since = _load(lake, state.version), datetime.fromisoformat(state.lineage.held_out_from)
        try:
            replay_set = read_replay_set(lake, MAX_JUDGED_DECISIONS, since, speed)
        except ValueError as error:
            self.fail(str(error))
            return
        self._add(g0_artifact(lake.policies / state.version, replay_set, requirements.thresholds))
        if candidate is None or self._has_failed():
            return
        self._add(_still_valid(state, "G1", self.champion) or _judge_predictions(lake, state, candidate, self.champion))
        if replay_set is not None:
            self.replayed = self._replay(candidate, replay_set)
            self.comparison = compare(*self.replayed, requirements.thresholds)
        self._add(g2_off_policy(self.comparison, requirements))
        if not self._has_failed():
            self._add(_still_valid(state, "G3", self.champion) or g3_simulated(candidate, self.champion, requirements))

    def fail(self, why: str) -> None:
        """Record a failed verdict for the gate that was being evaluated."""
        self.verdicts.append(GateVerdict(GATES[min(len(self.verdicts), len(GATES) - 1)], "failed", why))

    def _add(self, verdict: GateVerdict) -> None:
        lost = [name for name, value in verdict.figures.items() if not math.isfinite(value)]
        if lost and verdict.outcome == "passed":
            why = f"a gate is not passed on figures that are not finite: {', '.join(lost)}"
            verdict = msgspec.structs.replace(verdict, outcome="failed", reason=why)
        self.verdicts.append(verdict)

    def _has_failed(self) -> bool:
        return any(verdict.outcome == "failed" for verdict in self.verdicts)

    def _replay(self, candidate: LearnedPolicy, replay_set: ReplaySet) -> ReplayedPolicies:
        """Replay beside the champion, or beside the log's own policy where the champion cannot decide."""
        try:
            return replay_policies(candidate, self.champion, replay_set)
        except Exception:
            if self.champion is None:
                raise
            logger.exception("%s is judged without the champion %s", self._state.version, self.champion.version)
            self.champion = None
            return replay_policies(candidate, None, replay_set)


def advance(
    lake: Lake, schedule: RolloutSchedule = RolloutSchedule(), limits: GuardrailLimits | None = None
) -> list[str]:
    """Take the steps that guardrails and gates ask for; returns a sentence for each.

    A challenger whose step raises is rejected with the error, and the others take theirs.
    """
    registry = Registry(lake, ACTOR)
    limits = limits or guardrail_limits(schedule)
    steps = roll_back_breaches(lake, guardrail_readings(lake, limits)) + _canary_step(registry, lake, schedule, limits)
    decisions = decision_log.count(lake)
    challengers = registry.in_state("candidate", "shadow")
    for state in challengers:
        try:
            if state.state == "candidate" and not state.verdicts and state.version != challengers[-1].version:
                steps += _retire_superseded(registry, state.version, challengers[-1].version)
            else:
                steps += _step(registry, state, schedule, _has_served(lake), decisions)
        except RegistryError as error:
            # Another process has taken a step since; the next run checks the version again.
            steps.append(f"{state.version} takes no step: {error}")
        except Exception as error:
            logger.exception("%s could not take its step", state.version)
            why = f"its step failed: {error_sentence(error)}"
            with _unless_gone(registry, state.version):
                registry.reject(state.version, why)
                steps.append(f"{state.version} is rejected: {why}")
    return steps


def _retire_superseded(registry: Registry, version: str, newer: str) -> list[str]:
    """Retire a version whose process died before it was judged, and that a newer one has replaced."""
    why = f"it was not judged before {newer} was made"
    registry.retire(version, why)
    return [f"{version} is retired: {why}"]


def enforce_guardrails(lake: Lake, schedule: RolloutSchedule = RolloutSchedule(), who: str = ACTOR) -> list[str]:
    """Roll back serving policies that breach a guardrail by all that the log has now; returns a sentence for each."""
    try:
        decision_log.catch_up(lake)
    except Exception:
        # The decisions that the log already had may show enough harm.
        logger.exception("new requests could not be added to the log of decisions")
    return roll_back_breaches(lake, guardrail_readings(lake, guardrail_limits(schedule)), who)


def roll_back_breaches(lake: Lake, readings: Sequence[GuardrailReading], who: str = ACTOR) -> list[str]:
    """Roll back the policies whose ``readings`` have a breach; returns a sentence for each.

    A canary whose guardrails could not be read is rolled back as well: a trial without guardrails is none, and it would
    keep the next one from starting. A champion in that situation serves on, and a sentence says so.
    """
    registry = Registry(lake, who)
    canary = registry.serving.canary
    steps = []
    for reading in readings:
        if reading.fault and (canary is None or canary.version != reading.version):
            steps.append(f"{reading.version} serves on: {reading.sentence()}")
        elif reading.breaches or reading.fault:
            with _unless_gone(registry, reading.version):
                now = registry.rollback(reading.version, reading.sentence(), reading.figures())
                steps.append(f"{reading.version} is rolled back, {now or 'price shares'} serve: {reading.sentence()}")
    return steps


@contextmanager
def _unless_gone(registry: Registry, version: str) -> Iterator[None]:
    """Suppress the error of a step whose policy another process has taken out of service meanwhile."""
    try:
        yield
    except RegistryError:
        if version in registry.serving.versions():
            raise


def guardrail_readings(lake: Lake, limits: GuardrailLimits = GuardrailLimits()) -> list[GuardrailReading]:
    """Read the guardrails of champion and canary.

    The champion's are over the last minutes of the log, the canary's since its last step.
    """
    serving = Registry(lake, ACTOR).serving
    readings = []
    if serving.champion:
        readings.append(_read_guardrails(lake, serving.champion, MAX_WATCHED_DECISIONS, limits))
    if serving.canary:
        readings.append(_watch_canary(lake, serving.canary, limits))
    return readings


def _watch_canary(lake: Lake, canary: Canary, limits: GuardrailLimits) -> GuardrailReading:
    """Read the canary's guardrails. No router serves an artifact that cannot be loaded, so its log would stay empty."""
    try:
        LearnedPolicy.load(lake.policies / canary.version)
    except PolicyError as error:
        return GuardrailReading(canary.version, 0, 0, fault=error_sentence(error))
    since = max(decision_log.count(lake) - canary.since, 0)
    return _read_guardrails(lake, canary.version, min(since, MAX_WATCHED_DECISIONS), limits, all_rows=True)


def _read_guardrails(
    lake: Lake, version: str, last: int, limits: GuardrailLimits, all_rows: bool = False
) -> GuardrailReading:
    """Read the guardrails on the ``last`` rows of the log; an exception becomes the reading's ``fault``."""
    try:
        return read_guardrails(decision_log.read(lake, last=last), version, limits, all_rows=all_rows)
    except Exception as error:
        logger.exception("the guardrails of %s could not be read", version)
        return GuardrailReading(version, 0, 0, fault=error_sentence(error))


def _canary_step(registry: Registry, lake: Lake, schedule: RolloutSchedule, limits: GuardrailLimits) -> list[str]:
    """Widen the canary's share, or promote it after the last one, when this share has done no harm."""
    canary = registry.serving.canary
    if canary is None:
        return []
    reading, version = _watch_canary(lake, canary, limits), canary.version
    if reading.decisions < schedule.canary_decisions or reading.success is None or reading.breaches or reading.fault:
        return []
    wider = next((share for share in schedule.canary_shares if share > canary.share), None)
    with _unless_gone(registry, version):
        if wider is None:
            registry.promote(version, reading.sentence(), reading.figures(), canary_only=True)
            return [f"{version} is champion: {reading.sentence()}"]
        why = f"{wider:.0%} of the traffic: {reading.sentence()}"
        registry.widen(version, wider, why, reading.figures(), decision_log.count(lake))
        return [f"{version} is canary with {why}"]
    return []


def _step(
    registry: Registry, state: PolicyState, schedule: RolloutSchedule, has_served: bool, decisions: int
) -> list[str]:
    verdicts = {verdict.gate: verdict for verdict in state.verdicts}
    if not verdicts:
        return []
    figures = {name: value for verdict in verdicts.values() if verdict.gate == "G2" for name, value in _flat(verdict)}
    failed = [verdict for verdict in state.verdicts if verdict.outcome == "failed"]
    version = state.version
    if failed:
        why = _because(failed)
        registry.reject(version, why, figures)
        return [f"{version} is rejected: {why}"]
    passed = [gate for gate, verdict in verdicts.items() if verdict.outcome == "passed"]
    unsure = [verdict for verdict in state.verdicts if verdict.outcome == "insufficient"]
    first = not has_served and {"G0", "G1"} <= set(passed)
    proved = state.state == "shadow" and len(passed) == len(GATES)
    if registry.serving.canary is None and (first or proved):
        # No learned policy has served yet, so that no log can support or refute it: a small share produces that log.
        why = f"the first of all, on trial although {_because(unsure)}" if unsure else "all gates passed"
        share = schedule.canary_shares[0]
        registry.canary(version, share, why, figures, since=decisions)
        return [f"{version} is canary with {share:.0%}: {why}"]
    if state.state == "candidate":
        why = _because(unsure) if unsure else "all gates passed"
        registry.shadow(version, why, figures)
        return [f"{version} is shadow: {why}"]
    if decisions - state.lineage.decisions >= schedule.shadow_decisions:
        why = f"no gain detected in {decisions - state.lineage.decisions} decisions"
        registry.retire(version, why, figures)
        return [f"{version} is retired: {why}"]
    return []


def _judge_predictions(
    lake: Lake, state: PolicyState, candidate: LearnedPolicy, champion: LearnedPolicy | None
) -> GateVerdict:
    """Judge predictions on the held-out time as this log has it, rather than by the trainer's own figures.

    Where that time was too short for the quantile's coverage, all that came since is used for it.
    """
    metrics = state.lineage.metrics
    since, until = (datetime.fromisoformat(t) for t in (state.lineage.held_out_from, state.lineage.data_until))
    before = next((verdict for verdict in state.verdicts if verdict.gate == "G1"), None)
    again = before is not None and before.outcome == "insufficient"
    samples = build_samples(decision_log.read(lake, since=since - WARM_UP))
    held_out = samples.between(since, until)
    if not any(s.ttft_s for s in held_out.rows):
        return g1_predictive(metrics)
    try:
        ours = prediction_losses(candidate, held_out)
        metrics = metrics | {f"{name}.loss": loss for name, loss in ours.means().items()}
        metrics = metrics | quantile_coverage(prediction_losses(candidate, samples.between(since)) if again else ours)
    except PolicyError as error:
        return GateVerdict("G1", "failed", str(error))
    if champion is not None:
        with suppress(PolicyError):
            metrics = metrics | ours.against("champion", prediction_losses(champion, held_out))
    return g1_predictive(metrics)


def _still_valid(state: PolicyState, gate: str, champion: LearnedPolicy | None) -> GateVerdict | None:
    """Return an earlier verdict against the present champion that more decisions do not change."""
    against = champion.version if champion is not None else None
    answered = (verdict for verdict in state.verdicts if verdict.gate == gate and verdict.against == against)
    return next((verdict for verdict in answered if gate != "G1" or verdict.outcome != "insufficient"), None)


def _load(lake: Lake, version: str | None) -> LearnedPolicy | None:
    try:
        return LearnedPolicy.load(lake.policies / version) if version else None
    except PolicyError:
        return None


def _has_served(lake: Lake) -> bool:
    return any(entry.what in ("canary", "champion") for entry in read_audit(lake))


def _because(verdicts: Sequence[GateVerdict]) -> str:
    return "; ".join(f"{verdict.gate}: {verdict.reason}" for verdict in verdicts)


def _flat(verdict: GateVerdict) -> list[tuple[str, float]]:
    return list(verdict.figures.items())
