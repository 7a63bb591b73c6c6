"""One turn of the loop: judge the challenger, watch who serves, take the step that follows.

Time is counted in decisions, so that a small installation waits longer and not less carefully.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from data.lake import Lake
from data.policies import PolicyState, Verdict, read_audit
from models.registry import Registry
from models.selection import decision_log
from models.selection.gates import (
    GATES,
    Comparison,
    Requirements,
    compared,
    g0_artifact,
    g1_predictive,
    g2_off_policy,
    g3_simulated,
)
from models.selection.guardrails import Rails, Watch, watch
from models.selection.policy import LearnedPolicy, PolicyError
from models.selection.predictive import coverage, scored
from models.selection.replay import Choices, choices
from models.selection.samples import samples

WHO = "pipelines"
# Later ones say enough, and all of them would be replayed each minute.
JUDGED_DECISIONS = 20_000
# Before the time that is judged: what the live windows still remember of it.
WARM_UP = timedelta(hours=2)
WATCHED_DECISIONS = 50_000


class Pace(NamedTuple):
    """``canary_share`` of all traffic; decisions of a canary before it is champion, of a shadow before it is given up.

    300 without a breach: an outcome never seen in 300 has under 1 % (the rule of three). A shadow whose gain does not
    show in 20,000 decisions gains less than is worth a change.
    """

    canary_share: float = 0.1
    canary_decisions: int = 300
    shadow_decisions: int = 20_000


def pace_of_environment() -> Pace:
    """``PORTOLAN_CANARY_SHARE``. Raises ``ValueError`` unless it is a number between 0 and 1."""
    text = os.environ.get("PORTOLAN_CANARY_SHARE", "").strip() or str(Pace().canary_share)
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise ValueError(f"PORTOLAN_CANARY_SHARE must be a number between 0 and 1, not {text}")
    return Pace(canary_share=share)


class Judgement(NamedTuple):
    """Of one challenger; ``found`` are the decisions that it has not learned from."""

    state: PolicyState
    candidate: LearnedPolicy | None
    champion: LearnedPolicy | None
    found: Choices | None
    comparison: Comparison | None


def judge(lake: Lake, wanted: Requirements = Requirements()) -> Judgement | None:
    """Put the challenger, if there is one, through the gates, and keep their answers with it."""
    registry = Registry(lake, WHO)
    waiting = registry.in_state("candidate", "shadow")
    if not waiting:
        return None
    state = waiting[-1]
    candidate, champion = _loaded(lake, state.version), _loaded(lake, registry.serving.champion)
    since = datetime.fromisoformat(state.lineage.held_out_from)
    comparison = None
    try:
        found = choices(decision_log.read(lake, last=JUDGED_DECISIONS, since=since))
        verdicts = [g0_artifact(lake.policies / state.version, found, wanted.thresholds)]
    except ValueError as error:
        found, verdicts = None, [Verdict("G0", "failed", str(error))]
    if candidate is not None and verdicts[0].outcome != "failed":
        verdicts.append(_known(state, "G1", champion) or _g1(lake, state, candidate, champion))
        if verdicts[1].outcome == "passed":
            comparison = compared(candidate, champion, found, wanted)
            verdicts.append(g2_off_policy(comparison, wanted))
            verdicts.append(_known(state, "G3", champion) or g3_simulated(candidate, champion, wanted))
    against = champion.version if champion is not None else None
    answers = tuple(msgspec.structs.replace(verdict, against=against) for verdict in verdicts)
    return Judgement(registry.judge(state.version, answers), candidate, champion, found, comparison)


def advance(lake: Lake, pace: Pace = Pace(), rails: Rails = Rails()) -> list[str]:
    """Take the steps that guardrails and gates ask for; a sentence for each."""
    registry = Registry(lake, WHO)
    steps = guard(lake, rails)
    canary = registry.serving.canary
    if canary is not None:
        seen = watch(decision_log.read(lake, last=WATCHED_DECISIONS), canary.version, rails, whole=True)
        if seen.decisions >= pace.canary_decisions and seen.success is not None and not seen.breaches:
            registry.promote(canary.version, seen.sentence(), seen.figures())
            steps.append(f"{canary.version} is champion: {seen.sentence()}")
    seen_ever = decision_log.count(lake)
    for state in registry.in_state("candidate", "shadow"):
        steps += _step(registry, state, pace, _has_served(lake), seen_ever)
    return steps


def guard(lake: Lake, rails: Rails = Rails(), who: str = WHO) -> list[str]:
    """Roll back whoever serves and breaks a guardrail."""
    registry = Registry(lake, who)
    steps = []
    for seen in watches(lake, rails):
        if seen.breaches:
            now = registry.rollback(seen.version, seen.sentence(), seen.figures())
            steps.append(f"{seen.version} is rolled back, {now or 'price shares'} serve: {seen.sentence()}")
    return steps


def watches(lake: Lake, rails: Rails = Rails()) -> list[Watch]:
    """Champion and canary beside the price arm, of the last minutes of the log."""
    serving = Registry(lake, WHO).serving
    versions = [serving.champion, serving.canary.version if serving.canary else None]
    frame = decision_log.read(lake, last=WATCHED_DECISIONS)
    canary = versions[1]
    return [watch(frame, version, rails, whole=version == canary) for version in versions if version]


def _step(registry: Registry, state: PolicyState, pace: Pace, has_served: bool, seen: int) -> list[str]:
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
        registry.canary(version, pace.canary_share, why, figures)
        return [f"{version} is canary with {pace.canary_share:.0%}: {why}"]
    if state.state == "candidate":
        why = _because(unsure) if unsure else "all gates passed"
        registry.shadow(version, why, figures)
        return [f"{version} is shadow: {why}"]
    if seen - state.lineage.decisions >= pace.shadow_decisions:
        why = f"no gain shown in {seen - state.lineage.decisions} decisions"
        registry.retire(version, why, figures)
        return [f"{version} is retired: {why}"]
    return []


def _g1(lake: Lake, state: PolicyState, candidate: LearnedPolicy, champion: LearnedPolicy | None) -> Verdict:
    """On the held-out time. Where that was too short for the quantile's coverage, on all that came since."""
    metrics = state.lineage.metrics
    since, until = (datetime.fromisoformat(t) for t in (state.lineage.held_out_from, state.lineage.data_until))
    before = next((verdict for verdict in state.verdicts if verdict.gate == "G1"), None)
    again = before is not None and before.outcome == "insufficient"
    if champion is None and not again:
        return g1_predictive(metrics)
    found = samples(decision_log.read(lake, since=since - WARM_UP))
    if again:
        metrics = metrics | coverage(scored(candidate, found.between(since)))
    try:
        return g1_predictive(metrics, champion, found.between(since, until))
    except PolicyError:
        return g1_predictive(metrics)


def _known(state: PolicyState, gate: str, champion: LearnedPolicy | None) -> Verdict | None:
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


def _because(verdicts: Sequence[Verdict]) -> str:
    return "; ".join(f"{verdict.gate}: {verdict.reason}" for verdict in verdicts)


def _flat(verdict: Verdict) -> list[tuple[str, float]]:
    return list(verdict.figures.items())
