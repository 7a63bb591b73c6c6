"""Choose by price alone: the baseline that a candidate must not be worse than in simulation."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

from data.catalogue.cost import expected_cost_usd
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.outcome import AttemptObservation
from models.selection.simulation.simulated_policy import SimulationState


def proportional(weights: Sequence[float]) -> list[float]:
    """Return ``weights`` as probabilities."""
    total = sum(weights)
    return [weight / total for weight in weights]


class InverseSquarePrice:
    """Choose with shares ∝ 1/price², the reference product's documented default until August 2026.

    With ``healthy``, endpoints with an outage in the last 30 s are fallbacks only. The reference does not define a
    "significant outage"; here it is under 80 % success (its limit of "fallback only") of at least 3 attempts without
    429s.
    """

    WINDOW_S, LEAST, SUCCESS = 30.0, 3, 0.8

    def __init__(self, healthy: bool) -> None:
        self.name = "1/price² + health" if healthy else "1/price²"
        self._healthy = healthy
        self._recent: dict[str, deque[tuple[float, bool]]] = defaultdict(deque)

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        """Return shares ∝ 1/price² of the request, for endpoints in an outage only if all are."""
        price = [
            expected_cost_usd(c.prompt_price, c.completion_price, context.prompt_tokens, context.max_tokens or 500)
            for c in candidates
        ]
        weights = [max(p, 1e-12) ** -2 for p in price]
        if self._healthy:
            well = [not self._is_out(candidate.endpoint, state.now_s) for candidate in candidates]
            if any(well):
                weights = [weight * good for weight, good in zip(weights, well, strict=True)]
        return proportional(weights)

    def observe(self, observation: AttemptObservation) -> None:
        """Store the attempt for the health window."""
        if self._healthy and observation.result != "rate_limited":
            self._recent[observation.endpoint].append((observation.now_s, observation.result == "success"))

    def _is_out(self, endpoint: str, now_s: float) -> bool:
        recent = self._recent[endpoint]
        while recent and recent[0][0] < now_s - self.WINDOW_S:
            recent.popleft()
        return len(recent) >= self.LEAST and sum(good for _, good in recent) < self.SUCCESS * len(recent)
