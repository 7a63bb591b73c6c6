"""A policy is judged by what it would have known at each logged decision, and by nothing that came later."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from models.selection.dataset.replay_set import choices
from models.selection.decision.artifact import Artifact
from models.selection.decision.features import Candidate, Context
from models.selection.decision.live_observations import Views
from models.selection.decision.output_length import OutputLengths
from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.predictor import QUANTITIES, Predictor, Rule
from models.selection.decision.priors import Levels, Past
from models.selection.decision.utility import Wish
from models.selection.evaluation.comparison import compare
from models.selection.evaluation.off_policy import Evaluation, Thresholds
from models.selection.evaluation.replay import probabilities
from tests.models.selection.dataset.test_point_in_time import NAMES, answered, attempt, row

SPACING_S, COUNT = 4, 3000
# Of three endpoints alike but for their prices the first is the cheapest; in the second half of the log it is out.
TTFT_S, OUTAGE_S = 0.5, SPACING_S * COUNT / 2
KNOWN = {"log_ttft": Past(1e4, np.log(TTFT_S), 0.01), "failure": Past(1e4, 0.01)}
LEVELS = Levels(dict.fromkeys(NAMES, KNOWN), {}, {})


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
    rules = [Rule("level", 0.0, {quantity.level: 1.0}) for quantity in QUANTITIES]
    return LearnedPolicy(Artifact("v1", {}, LEVELS, OutputLengths({}), Predictor(rules)))


class Static(LearnedPolicy):
    """The same artifact with its eyes shut."""

    def probabilities(
        self,
        context: Context,
        candidates: Sequence[Candidate],
        views: Views | None = None,
        wish: Wish = Wish(),
    ) -> list[float]:
        return super().probabilities(context, candidates, None, wish)


def test_a_policy_that_leaves_an_outage_is_judged_better_than_the_same_one_that_does_not_look() -> None:
    found = choices(frame(log()))
    assert found is not None
    static = Static(learned()._artifact)
    judged = compare(found, probabilities(learned(), found), probabilities(static, found), Thresholds())
    assert isinstance(judged.utility, Evaluation)
    assert judged.utility.better
    assert judged.success is not None and judged.success.low > 0.3


def test_a_planted_future_changes_no_probability_before_it_was_known() -> None:
    rows = log(200)
    place = next(n for n in range(100, 200) if rows[n]["attempts"][0]["endpoint"] == NAMES[0])
    known_s = rows[place]["attempts"][0]["duration_us"] * 1e-6 + place * SPACING_S
    planted = [dict(r) for r in rows]
    planted[place]["attempts"] = [rows[place]["attempts"][0] | {"error_type": "rate_limit_exceeded", "ttft_us": None}]
    truth, otherwise = choices(frame(rows)), choices(frame(planted))
    assert truth is not None and otherwise is not None
    policy = learned()
    differs = (probabilities(policy, truth) != probabilities(policy, otherwise)).any(axis=1)
    first_known = int(known_s // SPACING_S) + 1
    assert not differs[:first_known].any()
    assert differs[first_known]


def test_what_came_before_and_what_others_chose_is_seen_and_not_judged() -> None:
    rows = log(300)
    for number, one in enumerate(rows):
        one["policy"] = "sort" if number % 3 == 0 else "price"
    since = rows[199]["started_at"]
    whole, part = choices(frame(rows)), choices(frame(rows), since=since)
    assert whole is not None and part is not None
    assert len(part.contexts) == sum(r["policy"] == "price" for r in rows[200:])
    policy = learned()
    expected = probabilities(policy, whole)[-len(part.contexts) :]
    assert np.array_equal(probabilities(policy, part), expected)
    assert part.seen(0).counts[:, 0, 3].sum() > 190


def test_choices_that_are_kept_keep_what_was_seen() -> None:
    found = choices(frame(log(60)))
    assert found is not None
    mask = np.arange(60) % 7 == 3
    assert np.array_equal(probabilities(learned(), found.where(mask)), probabilities(learned(), found)[mask])
