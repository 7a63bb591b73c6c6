"""Test the loop from log to training, artifact and router, and that a broken artifact never serves."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data.lake import Lake
from data.policies import Canary, ServingAssignment, read_serving, write_serving
from data.record.attempt import Attempt
from data.record.record import Record
from models.selection.decision.artifact import PolicyError
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.policy import LearnedPolicy
from models.selection.lifecycle.registry import Registry
from models.selection.lifecycle.train import train
from models.selection.training.export import write_header
from router_service.core.plan import Plan
from router_service.core.preferences import NO_PREFERENCES
from router_service.planning.eligibility import RequestProfile
from router_service.planning.make_plan import make_plan
from router_service.planning.policy_store import PolicyStore, ServedPolicy
from router_service.planning.strategies.strategy import RULES_VERSION
from tests.market import endpoint, state
from tests.pipelines.test_marts import START_US, fill

# skl2onnx hands numpy scalars to protobuf, which numpy deprecates; the export itself is checked for parity.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ASK = RequestContext(300, 100, True, False, 12)
FAST, SLOW = CandidateEndpoint("fast:m", "fast", 10**9, 10**9), CandidateEndpoint("slow:m", "slow", 10**9, 10**9)


def history(count: int) -> list[Record]:
    """Return a log in which ``slow`` takes 3 s and fails often, and ``fast`` takes 0.3 s; streams halve both."""
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
    assert report.version, report
    Registry(lake, "test").promote(report.version, "for the test")
    return lake


def champion(lake: Lake) -> Path:
    version = read_serving(lake).champion
    assert version is not None
    return lake.policies / version


def test_the_better_endpoint_is_chosen_and_a_far_worse_one_is_not_explored(trained: Lake) -> None:
    policy = LearnedPolicy.load(champion(trained))
    fast, slow = policy.probabilities(ASK, [FAST, SLOW])
    assert fast + slow == pytest.approx(1)
    assert fast > 0.9
    assert slow == 0
    quick, late = policy.estimates(ASK, [FAST, SLOW])
    assert quick.ttft_s < 0.3 < late.ttft_s
    assert quick.success > late.success


def test_too_little_data_publishes_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    fill(lake, history(50))
    report = train(lake)
    assert report.version is None
    assert "50 attempts" in report.reason
    assert Registry(lake, "test").states() == []


def broken(lake: Lake, name: str) -> str:
    """Return a copy of the champion with a changed figure in a model."""
    copy = lake.policies / name
    shutil.copytree(champion(lake), copy)
    path = copy / "policy.json"
    path.write_text(path.read_text().replace('"intercept": ', '"intercept": 1', 1))
    with pytest.raises(PolicyError, match="sha256"):
        LearnedPolicy.load(copy)
    return name


def test_the_router_follows_the_registry_and_rejects_a_broken_artifact(trained: Lake) -> None:
    store = PolicyStore(trained)
    store.poll()
    assert store.current is not None
    write_serving(trained, ServingAssignment(champion=broken(trained, "broken")))
    store.poll()
    assert store.current is None
    assert store.failures == 1


def test_a_broken_canary_does_not_affect_the_champion(trained: Lake, caplog: pytest.LogCaptureFixture) -> None:
    name = champion(trained).name
    write_serving(trained, ServingAssignment(name, Canary(broken(trained, "broken"), 0.1), shadow="nowhere"))
    store = PolicyStore(trained)
    store.poll()
    plan = planned(store, 0.5)
    assert [(arm.policy, arm.version, round(arm.weight, 9)) for arm in plan.arms] == [
        ("learned", name, 0.5),
        ("price", RULES_VERSION, 0.5),
    ]
    assert store.failures == 2
    assert "broken refused" in caplog.text
    assert "nowhere refused" in caplog.text


def test_champion_canary_and_price_shares_are_arms_of_one_mixture(trained: Lake) -> None:
    name = champion(trained).name
    shutil.copytree(champion(trained), trained.policies / "second")
    header = json.loads((trained.policies / "second/policy.json").read_bytes()) | {"version": "second"}
    write_header(trained.policies / "second", header)
    write_serving(trained, ServingAssignment(name, Canary("second", 0.1)))
    store = PolicyStore(trained)
    store.poll()
    plan = planned(store, 0.5)
    assert [(arm.version, round(arm.weight, 9)) for arm in plan.arms] == [
        (name, 0.4),
        ("second", 0.1),
        (RULES_VERSION, 0.5),
    ]
    learned = LearnedPolicy.load(champion(trained)).probabilities(ASK, [FAST, SLOW])
    by_name = dict(zip(("fast:m", "slow:m"), learned, strict=True))
    for place, found in enumerate(plan.endpoints):
        assert plan.probabilities[place] == pytest.approx(0.5 * by_name[found.id] + 0.5 * 0.5)
    assert [plan.sample(draw).arm.version for draw in (0.0, 0.45, 0.6)] == [name, "second", RULES_VERSION]


def test_a_policy_that_fails_in_a_decision_is_abandoned_and_the_other_continues(trained: Lake) -> None:
    class Failing:
        version = "failing"

        def weigh(self, ask: object, endpoints: object, views: object, weights: object) -> list[float]:
            raise PolicyError("no number")

    store = PolicyStore(trained)
    write_serving(trained, ServingAssignment(champion(trained).name, Canary(champion(trained).name, 0.1)))
    store.poll()
    failing: ServedPolicy = Failing()  # type: ignore[assignment]
    store._loaded["failing"] = failing
    assert store.current is not None
    store.current._canary = failing
    assert [arm.weight for arm in planned(store, 0.5).arms] == pytest.approx([0.4, 0.6])
    assert store.failures == 1
    assert "failing" not in store._loaded


def planned(store: PolicyStore, share: float) -> Plan:
    """A plan between the two endpoints of ``history``, equally dear."""
    offers = [endpoint(name, 1, id=f"{name}:m") for name in ("fast", "slow")]
    ask = RequestProfile(ASK.prompt_tokens, ASK.max_tokens, (), ASK.stream, ASK.tools, ASK.hour)
    return make_plan(
        "a/m", offers, NO_PREFERENCES, ask, state(learned=store.current, learned_share=share, strategy="learned")
    )


def test_the_router_imports_no_training_library() -> None:
    heavy = ("sklearn", "dagster", "duckdb", "polars", "streamlit", "pandas")
    code = f"import sys, router_service.app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
