"""Choose by bandits over endpoints, on losses in seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.policies.baselines import lowest
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.outcome import AttemptObservation
from models.selection.simulation.simulated_policy import SimulationState


class Ucb1:
    """Choose the least mean - c sqrt(ln t / n), c in seconds and t the number of outcomes (Auer et al. 2002).

    With ``discount`` < 1 sums and counts decay at each observation (Garivier and Moulines 2011).
    """

    def __init__(self, c: float = 0.5, discount: float = 1.0) -> None:
        self.name = f"UCB1 c={c:g}" if discount == 1 else f"discounted UCB c={c:g} γ={discount:g}"
        self._c, self._discount = c, discount
        self._total = 0.0
        self._scale = 1.0  # sums are kept multiplied by 1 / scale, so that fading all of them is one product
        self._sums: dict[str, float] = {}
        self._counts: dict[str, float] = {}

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        bonus = self._c * math.sqrt(math.log(max(self._total * self._scale, 1.0)))
        return lowest([self._index(candidate.endpoint, bonus) for candidate in candidates])

    def observe(self, observation: AttemptObservation) -> None:
        self._scale *= self._discount
        name, unit = observation.endpoint, 1 / self._scale
        self._sums[name] = self._sums.get(name, 0.0) + observation.loss_s * unit
        self._counts[name] = self._counts.get(name, 0.0) + unit
        self._total += unit
        if self._scale < 1e-100:
            self._rescale()

    def _index(self, name: str, bonus: float) -> float:
        count = self._counts.get(name, 0.0) * self._scale
        if count < 1e-9:
            return -math.inf
        return self._sums[name] / self._counts[name] - bonus / math.sqrt(count)

    def _rescale(self) -> None:
        self._sums = {name: value * self._scale for name, value in self._sums.items()}
        self._counts = {name: value * self._scale for name, value in self._counts.items()}
        self._total *= self._scale
        self._scale = 1.0


class EpsilonGreedy:
    """Choose the least mean loss, except a share ``epsilon`` spread over all candidates."""

    def __init__(self, epsilon: float = 0.05) -> None:
        self.name = f"ε-greedy ε={epsilon:g}"
        self._epsilon = epsilon
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        return lowest([self._mean(candidate.endpoint) for candidate in candidates], self._epsilon)

    def observe(self, observation: AttemptObservation) -> None:
        self._sums[observation.endpoint] = self._sums.get(observation.endpoint, 0.0) + observation.loss_s
        self._counts[observation.endpoint] = self._counts.get(observation.endpoint, 0) + 1

    def _mean(self, name: str) -> float:
        count = self._counts.get(name, 0)
        return self._sums[name] / count if count else -math.inf
