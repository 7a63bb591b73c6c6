"""What one artifact would do otherwise than another, or than the log did: first choices by endpoint."""

from __future__ import annotations

from typing import NamedTuple

from data.lake import Lake
from models.selection.dataset.replay_set import ReplaySet, read_replay_set
from models.selection.decision.arrays import Floats
from models.selection.decision.policy import LearnedPolicy
from models.selection.evaluation.replay import replay_probabilities

DECISIONS = 5000


class ChoiceShift(NamedTuple):
    """Mean share of first attempts where the endpoint was a candidate, in ``decisions`` of them."""

    endpoint: str
    before: float
    after: float
    decisions: int


class ChoiceShifts(NamedTuple):
    """``rows`` have the largest changes first."""

    decisions: int
    rows: list[ChoiceShift]


def choice_shifts(lake: Lake, first: str, second: str) -> ChoiceShifts:
    """Compare on the last logged decisions. Raises ``PolicyError``, and ``ValueError`` on a log that is false."""
    policies = [LearnedPolicy.load(lake.policies / version) for version in (first, second)]
    found = read_replay_set(lake, DECISIONS)
    if found is None:
        return ChoiceShifts(0, [])
    before, after = (replay_probabilities(policy, found) for policy in policies)
    return ChoiceShifts(len(found.contexts), shifts_by_endpoint(found, before, after))


def shifts_by_endpoint(found: ReplaySet, before: Floats, after: Floats) -> list[ChoiceShift]:
    """``before`` and ``after`` of shape (n, k)."""
    names: dict[str, list[float]] = {}
    for place, candidates in enumerate(found.candidates):
        for column, candidate in enumerate(candidates):
            sums = names.setdefault(candidate.endpoint, [0.0, 0.0, 0.0])
            sums[0] += before[place, column]
            sums[1] += after[place, column]
            sums[2] += 1
    rows = [
        ChoiceShift(name, float(old / count), float(new / count), int(count))
        for name, (old, new, count) in names.items()
    ]
    return sorted(rows, key=lambda row: -abs(row.after - row.before) * row.decisions)
