"""The loop turns: log → training → artifact → router, and a broken artifact never serves."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from data.lake import Lake
from data.schema import Attempt, Record
from models.selection.policy import Candidate, Context, LearnedPolicy, PolicyError
from models.selection.train import train
from router_service.routing.learned import PolicyStore
from tests.test_marts import START_US, fill

# skl2onnx hands numpy scalars to protobuf, which numpy deprecates; the export itself is checked for parity.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ASK = Context(300, 100, True, False, 12)
FAST, SLOW = Candidate("fast:m", "fast", 10**9, 10**9), Candidate("slow:m", "slow", 10**9, 10**9)


def history(count: int) -> list[Record]:
    """``slow`` takes about 3 s and fails one time in four; ``fast`` takes about 0.3 s; streams halve both."""
    dice = random.Random(2)
    made = []
    for number in range(count):
        name = dice.choice(["fast", "slow"])
        failed = dice.random() < (0.25 if name == "slow" else 0.01)
        stream = dice.random() < 0.5
        ttft_s = (3.0 if name == "slow" else 0.3) * dice.lognormvariate(0, 0.2) * (0.5 if stream else 1.0)
        moment = START_US + number * 1_000_000
        record = Record(f"gen-{moment // 1_000_000}-{number}", moment, "w", "a/m", stream, 200, 10)
        ttft_us, error = (None, "timeout") if failed else (int(ttft_s * 1e6), None)
        record.attempts = [Attempt(f"{name}:m", name, "a/m", 200, error, ttft_us=ttft_us)]
        record.estimated_prompt_tokens = 300
        made.append(record)
    return made


@pytest.fixture
def trained(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path)
    fill(lake, history(1500))
    report = train(lake)
    assert report.published, report
    return lake


def test_the_better_endpoint_gets_more_and_every_one_some(trained: Lake) -> None:
    folder = trained.current_policy()
    assert folder is not None
    policy = LearnedPolicy.load(folder)
    fast, slow = policy.probabilities(ASK, [FAST, SLOW])
    assert fast + slow == pytest.approx(1)
    assert fast > 0.9
    assert slow >= 0.025
    quick, late = policy.estimates(ASK, [FAST, SLOW])
    assert quick.ttft_s < 0.3 < late.ttft_s
    assert quick.success > late.success


def test_too_little_data_publishes_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    fill(lake, history(50))
    report = train(lake)
    assert not report.published
    assert "50 attempts" in report.reason
    assert lake.current_policy() is None


def test_the_router_follows_the_pointer_and_leaves_a_broken_artifact(trained: Lake) -> None:
    store = PolicyStore(trained)
    store.poll()
    assert store.current is not None
    broken = trained.policies / "broken"
    folder = trained.current_policy()
    assert folder is not None
    broken.mkdir()
    for file in folder.iterdir():
        content = file.read_bytes()
        (broken / file.name).write_bytes(content[:-1] if file.name == "ttft.onnx" else content)
    with pytest.raises(PolicyError, match="sha256"):
        LearnedPolicy.load(broken)
    trained.publish_policy(broken)
    store.poll()
    assert store.current is None
    assert store.failures == 1


def test_the_router_carries_no_learner() -> None:
    heavy = ("sklearn", "dagster", "duckdb", "polars", "streamlit")
    code = f"import sys, router_service.app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
