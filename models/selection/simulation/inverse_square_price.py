"""Choose by price alone: the baseline that a candidate must not be worse than in simulation."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.outcome import AttemptObservation
from models.selection.simulation.interface import SimulationState, candidate_price_usd


def proportional(weights: Sequence[float]) -> list[float]:
    total = sum(weights)
    return [weight / total for weight in weights]


class InverseSquarePrice:
    """Shares ∝ 1/price², the reference product's documented default until August 2026.

    With ``healthy``, endpoints with an outage in the last 30 s are fallbacks only. "Significant outage" is not
    defined there; here it is under 80 % success (its limit of "fallback only") of at least 3 attempts, 429s apart.
    """

    WINDOW_S, LEAST, SUCCESS = 30.0, 3, 0.8

    def __init__(self, healthy: bool) -> None:
        self.name = "1/price² + health" if healthy else "1/price²"
        self._healthy = healthy
        self._recent: dict[str, deque[tuple[float, bool]]] = defaultdict(deque)

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        price = [candidate_price_usd(c, context.prompt_tokens, context.max_tokens or 500) for c in candidates]
        weights = [max(p, 1e-12) ** -2 for p in price]
        if self._healthy:
            well = [not self._is_out(candidate.endpoint, state.now_s) for candidate in candidates]
            if any(well):
                weights = [weight * good for weight, good in zip(weights, well, strict=True)]
        return proportional(weights)

    def observe(self, outcome: AttemptObservation) -> None:
        if self._healthy and outcome.result != "rate_limited":
            self._recent[outcome.endpoint].append((outcome.now_s, outcome.result == "success"))

    def _is_out(self, endpoint: str, now_s: float) -> bool:
        recent = self._recent[endpoint]
        while recent and recent[0][0] < now_s - self.WINDOW_S:
            recent.popleft()
        return len(recent) >= self.LEAST and sum(good for _, good in recent) < self.SUCCESS * len(recent)
