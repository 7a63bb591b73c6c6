"""Define the learning loop: training set → candidate → evaluation report → promotion. Its gates are asset checks."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from data.policies import read_serving
from pipelines.defs.automation import SENSORS
from pipelines.defs.decisions import POOL, decisions
from pipelines.defs.policies import OWNERS, RETRIES
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
    owners=OWNERS,
    retry_policy=RETRIES,
    description="The last decisions, and whether there is reason to learn from them now.",
)
def training_set(lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    from models.selection.dataset import decision_log
    from models.selection.lifecycle.train import WINDOW_DECISIONS
    from models.selection.lifecycle.train import describe_training_set as describe

    # Hours that were sealed since the partitions were written; none when they were written in this run.
    caught_up = decision_log.catch_up(lake.lake())
    found = describe(lake.lake())
    rows = min(found.decisions, WINDOW_DECISIONS) if found.frame is None else len(found.frame)
    metadata: dict[str, Any] = {"dagster/row_count": rows, "due": found.due, "reason": found.reason}
    if found.frame is not None:
        metadata |= {"damaged_rows": found.damaged, "unreadable_hours": found.unreadable}
    return dg.MaterializeResult(metadata=metadata | {"hours_caught_up": len(caught_up)})


@dg.asset(
    group_name="selection",
    deps=[training_set],
    pool=POOL,
    owners=OWNERS,
    retry_policy=RETRIES,
    description="Success and TTFT of first attempts, learned and registered; nothing serves by it yet.",
)
def candidate(lake: LakeResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
    from models.selection.lifecycle.train import train

    report = train(lake.lake())
    metadata: dict[str, Any] = {"version": report.version or "-", "reason": report.reason}
    return dg.MaterializeResult(metadata=metadata | report.metrics)


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            "evaluation_report",
            deps=[candidate],
            group_name="selection",
            owners=OWNERS,
            description="The challenger before the gates; its page is report.html in its folder.",
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(gate, asset="evaluation_report", description=about) for gate, about in GATES.items()
    ],
    can_subset=True,
    pool=POOL,
    retry_policy=RETRIES,
)
def evaluation_report(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Any]:
    from models.selection.evaluation.report import write_report
    from models.selection.lifecycle.promotion import judge_challenger
    from models.selection.lifecycle.rollout import rollout_schedule_from_environment

    judgement = judge_challenger(lake.lake(), speed=rollout_schedule_from_environment().speed)
    if judgement is not None:
        write_report(lake.lake(), judgement)
    verdicts = judgement.state.verdicts if judgement is not None else []
    answers: dict[str, Any] = {verdict.gate: verdict.outcome for verdict in verdicts}
    version = judgement.state.version if judgement is not None else "-"
    if context.selected_asset_keys:
        yield dg.MaterializeResult(asset_key="evaluation_report", metadata={"version": version} | answers)
    # A gate that was not reached has no result: Dagster shows it as skipped.
    for verdict in verdicts:
        if dg.AssetCheckKey(dg.AssetKey("evaluation_report"), verdict.gate) in context.selected_asset_check_keys:
            yield _check(verdict.gate, verdict.outcome == "passed", verdict.outcome, verdict.reason)


@dg.asset(
    group_name="selection",
    deps=[decisions],
    pool="guardrails",
    owners=OWNERS,
    retry_policy=RETRIES,
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


@dg.sensor(job=watch, minimum_interval_seconds=60, default_status=SENSORS)
def learned_serves(lake: LakeResource) -> dg.RunRequest | dg.SkipReason:
    """Check the guardrails each minute while a learned policy serves, however long training and judging take."""
    if not read_serving(lake.lake()).versions():
        return dg.SkipReason("no learned policy serves")
    return dg.RunRequest()


@dg.asset(
    group_name="selection",
    deps=[evaluation_report, guardrails],
    pool=POOL,
    owners=OWNERS,
    retry_policy=RETRIES,
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
    owners=OWNERS,
    retry_policy=RETRIES,
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
    return dg.AssetCheckResult(
        check_name=gate, asset_key="evaluation_report", passed=passed, severity=severity, metadata=metadata
    )
