"""One turn of the loop: judge the challenger, watch who serves, take the step that follows.

Time is counted in decisions, so that a small installation waits longer and not less carefully.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

import msgspec

from data.lake import Lake
from data.policies import Canary, GateVerdict, PolicyState, read_audit
from models.selection.dataset import decision_log
from models.selection.dataset.replay_set import read_replay_set
from models.selection.dataset.samples import build_samples
from models.selection.decision.artifact import PolicyError
from models.selection.decision.policy import LearnedPolicy
from models.selection.evaluation.comparison import compare
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
from models.selection.evaluation.replay import replay_policies
from models.selection.lifecycle.guardrails import GuardrailLimits, GuardrailReading, read_guardrails
from models.selection.lifecycle.registry import Registry, RegistryError
from models.selection.lifecycle.rollout import RolloutSchedule

WHO = "pipelines"
# Later ones say enough, and all of them would be replayed each minute.
JUDGED_DECISIONS = 20_000
# Before the time that G1 is asked of: what the windows among the features still remember of it.
WARM_UP = timedelta(hours=2)
WATCHED_DECISIONS = 50_000


def guardrail_limits(pace: RolloutSchedule) -> GuardrailLimits:
    """The guardrails, whose window is an hour of the market."""
    return GuardrailLimits(minutes=GuardrailLimits().minutes / pace.speed)


def judge_challenger(
    lake: Lake, wanted: GateRequirements = GateRequirements(), speed: float = 1.0
) -> GateJudgement | None:
    """Put the challenger, if there is one, through the gates, and keep their answers with it.

    ``speed`` as in ``RolloutSchedule``. The simulation is spared for one that has failed otherwise.
    """
    registry = Registry(lake, WHO)
    waiting = registry.in_state("candidate", "shadow")
    if not waiting:
        return None
    state = waiting[-1]
    candidate, champion = _loaded(lake, state.version), _loaded(lake, registry.serving.champion)
    since = datetime.fromisoformat(state.lineage.held_out_from)
    both = comparison = None
    try:
        found = read_replay_set(lake, JUDGED_DECISIONS, since, speed)
        verdicts = [g0_artifact(lake.policies / state.version, found, wanted.thresholds)]
    except ValueError as error:
        found, verdicts = None, [GateVerdict("G0", "failed", str(error))]
    if candidate is not None and verdicts[0].outcome != "failed":
        verdicts.append(_known(state, "G1", champion) or _g1(lake, state, candidate, champion))
        if found is not None:
            both = replay_policies(candidate, champion, found)
            comparison = compare(*both, wanted.thresholds)
        verdicts.append(g2_off_policy(comparison, wanted))
        if all(verdict.outcome != "failed" for verdict in verdicts):
            verdicts.append(_known(state, "G3", champion) or g3_simulated(candidate, champion, wanted))
    against = champion.version if champion is not None else None
    answers = tuple(msgspec.structs.replace(verdict, against=against) for verdict in verdicts)
    return GateJudgement(registry.judge(state.version, answers), champion, both, comparison)


def advance(lake: Lake, pace: RolloutSchedule = RolloutSchedule(), rails: GuardrailLimits | None = None) -> list[str]:
    """Take the steps that guardrails and gates ask for; a sentence for each."""
    registry = Registry(lake, WHO)
    rails = rails or guardrail_limits(pace)
    steps = roll_back_breaches(lake, guardrail_readings(lake, rails)) + _canary_step(registry, lake, pace, rails)
    seen_ever = decision_log.count(lake)
    for state in registry.in_state("candidate", "shadow"):
        steps += _step(registry, state, pace, _has_served(lake), seen_ever)
    return steps


def enforce_guardrails(lake: Lake, pace: RolloutSchedule = RolloutSchedule(), who: str = WHO) -> list[str]:
    """Hold who serves against the guardrails, by all that the log has now; a sentence for each step."""
    decision_log.catch_up(lake)
    return roll_back_breaches(lake, guardrail_readings(lake, guardrail_limits(pace)), who)


def roll_back_breaches(lake: Lake, seen: Sequence[GuardrailReading], who: str = WHO) -> list[str]:
    """Roll back whoever serves and breaks a guardrail, as ``watches`` has ``seen``."""
    registry = Registry(lake, who)
    steps = []
    for one in seen:
        if one.breaches:
            with _unless_gone(registry, one.version):
                now = registry.rollback(one.version, one.sentence(), one.figures())
                steps.append(f"{one.version} is rolled back, {now or 'price shares'} serve: {one.sentence()}")
    return steps


@contextmanager
def _unless_gone(registry: Registry, version: str) -> Iterator[None]:
    """A step of who serves: another process may have ended its serving since it was looked at."""
    try:
        yield
    except RegistryError:
        if version in registry.serving.versions():
            raise


def guardrail_readings(lake: Lake, rails: GuardrailLimits = GuardrailLimits()) -> list[GuardrailReading]:
    """Champion and canary beside the price arm: of the last minutes of the log, and since the canary's last step."""
    serving = Registry(lake, WHO).serving
    found = []
    if serving.champion:
        found.append(read_guardrails(decision_log.read(lake, last=WATCHED_DECISIONS), serving.champion, rails))
    if serving.canary:
        found.append(_watch_canary(lake, serving.canary, rails))
    return found


def _watch_canary(lake: Lake, canary: Canary, rails: GuardrailLimits) -> GuardrailReading:
    since = max(decision_log.count(lake) - canary.since, 0)
    frame = decision_log.read(lake, last=min(since, WATCHED_DECISIONS))
    return read_guardrails(frame, canary.version, rails, whole=True)


def _canary_step(registry: Registry, lake: Lake, pace: RolloutSchedule, rails: GuardrailLimits) -> list[str]:
    """To the next share, after the last one to champion, when this one has shown no harm."""
    canary = registry.serving.canary
    if canary is None:
        return []
    seen, version = _watch_canary(lake, canary, rails), canary.version
    if seen.decisions < pace.canary_decisions or seen.success is None or seen.breaches:
        return []
    wider = next((share for share in pace.canary_shares if share > canary.share), None)
    with _unless_gone(registry, version):
        if wider is None:
            registry.promote(version, seen.sentence(), seen.figures(), canary_only=True)
            return [f"{version} is champion: {seen.sentence()}"]
        why = f"{wider:.0%} of the traffic: {seen.sentence()}"
        registry.widen(version, wider, why, seen.figures(), decision_log.count(lake))
        return [f"{version} is canary with {why}"]
    return []


def _step(registry: Registry, state: PolicyState, pace: RolloutSchedule, has_served: bool, seen: int) -> list[str]:
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
        # Nothing learned has served yet, so that no log can speak for or against it: a small share makes that log.
        why = f"the first of all, on trial although {_because(unsure)}" if unsure else "all gates passed"
        share = pace.canary_shares[0]
        registry.canary(version, share, why, figures, since=seen)
        return [f"{version} is canary with {share:.0%}: {why}"]
    if state.state == "candidate":
        why = _because(unsure) if unsure else "all gates passed"
        registry.shadow(version, why, figures)
        return [f"{version} is shadow: {why}"]
    if seen - state.lineage.decisions >= pace.shadow_decisions:
        why = f"no gain shown in {seen - state.lineage.decisions} decisions"
        registry.retire(version, why, figures)
        return [f"{version} is retired: {why}"]
    return []


def _g1(lake: Lake, state: PolicyState, candidate: LearnedPolicy, champion: LearnedPolicy | None) -> GateVerdict:
    """On the held-out time as this log has it: what the trainer said of itself is not taken on its word.

    Where that was too short for the quantile's coverage, it is asked again on all that came since.
    """
    metrics = state.lineage.metrics
    since, until = (datetime.fromisoformat(t) for t in (state.lineage.held_out_from, state.lineage.data_until))
    before = next((verdict for verdict in state.verdicts if verdict.gate == "G1"), None)
    again = before is not None and before.outcome == "insufficient"
    found = build_samples(decision_log.read(lake, since=since - WARM_UP))
    held_out = found.between(since, until)
    if not any(s.ttft_s for s in held_out.rows):
        return g1_predictive(metrics)
    try:
        ours = prediction_losses(candidate, held_out)
        metrics = metrics | {f"{name}.loss": loss for name, loss in ours.means().items()}
        metrics = metrics | quantile_coverage(prediction_losses(candidate, found.between(since)) if again else ours)
    except PolicyError as error:
        return GateVerdict("G1", "failed", str(error))
    if champion is not None:
        with suppress(PolicyError):
            metrics = metrics | ours.against("champion", prediction_losses(champion, held_out))
    return g1_predictive(metrics)


def _known(state: PolicyState, gate: str, champion: LearnedPolicy | None) -> GateVerdict | None:
    """An answer that more decisions do not change, given against the champion there is now."""
    against = champion.version if champion is not None else None
    answered = (verdict for verdict in state.verdicts if verdict.gate == gate and verdict.against == against)
    return next((verdict for verdict in answered if gate != "G1" or verdict.outcome != "insufficient"), None)


def _loaded(lake: Lake, version: str | None) -> LearnedPolicy | None:
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
