"""The loop turns on a real log: a policy earns its place, a bad one is refused, a forced one is rolled back."""

from __future__ import annotations

import math
import signal
from pathlib import Path

import dagster as dg
import pytest

from benchmarks.closed_loop import plant as planted
from benchmarks.closed_loop.plant import Header, upside_down
from dashboards.queries.policies import segments
from data.lake import Lake
from data.policies import read_audit, read_report, read_serving
from models.selection.dataset import decision_log
from models.selection.evaluation.gates import GateRequirements
from models.selection.evaluation.report import write_report
from models.selection.evaluation.simulation_trial import TrialSettings
from models.selection.lifecycle.promotion import advance, guardrail_readings, judge_challenger, roll_back_breaches
from models.selection.lifecycle.registry import Registry
from models.selection.lifecycle.train import train
from pipelines.defs.resources import LakeResource
from pipelines.defs.training import learned_serves
from tests.policy_world import World
from tests.running import Running, portolan, until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# What learned from three endpoints is no policy for the simulated markets: the margin here is wide.
WANTED = GateRequirements(decisions=1000, scenario_margin=0.5, trial=TrialSettings(duration_s=60, scenarios=("calm",)))


def turn(lake: Lake) -> list[str]:
    """Run the learning steps of a refresh, with smaller requirements."""
    decision_log.catch_up(lake)
    steps = roll_back_breaches(lake, guardrail_readings(lake))
    train(lake)
    judgement = judge_challenger(lake, WANTED)
    if judgement is not None:
        write_report(lake, judgement)
    return steps + advance(lake)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The first policy has become champion."""
    world = World(Lake(tmp_path_factory.mktemp("loop")))
    steps: list[str] = []
    while read_serving(world.lake).canary is None:
        # A log this young may be too short to tell whether the 90th percentile is one.
        world.serve(600)
        steps += turn(world.lake)
        assert len(steps) < 8, steps
    assert "is canary with 10%: the first of all" in steps[-1]
    world.serve(3600)
    wider, *_ = turn(world.lake)
    assert "is canary with 50% of the traffic: no guardrail broken" in wider
    assert "too few to judge" in guardrail_readings(world.lake)[0].sentence(), (
        "what came before its share says nothing of it"
    )
    world.serve(1000)
    champion, *_ = turn(world.lake)
    assert "is champion: no guardrail broken" in champion
    return world


@pytest.fixture
def world(grown: World, tmp_path: Path) -> World:
    return grown.copied(tmp_path / "copy")


def plant(lake: Lake, version: str, waits: float = 1.0, **known: float) -> str:
    """The champion with ``waits`` as the power of each wait that it takes for the truth, and metrics that lie.

    ``known`` are medians of TTFT in s of endpoints that it was not trained on.
    """

    def change(header: Header) -> None:
        upside_down(header, waits)
        for name, ttft_s in known.items():
            past = [1e4, math.log(ttft_s), 0.04]
            header["levels"]["endpoints"][f"{name}:m"] = {"log_ttft": past, "log_whole": past}

    for waiting in Registry(lake, "test").in_state("candidate", "shadow"):
        Registry(lake, "test").retire(waiting.version, "to make room")
    planted.plant(lake, str(read_serving(lake).champion), version, "test", change)
    return version


def test_a_better_challenger_goes_from_shadow_to_champion(world: World) -> None:
    """The champion takes the slower of two good ones for the quicker."""
    before = plant(world.lake, "20260101T000000Z", waits=-0.3, new=0.1)
    Registry(world.lake, "test").promote(before, "to be beaten")
    world.names.append("new")
    seen: list[str] = []
    for _ in range(20):
        world.serve(1500)
        seen += turn(world.lake)
        if read_serving(world.lake).champion != before:
            break
    serving = read_serving(world.lake)
    assert serving.champion not in (None, before), seen
    words = [entry.what for entry in read_audit(world.lake) if entry.version == serving.champion]
    assert words == ["candidate", "shadow", "canary", "canary", "champion"], seen
    report = read_report(world.lake, str(serving.champion))
    assert report is not None
    (whole,) = [row for row in report["segments"] if row["by"] == "all"]
    assert (whole["word"], whole["effective_samples"] > 200) == ("better", True)
    answers, streams = (row for row in report["segments"] if row["by"] == "delivery")
    assert (streams["name"], answers["name"]) == ("stream", "non-streaming")
    assert streams["decisions"] + answers["decisions"] == whole["decisions"]
    (lift,) = segments(world.lake, str(serving.champion)).filter(by="all").select("lift", "low", "high").rows()
    assert 0 < lift[1] < lift[0] < lift[2]
    lift = next(row for row in report["effects"] if row["figure"] == "lift_dr_usd")
    assert 0 < lift["low"] < lift["value"] < lift["high"]
    assert (
        "<h2>For whom it is better or worse</h2>"
        in (world.lake.policies / str(serving.champion) / "report.html").read_text()
    )


def test_a_bad_challenger_with_good_words_is_refused_by_the_log(world: World) -> None:
    bad = plant(world.lake, "29990101T000000Z", waits=-2.0)
    world.serve(4000)
    (step,) = [step for step in turn(world.lake) if bad in step]
    assert "rejected: G1: on held-out time predicted better: ttft_q50 by levels" in step
    assert "; G2: the log says that it earns less than what serves" in step
    assert read_serving(world.lake).champion != bad


def test_a_damaged_challenger_is_refused_before_anything_else(world: World) -> None:
    bad = plant(world.lake, "29990101T000000Z")
    path = world.lake.policies / bad / "policy.json"
    path.write_text(path.read_text().replace('"intercept": ', '"intercept": 1', 1))
    (step,) = [step for step in turn(world.lake) if bad in step]
    assert "rejected: G0: policy.json does not have the sha256" in step


def test_a_bad_policy_promoted_by_force_is_rolled_back_by_the_guardrails(world: World, tmp_path: Path) -> None:
    before = read_serving(world.lake).champion
    bad = plant(world.lake, "29990101T000000Z", waits=-2.0)
    data = ("--data-dir", str(world.lake.root))
    refused = portolan("policy", "promote", bad, "--why", "I know better", *data)
    assert (refused.returncode, "--force" in refused.stderr) == (2, True)
    assert portolan("policy", "promote", bad, "--why", "I know better", "--force", *data).returncode == 0
    assert read_serving(world.lake).champion == bad
    world.serve(1500)
    checked = portolan("policy", "check", *data)
    assert checked.returncode == 1
    assert "guardrails broken: mean TTFT" in checked.stdout
    assert read_serving(world.lake).champion == before
    forced, rolled = (next(e for e in read_audit(world.lake) if e.what == w and e.version == bad) for w in
                      ("champion", "rolled_back"))  # fmt: skip
    assert forced.why == "I know better"
    assert rolled.figures["ttft_mean_ratio.low"] > 1.1
    listed = portolan("policy", "list", *data).stdout
    assert f"{bad}  rolled back" in listed
    assert "first choices on the last" in portolan("policy", "diff", str(before), bad, *data).stdout
    assert "G0          passed" in portolan("policy", "show", str(before), *data).stdout
    watched_by_itself(world, bad, before, tmp_path)


def test_who_was_taken_out_meanwhile_is_not_rolled_back_twice(world: World) -> None:
    bad = plant(world.lake, "29990101T000000Z", waits=-2.0)
    Registry(world.lake, "test").promote(bad, "to be rolled back")
    world.serve(1500)
    decision_log.catch_up(world.lake)
    seen = guardrail_readings(world.lake)
    (step,) = roll_back_breaches(world.lake, seen)
    assert roll_back_breaches(world.lake, seen) == []
    audit = [entry for entry in read_audit(world.lake) if (entry.what, entry.version) == ("rolled_back", bad)]
    assert (len(audit), bad in step) == (1, True)


def watched_by_itself(world: World, bad: str, before: str | None, tmp_path: Path) -> None:
    """The same, while nobody looks and no pipeline runs."""
    assert isinstance(learned_serves(lake=LakeResource(data_dir=str(world.lake.root))), dg.RunRequest)
    data = ("--data-dir", str(world.lake.root))
    with Running(tmp_path / "output", "policy", "check", "--every", "1", *data) as watcher:
        assert portolan("policy", "promote", bad, "--why", "once more", "--force", *data).returncode == 0
        until(lambda: read_serving(world.lake).champion == before, "the guardrails have seen it")
        until(lambda: f"{bad} is rolled back" in watcher.output, "it says so")
        watcher.process.send_signal(signal.SIGINT)
        assert watcher.process.wait(120) == 0
    assert "Aborted" not in watcher.output
    rolled = [entry.who for entry in read_audit(world.lake) if (entry.what, entry.version) == ("rolled_back", bad)]
    assert len(rolled) == 2
    assert rolled[-1] == "guardrails"
