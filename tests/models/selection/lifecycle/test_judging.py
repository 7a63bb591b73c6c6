"""Whatever is raised while a version is judged ends in a state that says so, and the next training comes."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from data.lake import Lake
from data.policies import GateVerdict, read_audit, read_report, read_serving, read_state
from models.selection.dataset import decision_log
from models.selection.decision.artifact import PolicyError
from models.selection.decision.policy import LearnedPolicy
from models.selection.evaluation import report
from models.selection.evaluation.gates import GateRequirements
from models.selection.evaluation.report import write_report
from models.selection.evaluation.simulation_trial import TrialSettings
from models.selection.lifecycle import promotion
from models.selection.lifecycle.promotion import MAX_KILLED_JUDGINGS, advance, enforce_guardrails, judge_challenger
from models.selection.lifecycle.registry import Registry
from models.selection.lifecycle.train import describe_training_set, train
from models.selection.training.export import write_header
from pipelines.refresh import refresh
from tests.models.selection.dataset.test_damage import DAMAGE, Row, rewrite, spoil
from tests.policy_world import World
from tests.running import ROOT, environment, until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# A candidate with nothing against it, in which of them is a matter of how long its log is.
SOUND = ("shadow", "canary")
WANTED = GateRequirements(
    decisions=1000, scenario_margin=0.5, trial=TrialSettings(duration_s=20, markets=1, scenarios=("calm",))
)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A first candidate that no gate has been asked about, and choices that it has not learned from."""
    world = World(Lake(tmp_path_factory.mktemp("judging")))
    world.serve(900)
    report = train(world.lake)
    assert report.version, report
    world.serve(100)
    decision_log.catch_up(world.lake)
    return world


@pytest.fixture
def world(taught: World, tmp_path: Path) -> World:
    return taught.copied(tmp_path / "copy")


def version_of(lake: Lake) -> str:
    (state,) = Registry(lake, "test").states()
    return state.version


def turn(lake: Lake) -> list[str]:
    """Run the learning steps of a refresh, with smaller requirements."""
    decision_log.catch_up(lake)
    steps = enforce_guardrails(lake)
    train(lake)
    judgement = judge_challenger(lake, WANTED)
    if judgement is not None:
        write_report(lake, judgement)
    return steps + advance(lake)


def state_of(lake: Lake, version: str) -> str:
    state = read_state(lake, version)
    assert state is not None
    return state.state


def reasons(lake: Lake, version: str, what: str) -> list[str]:
    return [entry.why for entry in read_audit(lake) if (entry.version, entry.what) == (version, what)]


def is_due_again(world: World) -> bool:
    """Return True when the log has grown by a fifth, so that training is due again."""
    world.serve(300)
    decision_log.catch_up(world.lake)
    return describe_training_set(world.lake).due


def damaged(lake: Lake, version: str, change: Callable[[dict[str, Any]], None]) -> None:
    """An artifact whose signature holds, and whose content is not what it was."""
    folder = lake.policies / version
    header = json.loads((folder / "policy.json").read_bytes())
    change(header)
    write_header(folder, header)


def without_features(header: dict[str, Any]) -> None:
    header["features"] = None


def no_numbers(header: dict[str, Any]) -> None:
    header["levels"]["endpoints"]["fast:m"]["log_ttft"][1] = math.nan


def too_large(header: dict[str, Any]) -> None:
    header["quantities"]["ttft_q50"]["intercept"] = 1e200


@pytest.mark.parametrize(
    ("change", "says"),
    [(without_features, "cannot be read"), (no_numbers, "cannot be read"), (too_large, "cannot be read")],
)
def test_a_damaged_artifact_is_rejected(world: World, change: Callable[[dict[str, Any]], None], says: str) -> None:
    lake, version = world.lake, version_of(world.lake)
    damaged(lake, version, change)
    (step,) = turn(lake)
    assert step.startswith(f"{version} is rejected: G0: ")
    assert says in step
    assert state_of(lake, version) == "rejected"
    assert reasons(lake, version, "rejected") == [step.partition("rejected: ")[2]]
    assert is_due_again(world)


@pytest.mark.parametrize("since", ["", "yesterday", "2026-11-17T04:00:00"])
def test_a_lineage_that_says_no_time_is_rejected(world: World, since: str) -> None:
    lake, version = world.lake, version_of(world.lake)
    path = lake.policies / version / "state.json"
    content = json.loads(path.read_bytes())
    content["lineage"]["held_out_from"] = since
    path.write_text(json.dumps(content))
    turn(lake)
    assert state_of(lake, version) == "rejected"
    assert "Error" in reasons(lake, version, "rejected")[0]
    assert is_due_again(world)


class Broken(Exception):
    """Nothing that anybody has foreseen."""


def broken(*_: object, **__: object) -> Any:
    raise Broken("the moon is\nfull")


@pytest.mark.parametrize(
    ("name", "gate"),
    [
        ("read_replay_set", "G0"),
        ("g0_artifact", "G0"),
        ("prediction_losses", "G1"),
        ("replay_policies", "G2"),
        ("compare", "G2"),
        ("g2_off_policy", "G2"),
        ("g3_simulated", "G3"),
    ],
)
def test_whatever_a_gate_raises_is_its_answer(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, gate: str
) -> None:
    lake, version = world.lake, version_of(world.lake)
    with monkeypatch.context() as patch:
        patch.setattr(promotion, name, broken)
        (step,) = turn(lake)
    assert step == f"{version} is rejected: {gate}: Broken: the moon is full"
    state = read_state(lake, version)
    assert state is not None
    assert (state.state, state.verdicts[-1].gate, state.judgings) == ("rejected", gate, 0)
    assert reasons(lake, version, "rejected") == [f"{gate}: Broken: the moon is full"]
    assert is_due_again(world)


def test_a_report_that_cannot_be_made_keeps_nobody_from_the_next_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, version = world.lake, version_of(world.lake)
    monkeypatch.setattr(report, "evaluate", broken)
    turn(lake)
    assert state_of(lake, version) != "candidate"
    found = read_report(lake, version)
    assert found is not None
    assert (found["fault"], found["segments"]) == ("Broken: the moon is full", [])
    assert [verdict["gate"] for verdict in found["verdicts"]][:3] == ["G0", "G1", "G2"]
    assert "Broken: the moon is full" in (lake.policies / version / "report.html").read_text()


def test_a_step_that_cannot_be_taken_ends_in_a_rejection(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, version = world.lake, version_of(world.lake)
    judge_challenger(lake, WANTED)
    with monkeypatch.context() as patch:
        patch.setattr(promotion, "_has_served", broken)
        assert advance(lake) == [f"{version} is rejected: its step failed: Broken: the moon is full"]
    assert state_of(lake, version) == "rejected"
    assert is_due_again(world)


def test_a_figure_that_is_no_number_passes_no_gate_and_loses_no_state(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, version = world.lake, version_of(world.lake)
    praise = GateVerdict("G2", "passed", "so it says", {"lift": math.nan, "share": math.inf, "decisions": 7.0})
    monkeypatch.setattr(promotion, "g2_off_policy", lambda *_: praise)
    (step,) = turn(lake)
    assert step == f"{version} is rejected: G2: a gate is not passed on figures that are not finite: lift, share"
    state = read_state(lake, version)
    assert state is not None
    assert state.verdicts[-1].figures == {"decisions": 7.0}


def test_what_training_raises_stops_no_judgement(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, version = world.lake, version_of(world.lake)
    monkeypatch.setattr("models.selection.lifecycle.train.build_samples", broken)
    monkeypatch.setattr("models.selection.lifecycle.train.held_out_metrics", broken)
    assert train(lake, force=True).reason == "not trained: Broken: the moon is full"
    turn(lake)
    assert state_of(lake, version) in SOUND


def test_a_damaged_log_rejects_nobody(world: World) -> None:
    lake, version = world.lake, version_of(world.lake)

    def change(rows: list[Row]) -> None:
        for row, (what, value) in zip(rows[::9], DAMAGE, strict=False):
            spoil(row, what, value)

    rewrite(lake, change)
    turn(lake)
    assert state_of(lake, version) in SOUND


def test_what_is_raised_after_an_export_leaves_no_version(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = world.lake
    before = sorted(lake.policies.iterdir())
    monkeypatch.setattr("models.selection.lifecycle.train.held_out_metrics", broken)
    assert train(lake, force=True).version is None
    assert sorted(lake.policies.iterdir()) == before


def test_a_refresh_turns_on_with_a_version_that_cannot_be_judged(world: World) -> None:
    lake, version = world.lake, version_of(world.lake)
    damaged(lake, version, no_numbers)
    found = refresh(lake.root, lambda _: None)
    assert not {"training_set", "candidate", "evaluation_report", "promotion"} & set(found.failed)
    assert f"{version} is rejected: G0" in found.metadata["promotion"]["steps"]
    world.serve(300)
    decision_log.catch_up(lake)
    assert train(lake).reason == "trained"


KILLED = """
    import sys, time
    from data.lake import Lake
    from models.selection.lifecycle import promotion

    def hang(*_, **__):
        print("judging", flush=True)
        time.sleep(600)

    promotion.g0_artifact = hang
    promotion.judge_challenger(Lake(sys.argv[1]))
"""


def kill_while_judging(lake: Lake, output: Path) -> None:
    """A process that judges, and SIGKILL in the midst of it."""
    with output.open("wb") as file:
        command = [sys.executable, "-c", textwrap.dedent(KILLED), str(lake.root)]
        judging = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=file)
    try:
        until(lambda: b"judging" in output.read_bytes() or judging.poll() is not None, "it judges", 300)
        assert judging.poll() is None
    finally:
        os.kill(judging.pid, signal.SIGKILL)
        judging.wait(60)


def test_what_a_killed_process_was_judging_is_judged_at_the_next_turn(world: World, tmp_path: Path) -> None:
    lake, version = world.lake, version_of(world.lake)
    kill_while_judging(lake, tmp_path / "output")
    state = read_state(lake, version)
    assert state is not None
    assert (state.state, state.verdicts, state.judgings) == ("candidate", (), 1)
    turn(lake)
    state = read_state(lake, version)
    assert state is not None
    assert (state.state in SOUND, state.judgings) == (True, 0)


def test_what_kills_whoever_judges_it_is_rejected(world: World, tmp_path: Path) -> None:
    lake, version = world.lake, version_of(world.lake)
    kill_while_judging(lake, tmp_path / "output")
    path = lake.policies / version / "state.json"
    path.write_bytes(msgspec.json.encode(json.loads(path.read_bytes()) | {"judgings": MAX_KILLED_JUDGINGS}))
    turn(lake)
    assert state_of(lake, version) == "rejected"
    assert reasons(lake, version, "rejected") == [
        f"G0: {MAX_KILLED_JUDGINGS} processes were killed while they judged it"
    ]
    assert is_due_again(world)


def test_who_was_left_behind_a_newer_one_is_closed(world: World) -> None:
    lake, version = world.lake, version_of(world.lake)
    newer = train(lake, force=True).version
    assert newer is not None
    steps = turn(lake)
    assert f"{version} is retired: it was not judged before {newer} was made" in steps
    assert state_of(lake, version) == "retired"
    assert state_of(lake, newer) != "candidate"


def on_trial(lake: Lake) -> str:
    """The candidate as canary."""
    version = version_of(lake)
    Registry(lake, "test").canary(version, 0.1, "for the test", since=0)
    return version


def test_a_canary_that_cannot_be_watched_is_rolled_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    version = on_trial(world.lake)
    with monkeypatch.context() as patch:
        patch.setattr(promotion, "read_guardrails", broken)
        steps = advance(world.lake)
    why = "its guardrails could not be read: Broken: the moon is full"
    assert steps == [f"{version} is rolled back, price shares serve: {why}"]
    assert read_serving(world.lake).versions() == ()
    assert reasons(world.lake, version, "rolled_back") == [why]
    assert is_due_again(world)


def test_a_canary_whose_artifact_is_damaged_does_not_wait_for_traffic_that_no_router_sends_it(world: World) -> None:
    version = on_trial(world.lake)
    damaged(world.lake, version, no_numbers)
    with pytest.raises(PolicyError):
        LearnedPolicy.load(world.lake.policies / version)
    (step,) = enforce_guardrails(world.lake)
    assert f"{version} is rolled back, price shares serve" in step
    assert state_of(world.lake, version) == "rolled_back"
    assert is_due_again(world)


def test_a_champion_that_cannot_be_watched_serves_on_and_is_told_of(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = version_of(world.lake)
    Registry(world.lake, "test").promote(version, "for the test")
    monkeypatch.setattr(promotion, "read_guardrails", broken)
    (step,) = enforce_guardrails(world.lake)
    assert step.startswith(f"{version} serves on: its guardrails could not be read: Broken")
    assert read_serving(world.lake).champion == version


def test_a_damaged_champion_stands_in_no_candidates_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, champion = world.lake, version_of(world.lake)
    Registry(lake, "test").promote(champion, "for the test")
    newer = train(lake, force=True).version
    assert newer is not None
    decide = LearnedPolicy.probabilities

    def fails(policy: LearnedPolicy, *rest: Any) -> list[float]:
        if policy.version == champion and len(rest) > 2:
            raise Broken("the moon is full")
        return decide(policy, *rest)

    monkeypatch.setattr(LearnedPolicy, "probabilities", fails)
    judgement = judge_challenger(lake, WANTED)
    assert judgement is not None
    assert judgement.champion is None
    assert "Broken" not in " ".join(verdict.reason for verdict in judgement.state.verdicts)


def test_guardrails_look_at_what_the_log_has_when_no_more_can_be_added(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = version_of(world.lake)
    Registry(world.lake, "test").promote(version, "for the test")
    monkeypatch.setattr(decision_log, "catch_up", broken)
    assert enforce_guardrails(world.lake) == []
