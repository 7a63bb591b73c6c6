"""Hold logged decisions as arrays: candidates with their probabilities, the choice, and its reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.selection.dataset.point_in_time import judge_logged_attempt
from models.selection.decision.arrays import Floats, Ints, Names
from models.selection.decision.utility import USD_PER_FAILURE, USD_PER_SECOND

BLOCK_S = 3600.0
SUM_TOLERANCE = 1e-6
# A smaller probability is never drawn in practice, and its inverse as a weight would dominate or overflow the sum.
MIN_PROBABILITY = 1e-12


class LoggedDecision(NamedTuple):
    """Hold one decision.

    ``at_s`` is in Unix seconds, ``chosen`` an index into ``endpoints``, ``reward`` in any metric's unit.
    """

    at_s: float
    endpoints: Sequence[str]
    probabilities: Sequence[float]
    chosen: int
    reward: float
    model: str = ""
    segment: str = ""


class LoggedDecisions(NamedTuple):
    """Hold n decisions among at most k candidates; columns beyond a decision's candidates are padding.

    Blocks are periods of time that are taken as independent of each other.
    """

    endpoints: Ints  # (n, k), number of the candidate's endpoint; -1 is padding
    logged: Floats  # (n, k), probability of being chosen; 0 is padding
    chosen: Ints  # (n,), column
    reward: Floats  # (n,)
    block: Ints  # (n,)
    model: Names  # (n,)
    segment: Names  # (n,)

    @property
    def propensity(self) -> Floats:
        """Return the probability with which the chosen endpoint was chosen, (n,)."""
        return self.logged[np.arange(len(self.chosen)), self.chosen]

    def where(self, mask: NDArray[np.bool_]) -> LoggedDecisions:
        """Select the decisions that ``mask`` (n,) keeps."""
        return LoggedDecisions._make(column[mask] for column in self)

    def check(self) -> None:
        """Raise ``ValueError`` if the log cannot have been made by the probabilities that it holds."""
        count = len(self.chosen)
        if not count:
            raise ValueError("the log is empty")
        if self.endpoints.shape != self.logged.shape or any(len(column) != count for column in self):
            raise ValueError("the columns of the log differ in length")
        if not np.isfinite(self.logged).all() or (self.logged < 0).any():
            raise ValueError("a logged probability is negative or no number")
        if np.abs(self.logged.sum(axis=1) - 1).max(initial=0) > SUM_TOLERANCE:
            raise ValueError("the logged probabilities of a decision do not sum to 1")
        if (self.propensity <= 0).any():
            raise ValueError("an endpoint was chosen whose logged probability is 0")
        if not np.isfinite(self.reward).all():
            raise ValueError("a reward is no number; leave out the decisions that have none, as TTFT of failures")


def from_rows(rows: Sequence[LoggedDecision], block_s: float = BLOCK_S) -> LoggedDecisions:
    """Convert rows to arrays, in blocks of ``block_s`` seconds. Raises ``ValueError`` as ``LoggedDecisions.check``."""
    endpoint_numbers: dict[str, int] = {}
    widest = max((len(row.endpoints) for row in rows), default=1)
    endpoints = np.full((len(rows), widest), -1, dtype=np.int64)
    logged = np.zeros((len(rows), widest))
    for row_index, row in enumerate(rows):
        endpoints[row_index, : len(row.endpoints)] = [
            endpoint_numbers.setdefault(e, len(endpoint_numbers)) for e in row.endpoints
        ]
        logged[row_index, : len(row.endpoints)] = row.probabilities
    decisions = LoggedDecisions(
        endpoints,
        logged,
        np.array([row.chosen for row in rows], dtype=np.int64),
        np.array([row.reward for row in rows], dtype=np.float64),
        np.array([row.at_s // block_s for row in rows], dtype=np.int64),
        np.array([row.model for row in rows], dtype=np.str_),
        np.array([row.segment for row in rows], dtype=np.str_),
    )
    decisions.check()
    return decisions


def decision_of(record: Mapping[str, Any], segment: str = "") -> LoggedDecision | None:
    """Convert a row of the request record to a decision on its first attempt, rewarded in USD.

    The reward is -(price + ``USD_PER_SECOND`` × TTFT + ``USD_PER_FAILURE`` if it failed), as ``judge_attempt`` judges
    it: a TTFT that is a lower bound is better than no decision. The result is ``None`` where nothing was chosen (one
    candidate, no attempt, or a probability below ``MIN_PROBABILITY``) or nothing was learned of the endpoint (the
    client disconnected first, erred, or set a shorter deadline than the router's).
    """
    eligible = [c for c in record["candidates"] if c["probability"] > 0]
    first = next(iter(record["attempts"]), None)
    names = [c["endpoint"] for c in eligible]
    if len(eligible) < 2 or first is None or first["endpoint"] not in names:
        return None
    judged = judge_logged_attempt(record, 0)
    if judged.result is None:
        return None
    if judged.result == "success":
        reward = -(record["cost_nano"] * 1e-9 + USD_PER_SECOND * (judged.ttft_s or 0))
    else:
        reward = -(USD_PER_FAILURE + USD_PER_SECOND * (first["duration_us"] or 0) * 1e-6)
    started: datetime = record["started_at"]
    total = sum(c["probability"] for c in eligible)
    probabilities = [c["probability"] / total for c in eligible]
    chosen = names.index(first["endpoint"])
    if probabilities[chosen] < MIN_PROBABILITY:
        return None
    return LoggedDecision(started.timestamp(), names, probabilities, chosen, reward, record["model"] or "", segment)
