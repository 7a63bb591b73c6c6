"""The decision: estimates → utility in USD → probabilities. The router serves exactly this."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.selection.artifact import PARITY, SCHEMA, Artifact, PolicyError
from models.selection.estimate import Estimate
from models.selection.features import Candidate, Context
from models.selection.levels import Levels
from models.selection.observed import Views

__all__ = ["PARITY", "SCHEMA", "Candidate", "Context", "Estimate", "LearnedPolicy", "PolicyError"]

# What a second of waiting and a failed first attempt are worth to a client that does not say otherwise.
USD_PER_SECOND = 0.0005
USD_PER_FAILURE = 0.005
TEMPERATURE_USD = 0.0001
EXPLORATION = 0.05


class LearnedPolicy:
    """An artifact's estimates and what is made of them."""

    def __init__(self, artifact: Artifact) -> None:
        self._artifact = artifact
        self.version = artifact.version

    @property
    def metrics(self) -> dict[str, Any]:
        return self._artifact.metrics

    @classmethod
    def load(cls, folder: Path) -> LearnedPolicy:
        """Load, check and try one decision. Raises ``PolicyError``."""
        policy = cls(Artifact.load(folder))
        policy.probabilities(Context(100, None, True, False, 12), [Candidate("dry:run", "dry", 1, 1)])
        return policy

    def with_levels(self, levels: Levels) -> LearnedPolicy:
        """The same models over other endpoints."""
        return LearnedPolicy(self._artifact.with_levels(levels))

    def estimates(
        self, context: Context, candidates: Sequence[Candidate], views: Views | None = None
    ) -> list[Estimate]:
        """As ``Artifact.estimates``."""
        return self._artifact.estimates(context, candidates, views)

    def probabilities(self, context: Context, candidates: Sequence[Candidate]) -> list[float]:
        """Probability of each candidate being tried first; they sum to 1.

        Softmax of the utility (USD, negative): expected price, waiting and failure; a share of
        ``EXPLORATION`` is spread evenly, so that later policies can be judged from the log.
        """
        found = self.estimates(context, candidates)
        cost = np.array(
            [
                (c.prompt_price * context.prompt_tokens + c.completion_price * e.output_tokens) * 1e-15
                for c, e in zip(candidates, found, strict=True)
            ]
        )
        waiting = np.array([e.ttft_s for e in found])
        failing = np.array([1.0 - e.success for e in found])
        utility = -(cost + USD_PER_SECOND * waiting + USD_PER_FAILURE * failing)
        weights = np.exp((utility - utility.max()) / TEMPERATURE_USD)
        chances = (1 - EXPLORATION) * weights / weights.sum() + EXPLORATION / len(candidates)
        return [float(chance) for chance in chances / chances.sum()]
