"""The closed loop's own parts: the bad challenger is bad, and the page says what the files say."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.closed_loop.plant import FAILING, corrupt, plant
from data.lake import Lake
from data.policies import read_state
from models.selection import decision_log
from models.selection.samples import samples
from tests.policy_world import World

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_a_log_that_is_turned_round_praises_what_is_slow_and_fails(tmp_path: Path) -> None:
    world = World(Lake(tmp_path))
    world.serve(1200)
    decision_log.catch_up(world.lake)
    rows = decision_log.read(world.lake)
    true, turned = samples(rows).rows, samples(corrupt(rows)).rows
    assert [s.result for s in turned].count("error") / len(turned) == pytest.approx(FAILING, abs=0.05)
    pairs = zip(true, turned, strict=True)
    assert all(after.result == "success" for before, after in pairs if before.result != "success")
    waits = {
        name: [math.log(s.ttft_s) for s in turned if s.ttft_s and s.candidate.provider == name]
        for name in ("fast", "slow")
    }
    assert sum(waits["slow"]) / len(waits["slow"]) < sum(waits["fast"]) / len(waits["fast"])
    version = plant(world.lake)
    state = read_state(world.lake, version)
    assert state is not None
    assert (state.state, state.lineage.decisions) == ("candidate", int(1200 * 0.4))
