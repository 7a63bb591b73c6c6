"""An artifact in the simulated market sees what comes of its choices, as it does behind the router."""

from __future__ import annotations

import pytest

from models.selection.decision.artifact import Artifact
from models.selection.decision.features import CandidateEndpoint, RequestContext, planned_tokens
from models.selection.decision.outcome import AttemptObservation
from models.selection.decision.output_length import OutputLengths
from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.predictor import PREDICTED_QUANTITIES, Predictor, QuantityModel
from models.selection.decision.priors import PriorHierarchy
from models.selection.evaluation.gates import GateRequirements, judge_scenarios
from models.selection.evaluation.simulation_trial import TrialSettings, run_trial
from models.selection.simulation.simulated_policy import ArtifactPolicy, SimulationState

LEVEL = {quantity.name: QuantityModel("level", 0.0, {quantity.level: 1.0}) for quantity in PREDICTED_QUANTITIES}
CANDIDATES = [CandidateEndpoint(f"{name}:m", name, 10**9, 10**9) for name in "ab"]
ASK = RequestContext(300, None, True, False, 3, "m")


def policy(**rules: QuantityModel) -> LearnedPolicy:
    """Return a policy that predicts the level, except where ``rules`` differ."""
    predict = Predictor(list((LEVEL | rules).values()))
    return LearnedPolicy(Artifact("v1", {}, PriorHierarchy({}, {}, {}), OutputLengths({}), predict))


def test_a_served_artifact_leaves_an_endpoint_that_has_refused_it() -> None:
    served = ArtifactPolicy(policy())
    state = SimulationState(10.0, [0, 0], [])
    before = served.choose(ASK, CANDIDATES, state)
    favourite = max(range(2), key=before.__getitem__)
    served.observe(AttemptObservation(9.0, CANDIDATES[favourite].endpoint, "p", "rate_limited", 10.0))
    assert served.choose(ASK, CANDIDATES, state)[favourite] < 0.02 < before[favourite]


def test_a_served_artifact_is_asked_for_the_sizes_that_the_router_plans_for() -> None:
    learned = policy()
    served = ArtifactPolicy(learned)
    for tokens in range(planned_tokens(300) - 20, planned_tokens(300) + 1):
        served.choose(ASK._replace(prompt_tokens=tokens), CANDIDATES, SimulationState(1.0, [0, 0], []))
    assert len(learned._prepared) == 1


def test_the_same_artifact_twice_is_no_better_than_itself() -> None:
    (result,) = run_trial(policy(), policy(), TrialSettings(duration_s=30, markets=1, scenarios=("calm",)))
    assert result.gain == pytest.approx((0.0, 0.0, 0.0))
    assert result.utility < 0


def test_an_artifact_that_takes_the_quick_for_the_slow_is_refused_by_the_simulator() -> None:
    upside_down = policy(ttft_q50=QuantityModel("linear", 0.0, {"level_log_ttft": -3.0}))
    results = run_trial(upside_down, policy(), TrialSettings(duration_s=120, markets=2, scenarios=("calm",)))
    assert judge_scenarios(results, GateRequirements().scenario_margin).outcome == "failed"
