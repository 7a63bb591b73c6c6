"""Steps of a policy's life: what serves, what is remembered, what is refused, what a crash leaves."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from data.lake import Lake
from data.policies import (
    AuditEntry,
    Lineage,
    ServingAssignment,
    append_audit,
    read_audit,
    read_serving,
    read_state,
    write_serving,
)
from models.selection.lifecycle.registry import Registry, RegistryError, prune
from tests.running import portolan

LINEAGE = Lineage(
    data_from="2026-11-17T00:00:00+00:00",
    data_until="2026-11-17T05:00:00+00:00",
    held_out_from="2026-11-17T04:00:00+00:00",
    decisions=1000,
    code_version="0.1.0",
    libraries={},
    metrics={"brier": 0.1},
    sha256={},
)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    made = Registry(Lake(tmp_path), "test")
    for version in ("v1", "v2", "v3"):
        made.register(version, LINEAGE, "trained")
    return made


def states(registry: Registry) -> dict[str, str]:
    return {state.version: state.state for state in registry.states()}


def test_a_champion_steps_down_for_its_canary_and_comes_back_after_a_rollback(registry: Registry) -> None:
    registry.canary("v1", 0.1, "the first")
    registry.promote("v1", "no breach")
    registry.shadow("v2", "gates")
    registry.canary("v2", 0.2, "better")
    assert registry.serving == read_serving(registry._lake)
    assert registry.serving.versions() == ("v1", "v2")
    registry.promote("v2", "no breach")
    assert states(registry) == {"v1": "retired", "v2": "champion", "v3": "candidate"}
    assert registry.rollback("v2", "TTFT", {"ttft_p95_ratio": 2.0}) == "v1"
    assert states(registry) == {"v1": "champion", "v2": "rolled_back", "v3": "candidate"}
    assert registry.rollback("v1", "errors") is None
    assert registry.serving == ServingAssignment()


def test_a_canary_is_widened_and_what_it_has_shown_counts_from_there(registry: Registry) -> None:
    registry.canary("v1", 0.1, "the first", since=100)
    registry.widen("v1", 0.5, "no harm", since=900)
    canary = registry.serving.canary
    assert canary is not None
    assert (canary.share, canary.since, states(registry)["v1"]) == (0.5, 900, "canary")
    with pytest.raises(RegistryError, match="v2 is not the canary"):
        registry.widen("v2", 0.5, "-")


def test_a_canary_that_was_rolled_back_meanwhile_is_not_promoted(registry: Registry) -> None:
    registry.canary("v1", 0.1, "the first")
    registry.rollback("v1", "slow")
    with pytest.raises(RegistryError, match="v1 is not the canary"):
        registry.promote("v1", "it looked well", canary_only=True)
    assert (registry.serving.champion, states(registry)["v1"]) == (None, "rolled_back")


def test_old_artifacts_go_and_their_states_stay(registry: Registry, tmp_path: Path) -> None:
    lake, versions = Lake(tmp_path), [f"w{number}" for number in range(6)]
    for version in ("v1", "v2", *versions):
        (lake.policies / version).mkdir(exist_ok=True)
        for name in ("success.onnx", "policy.json", "report.html"):
            (lake.policies / version / name).write_bytes(b"-")
    registry.promote("v1", "by hand")
    registry.promote("v2", "by hand")
    registry.shadow("v3", "gates")
    for version in versions:
        registry.register(version, LINEAGE, "trained")
        registry.reject(version, "G1")
    (lake.policies / "torn.tmp").mkdir()
    os.utime(lake.policies / "torn.tmp", (0, 0))
    assert sorted(prune(lake, 2, "test")) == versions[:4]
    assert prune(lake, 2, "test") == []
    left = sorted(path.parent.name for path in lake.policies.glob("*/*.onnx"))
    assert left == ["v1", "v2", "w4", "w5"], "champion, predecessor and the last two"
    assert not (lake.policies / "torn.tmp").exists()
    assert (lake.policies / "w0/report.html").exists()
    listed = portolan("policy", "list", "--data-dir", str(tmp_path)).stdout
    assert "w0  rejected, pruned" in listed
    assert "w5  rejected, since" in listed
    assert [entry.version for entry in read_audit(lake) if entry.what == "pruned"] == versions[3::-1]
    with pytest.raises(RegistryError, match=r"w0 was pruned at .*: there is no artifact left to serve"):
        registry.promote("w0", "by hand")
    with pytest.raises(RegistryError, match="only what is out of service can be pruned"):
        registry.prune("v2", "-")


def test_every_step_is_in_the_audit_log_with_who_and_why(registry: Registry, tmp_path: Path) -> None:
    registry.canary("v1", 0.1, "the first", {"decisions": 300.0})
    last = read_audit(Lake(tmp_path))[-1]
    assert (last.who, last.what, last.version, last.why) == ("test", "canary", "v1", "the first")
    assert last.figures == {"decisions": 300.0}
    with (tmp_path / "policies/audit.jsonl").open("ab") as file:
        file.write(b'{"at": "torn')
    append_audit(Lake(tmp_path), last)
    assert len(read_audit(Lake(tmp_path))) == 5


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (lambda r: r.rollback("v1", "-"), "v1 is candidate; from there it cannot become rolled back"),
        (lambda r: r.promote("v9", "-"), "there is no policy v9"),
        (lambda r: r.promote("../v1", "-"), "there is no policy"),
        (lambda r: r.canary("v1", 1.5, "-"), "between 0 and 1"),
        (lambda r: (r.canary("v1", 0.1, "-"), r.canary("v2", 0.1, "-")), "one at a time"),
    ],
)
def test_a_step_that_cannot_be_taken_says_why(registry: Registry, step: object, says: str) -> None:
    with pytest.raises(RegistryError, match=says):
        step(registry)  # type: ignore[operator]


def test_a_step_that_was_interrupted_is_mended_from_who_serves(registry: Registry, tmp_path: Path) -> None:
    registry.promote("v1", "by hand")
    write_serving(Lake(tmp_path), ServingAssignment(champion="v2"))
    registry.register("v4", LINEAGE, "trained")
    assert states(registry)["v1"] == "retired"
    assert states(registry)["v2"] == "champion"
    assert "interrupted" in read_audit(Lake(tmp_path))[-2].why


def test_a_policy_published_before_the_registry_is_champion(tmp_path: Path) -> None:
    lake = Lake(tmp_path).create()
    (lake.policies / "old").mkdir()
    header = {"attempts": 7, "libraries": {}, "metrics": {}, "sha256": {}}
    (lake.policies / "old/policy.json").write_text(json.dumps(header))
    (lake.policies / "current.json").write_text('{"target": "old"}')
    assert read_serving(lake).champion == "old"
    Registry(lake, "test").register("v1", LINEAGE, "trained")
    state = read_state(lake, "old")
    assert state is not None
    assert state.state == "champion"


def test_a_damaged_document_serves_nobody(tmp_path: Path) -> None:
    lake = Lake(tmp_path).create()
    (lake.policies / "serving.json").write_text('{"champion": 7}')
    assert read_serving(lake) == ServingAssignment()


def test_a_state_with_figures_that_are_no_numbers_is_read_without_them(tmp_path: Path) -> None:
    """An older version has written null for them."""
    lake = Lake(tmp_path)
    registry = Registry(lake, "test")
    registry.register("v1", LINEAGE, "trained")
    path = lake.policies / "v1" / "state.json"
    content = json.loads(path.read_bytes())
    content["verdicts"] = [{"gate": "G2", "outcome": "passed", "reason": "-", "figures": {"lift": None, "n": 2.0}}]
    content["lineage"]["metrics"]["loss"] = None
    path.write_text(json.dumps(content))
    (state,) = registry.states()
    assert (state.state, state.verdicts[0].figures, state.lineage.metrics) == ("candidate", {"n": 2.0}, {"brier": 0.1})
    entry = AuditEntry(at="-", who="-", what="canary", version="v1", why="-", figures={"lift": math.nan})
    append_audit(lake, entry)
    assert read_audit(lake)[-1] == msgspec.structs.replace(entry, figures={})
    registry.reject("v1", "-", {"lift": math.nan, "n": 1.0})
    assert read_audit(lake)[-1].figures == {"n": 1.0}
    path.write_text("[null]")
    assert registry.states() == []


@pytest.mark.parametrize("place", ["champion", "canary", "shadow"])
def test_who_has_lost_its_state_serves_no_longer(tmp_path: Path, place: str) -> None:
    lake = Lake(tmp_path)
    registry = Registry(lake, "test")
    for version in ("v1", "v2"):
        registry.register(version, LINEAGE, "trained")
    steps: dict[str, Callable[[], None]] = {
        "champion": lambda: registry.promote("v1", "-"),
        "canary": lambda: registry.canary("v1", 0.1, "-"),
        "shadow": lambda: registry.shadow("v1", "-"),
    }
    steps[place]()
    (lake.policies / "v1" / "state.json").write_text("{")
    registry.reject("v2", "-")
    assert registry.serving.versions() == ()
    assert [(e.what, e.why) for e in read_audit(lake) if e.version == "v1"][-1] == (
        "retired",
        "its state cannot be read",
    )


def test_a_judging_that_has_not_ended_is_seen_in_the_state(registry: Registry, tmp_path: Path) -> None:
    def judgings() -> int:
        state = read_state(Lake(tmp_path), "v1")
        assert state is not None
        return state.judgings

    with registry.judging("v1") as before:
        assert (before.judgings, judgings()) == (0, 1)
        with registry.judging("v1"):
            assert judgings() == 2
    assert judgings() == 0
    with pytest.raises(KeyboardInterrupt), registry.judging("v1"):
        raise KeyboardInterrupt
    assert judgings() == 0
