"""The closed loop's bad challenger is bad: it takes the quick for the slow, whatever was seen of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.closed_loop.plant import plant
from data.lake import Lake
from data.policies import read_state
from models.selection.dataset.replay_set import read_replay_set
from models.selection.decision.policy import LearnedPolicy
from models.selection.evaluation.replay import replay_probabilities
from models.selection.lifecycle.train import train
from tests.policy_world import World

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
BAD = "29990101T000000Z"


def test_outcomes_do_not_mend_a_model_that_is_upside_down(tmp_path: Path) -> None:
    world = World(Lake(tmp_path))
    world.serve(1200)
    good = train(world.lake).version
    assert good is not None
    plant(world.lake, good, BAD, "test")
    found = read_replay_set(world.lake, 300)
    assert found is not None
    slow = np.array([[c.provider == "slow" for c in candidates] for candidates in found.candidates])
    chances = {
        version: replay_probabilities(LearnedPolicy.load(world.lake.policies / version), found)
        for version in (good, BAD)
    }
    assert (chances[good] * slow).sum(axis=1).mean() < 0.05
    assert (chances[BAD] * slow).sum(axis=1).mean() > 0.95
    state = read_state(world.lake, BAD)
    assert state is not None
    assert (state.state, state.lineage.metrics["ttft_q50.loss"]) == ("candidate", 0.0)
