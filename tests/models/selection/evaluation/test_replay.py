"""A policy is judged by what it would have known at each logged decision, and by nothing that came later."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from models.selection.dataset.replay_set import build_replay_set
from models.selection.decision.artifact import Artifact
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.live_observations import EndpointViews
from models.selection.decision.output_length import OutputLengths
from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.predictor import PREDICTED_QUANTITIES, Predictor, QuantityModel
from models.selection.decision.priors import Moments, PriorHierarchy
from models.selection.decision.utility import UtilityWeights
from models.selection.evaluation.comparison import compare
from models.selection.evaluation.off_policy import OffPolicyEvaluation, SupportThresholds
from models.selection.evaluation.replay import replay_probabilities
from tests.models.selection.dataset.test_point_in_time import NAMES, answered, attempt, row

SPACING_S, COUNT = 4, 3000
# Of three endpoints alike but for their prices the first is the cheapest; in the second half of the log it is out.
TTFT_S, OUTAGE_S = 0.5, SPACING_S * COUNT / 2
KNOWN = {"log_ttft": Moments(1e4, np.log(TTFT_S), 0.01), "failure": Moments(1e4, 0.01)}
LEVELS = PriorHierarchy(dict.fromkeys(NAMES, KNOWN), {}, {})


def log(count: int = COUNT, seed: int = 1) -> list[dict[str, Any]]:
    dice = random.Random(seed)
    rows = []
    for number in range(count):
        at_s, name = float(number * SPACING_S), dice.choice(NAMES)
        out = name == NAMES[0] and at_s >= OUTAGE_S
        tried = attempt(name, "server_error") if out else answered(name, TTFT_S * dice.lognormvariate(0, 0.1))
        made = row(at_s, tried, policy="price", model="x/m", estimated_prompt_tokens=300, max_tokens=None, tools=0)
        for place, candidate in enumerate(made["candidates"]):
            candidate["score"] = 1.0 + place
        made |= {"cost_nano": 0, "ttft_us": tried["ttft_us"], "category": None, "error_type": tried["error_type"]}
        rows.append(made)
    return rows


def frame(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None)


def learned() -> LearnedPolicy:
    rules = [QuantityModel("level", 0.0, {quantity.level: 1.0}) for quantity in PREDICTED_QUANTITIES]
    return LearnedPolicy(Artifact("v1", {}, LEVELS, OutputLengths({}), Predictor(rules)))


class Static(LearnedPolicy):
    """The same artifact with its eyes shut."""

    def probabilities(
        self,
        context: RequestContext,
        candidates: Sequence[CandidateEndpoint],
        views: EndpointViews | None = None,
        wish: UtilityWeights = UtilityWeights(),
    ) -> list[float]:
        return super().probabilities(context, candidates, None, wish)


def test_a_policy_that_leaves_an_outage_is_judged_better_than_the_same_one_that_does_not_look() -> None:
    found = build_replay_set(frame(log()))
    assert found is not None
    static = Static(learned()._artifact)
    judged = compare(
        found, replay_probabilities(learned(), found), replay_probabilities(static, found), SupportThresholds()
    )
    assert isinstance(judged.utility, OffPolicyEvaluation)
    assert judged.utility.better
    assert judged.success is not None and judged.success.low > 0.3


def test_a_planted_future_changes_no_probability_before_it_was_known() -> None:
    rows = log(200)
    place = next(n for n in range(100, 200) if rows[n]["attempts"][0]["endpoint"] == NAMES[0])
    known_s = rows[place]["attempts"][0]["duration_us"] * 1e-6 + place * SPACING_S
    planted = [dict(r) for r in rows]
    planted[place]["attempts"] = [rows[place]["attempts"][0] | {"error_type": "rate_limit_exceeded", "ttft_us": None}]
    truth, otherwise = build_replay_set(frame(rows)), build_replay_set(frame(planted))
    assert truth is not None and otherwise is not None
    policy = learned()
    differs = (replay_probabilities(policy, truth) != replay_probabilities(policy, otherwise)).any(axis=1)
    first_known = int(known_s // SPACING_S) + 1
    assert not differs[:first_known].any()
    assert differs[first_known]


def test_what_came_before_and_what_others_chose_is_seen_and_not_judged() -> None:
    rows = log(300)
    for number, one in enumerate(rows):
        one["policy"] = "sort" if number % 3 == 0 else "price"
    since = rows[199]["started_at"]
    whole, part = build_replay_set(frame(rows)), build_replay_set(frame(rows), since=since)
    assert whole is not None and part is not None
    assert len(part.contexts) == sum(r["policy"] == "price" for r in rows[200:])
    policy = learned()
    expected = replay_probabilities(policy, whole)[-len(part.contexts) :]
    assert np.array_equal(replay_probabilities(policy, part), expected)
    assert part.views_of(0).counts[:, 0, 3].sum() > 190


def test_choices_that_are_kept_keep_what_was_seen() -> None:
    found = build_replay_set(frame(log(60)))
    assert found is not None
    mask = np.arange(60) % 7 == 3
    assert np.array_equal(
        replay_probabilities(learned(), found.where(mask)), replay_probabilities(learned(), found)[mask]
    )
