"""What one artifact would do otherwise than another, or than the log did: first choices by endpoint."""

from __future__ import annotations

from typing import NamedTuple

from data.lake import Lake
from models.selection.dataset.replay_set import Choices, judged
from models.selection.decision.arrays import Floats
from models.selection.decision.policy import LearnedPolicy
from models.selection.evaluation.replay import probabilities

DECISIONS = 5000


class Shift(NamedTuple):
    """Mean share of first attempts where the endpoint was a candidate, in ``decisions`` of them."""

    endpoint: str
    before: float
    after: float
    decisions: int


class Shifts(NamedTuple):
    """``rows`` have the largest changes first."""

    decisions: int
    rows: list[Shift]


def shifts(lake: Lake, first: str, second: str) -> Shifts:
    """Compare on the last logged decisions. Raises ``PolicyError``, and ``ValueError`` on a log that is false."""
    policies = [LearnedPolicy.load(lake.policies / version) for version in (first, second)]
    found = judged(lake, DECISIONS)
    if found is None:
        return Shifts(0, [])
    before, after = (probabilities(policy, found) for policy in policies)
    return Shifts(len(found.contexts), by_endpoint(found, before, after))


def by_endpoint(found: Choices, before: Floats, after: Floats) -> list[Shift]:
    """``before`` and ``after`` of shape (n, k)."""
    names: dict[str, list[float]] = {}
    for place, candidates in enumerate(found.candidates):
        for column, candidate in enumerate(candidates):
            sums = names.setdefault(candidate.endpoint, [0.0, 0.0, 0.0])
            sums[0] += before[place, column]
            sums[1] += after[place, column]
            sums[2] += 1
    rows = [
        Shift(name, float(old / count), float(new / count), int(count)) for name, (old, new, count) in names.items()
    ]
    return sorted(rows, key=lambda row: -abs(row.after - row.before) * row.decisions)
