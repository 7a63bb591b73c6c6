"""Define the learning loop: training set → candidate → evaluation report → promotion. Its gates are asset checks."""

from typing import Any

import dagster as dg

from data.policies import read_serving
from pipelines.defs.decisions import POOL, decisions
from pipelines.defs.resources import BESIDE_BUILDS, LakeResource

GATES = {
    "G0": "The artifact is whole and the log's probabilities are those it chose by.",
    "G1": "It predicts the held-out time better than what needs no learner and than the champion.",
    "G2": "The log says that it earns more than what serves.",
    "G3": "It is no worse in any simulated scenario.",
}


@dg.asset(
    group_name="selection",
    deps=[decisions],
    pool=POOL,
    description="The last decisions, and whether there is reason to learn from them now.",
)
def training_set(lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    from models.selection.dataset import decision_log
    from models.selection.lifecycle.train import describe_training_set as describe

    # Hours that were sealed since the partitions were written; none when they were written in this run.
    caught_up = decision_log.catch_up(lake.lake())
    found = describe(lake.lake())
    metadata: dict[str, Any] = {"dagster/row_count": len(found.frame), "due": found.due, "reason": found.reason}
    left_out = {"damaged_rows": found.damaged, "unreadable_hours": found.unreadable}
    return dg.MaterializeResult(metadata=metadata | left_out | {"hours_caught_up": len(caught_up)})


@dg.asset(
    group_name="selection",
    deps=[training_set],
    pool=POOL,
    description="Success and TTFT of first attempts, learned and registered; nothing serves by it yet.",
)
def candidate(lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    from models.selection.lifecycle.train import train

    report = train(lake.lake())
    metadata: dict[str, Any] = {"version": report.version or "-", "reason": report.reason}
    return dg.MaterializeResult(metadata=metadata | report.metrics)


@dg.asset(
    group_name="selection",
    deps=[candidate],
    pool=POOL,
    check_specs=[
        dg.AssetCheckSpec(gate, asset="evaluation_report", description=about) for gate, about in GATES.items()
    ],
    description="The challenger before the gates; its page is report.html in its folder.",
)
def evaluation_report(lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    from models.selection.evaluation.report import write_report
    from models.selection.lifecycle.promotion import judge_challenger
    from models.selection.lifecycle.rollout import rollout_schedule_from_environment

    judgement = judge_challenger(lake.lake(), speed=rollout_schedule_from_environment().speed)
    if judgement is None:
        checks = [_check(gate, True, "no challenger", "-") for gate in GATES]
        return dg.MaterializeResult(metadata={"version": "-"}, check_results=checks)
    write_report(lake.lake(), judgement)
    found = {verdict.gate: verdict for verdict in judgement.state.verdicts}
    checks = [
        _check(gate, found[gate].outcome == "passed", found[gate].outcome, found[gate].reason)
        if gate in found
        else _check(gate, False, "insufficient", "an earlier gate failed")
        for gate in GATES
    ]
    answers: dict[str, Any] = {verdict.gate: verdict.outcome for verdict in judgement.state.verdicts}
    return dg.MaterializeResult(metadata={"version": judgement.state.version} | answers, check_results=checks)


@dg.asset(
    group_name="selection",
    deps=[decisions],
    pool="guardrails",
    description="Who serves, beside the price arm of the last hour; what breaks a rail is rolled back.",
)
def guardrails(lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    from models.selection.lifecycle.promotion import enforce_guardrails
    from models.selection.lifecycle.rollout import rollout_schedule_from_environment

    # Before and apart from training: a fault there must not keep a bad policy in service.
    return dg.MaterializeResult(
        metadata={"steps": "; ".join(enforce_guardrails(lake.lake(), rollout_schedule_from_environment())) or "none"}
    )


watch = dg.define_asset_job(
    "watch", selection=[guardrails], executor_def=dg.in_process_executor, tags={BESIDE_BUILDS: "true"}
)


@dg.sensor(job=watch, minimum_interval_seconds=60)
def learned_serves(lake: LakeResource) -> dg.RunRequest | dg.SkipReason:
    """Check the guardrails each minute while a learned policy serves, however long training and judging take."""
    if not read_serving(lake.lake()).versions():
        return dg.SkipReason("no learned policy serves")
    return dg.RunRequest()


@dg.asset(
    group_name="selection",
    deps=[evaluation_report, guardrails],
    pool=POOL,
    description="The step that the gates and the canary's own record allow.",
)
def promotion(lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    from models.selection.lifecycle.promotion import advance
    from models.selection.lifecycle.rollout import rollout_schedule_from_environment

    steps = advance(lake.lake(), rollout_schedule_from_environment())
    return dg.MaterializeResult(metadata={"steps": "; ".join(steps) or "none"})


@dg.asset(
    group_name="selection",
    deps=[promotion],
    pool=POOL,
    description="Artifacts on disk: who serves, its predecessor and the last few; of the others states and reports.",
)
def kept_artifacts(lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    from models.selection.lifecycle.registry import prune
    from models.selection.lifecycle.rollout import rollout_schedule_from_environment

    gone = prune(lake.lake(), rollout_schedule_from_environment().kept, "pipelines")
    return dg.MaterializeResult(metadata={"pruned": len(gone), "versions": ", ".join(gone) or "none"})


def _check(gate: str, passed: bool, outcome: str, reason: str) -> dg.AssetCheckResult:
    # A warning: a candidate that is refused is the gates at work, and no fault of the run.
    severity = dg.AssetCheckSeverity.WARN
    metadata = {"outcome": outcome, "reason": reason}
    return dg.AssetCheckResult(check_name=gate, passed=passed, severity=severity, metadata=metadata)
