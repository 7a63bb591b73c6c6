"""Show which first choices change from one policy to another, by endpoint."""

from __future__ import annotations

from typing import NamedTuple

from data.lake import Lake
from models.selection.dataset.replay_set import ReplaySet, read_replay_set
from models.selection.decision.arrays import Floats
from models.selection.decision.policy import LearnedPolicy
from models.selection.evaluation.replay import replay_probabilities

DECISIONS = 5000


class ChoiceShift(NamedTuple):
    """Hold the mean share of first attempts before and after.

    The mean is over the ``decisions`` in which the endpoint was a candidate.
    """

    endpoint: str
    before: float
    after: float
    decisions: int


class ChoiceShifts(NamedTuple):
    """Hold the shifts of all endpoints, the largest first, over ``decisions`` decisions."""

    decisions: int
    rows: list[ChoiceShift]


def choice_shifts(lake: Lake, first: str, second: str) -> ChoiceShifts:
    """Compare two versions on the last logged decisions.

    Raises ``PolicyError`` on an artifact that cannot be used, and ``ValueError`` on a log that contradicts itself.
    """
    policies = [LearnedPolicy.load(lake.policies / version) for version in (first, second)]
    replay_set = read_replay_set(lake, DECISIONS)
    if replay_set is None:
        return ChoiceShifts(0, [])
    before, after = (replay_probabilities(policy, replay_set) for policy in policies)
    return ChoiceShifts(len(replay_set.contexts), shifts_by_endpoint(replay_set, before, after))


def shifts_by_endpoint(replay_set: ReplaySet, before: Floats, after: Floats) -> list[ChoiceShift]:
    """Return the shifts from ``before`` to ``after``, both (n, k) probabilities."""
    sums_by_endpoint: dict[str, list[float]] = {}
    for place, candidates in enumerate(replay_set.candidates):
        for column, candidate in enumerate(candidates):
            sums = sums_by_endpoint.setdefault(candidate.endpoint, [0.0, 0.0, 0.0])
            sums[0] += before[place, column]
            sums[1] += after[place, column]
            sums[2] += 1
    rows = [
        ChoiceShift(name, float(old / count), float(new / count), int(count))
        for name, (old, new, count) in sums_by_endpoint.items()
    ]
    return sorted(rows, key=lambda row: -abs(row.after - row.before) * row.decisions)
