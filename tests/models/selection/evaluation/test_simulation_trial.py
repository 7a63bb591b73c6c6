"""An artifact in the simulated market sees what comes of its choices, as it does behind the router."""

from __future__ import annotations

import pytest

from models.selection.decision.artifact import Artifact
from models.selection.decision.features import Candidate, Context, planned_tokens
from models.selection.decision.outcome import Outcome
from models.selection.decision.output_length import OutputLengths
from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.predictor import QUANTITIES, Predictor, Rule
from models.selection.decision.priors import Levels
from models.selection.evaluation.gates import Requirements, judge_trial
from models.selection.evaluation.simulation_trial import Trial, run
from models.selection.simulation.interface import Served, State

LEVEL = {quantity.name: Rule("level", 0.0, {quantity.level: 1.0}) for quantity in QUANTITIES}
CANDIDATES = [Candidate(f"{name}:m", name, 10**9, 10**9) for name in "ab"]
ASK = Context(300, None, True, False, 3, "m")


def policy(**rules: Rule) -> LearnedPolicy:
    """What is predicted is the level, but for ``rules``."""
    predict = Predictor(list((LEVEL | rules).values()))
    return LearnedPolicy(Artifact("v1", {}, Levels({}, {}, {}), OutputLengths({}), predict))


def test_a_served_artifact_leaves_an_endpoint_that_has_refused_it() -> None:
    served = Served(policy())
    state = State(10.0, [0, 0], [])
    before = served.choose(ASK, CANDIDATES, state)
    favourite = max(range(2), key=before.__getitem__)
    served.observe(Outcome(9.0, CANDIDATES[favourite].endpoint, "p", "rate_limited", 10.0))
    assert served.choose(ASK, CANDIDATES, state)[favourite] < 0.02 < before[favourite]


def test_a_served_artifact_is_asked_for_the_sizes_that_the_router_plans_for() -> None:
    learned = policy()
    served = Served(learned)
    for tokens in range(planned_tokens(300) - 20, planned_tokens(300) + 1):
        served.choose(ASK._replace(prompt_tokens=tokens), CANDIDATES, State(1.0, [0, 0], []))
    assert len(learned._known) == 1


def test_the_same_artifact_twice_is_no_better_than_itself() -> None:
    (result,) = run(policy(), policy(), Trial(duration_s=30, markets=1, scenarios=("calm",)))
    assert result.gain == pytest.approx((0.0, 0.0, 0.0))
    assert result.utility < 0


def test_an_artifact_that_takes_the_quick_for_the_slow_is_refused_by_the_simulator() -> None:
    upside_down = policy(ttft_q50=Rule("linear", 0.0, {"level_log_ttft": -3.0}))
    results = run(upside_down, policy(), Trial(duration_s=120, markets=2, scenarios=("calm",)))
    assert judge_trial(results, Requirements().scenario_margin).outcome == "failed"
