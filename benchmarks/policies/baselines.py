"""Choose by rules of price, by averages of observations, or with perfect knowledge: the policies to beat.

None of them draws at random; ties are shared evenly.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence

from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.outcome import AttemptObservation
from models.selection.simulation.inverse_square_price import proportional
from models.selection.simulation.simulated_policy import SimulationState, typical_cost_usd


def lowest(losses: Sequence[float], epsilon: float = 0.0) -> list[float]:
    """Give all probability to the least loss, except ``epsilon`` spread over all candidates."""
    least = min(losses)
    ties = sum(loss == least for loss in losses)
    return [(1 - epsilon) * (loss == least) / ties + epsilon / len(losses) for loss in losses]


class StaticPolicy:
    """Ignore outcomes."""

    name = "rule"

    def observe(self, observation: AttemptObservation) -> None:
        pass


class Random(StaticPolicy):
    """Choose uniformly."""

    name = "random"

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        return [1 / len(candidates)] * len(candidates)


class Cheapest(StaticPolicy):
    """Choose the lowest price of a typical request."""

    name = "cheapest"

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        return lowest(
            [typical_cost_usd(candidate.prompt_price, candidate.completion_price) for candidate in candidates]
        )


class Fixed(StaticPolicy):
    """Choose one endpoint of each model, those of ``endpoints``: the best in hindsight when the caller knows it."""

    name = "best fixed (hindsight)"

    def __init__(self, endpoints: frozenset[str]) -> None:
        self._endpoints = endpoints

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        return lowest([0.0 if candidate.endpoint in self._endpoints else 1.0 for candidate in candidates])


class Oracle(StaticPolicy):
    """Choose by every candidate's true expected loss at the moment, which no policy can know."""

    name = "dynamic oracle"

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        return lowest(state.truth)


class AdjustedPriceShares:
    """Choose with shares by adjusted price and speed, as the reference product has described them since autumn 2026.

    Price × (1 + 8 × error rate + malformed rate) + $2.50 per million tokens × 429 rate; the share falls with the
    squared distance from the best ln(adjusted price / speed). Scale 0.24 reproduces the five illustrative shares that
    are published within 2 points; exploration and shrinkage are said to exist without figures.
    """

    name = "adjusted-price shares"
    ERRORS, RATE_LIMIT_USD, SCALE, FLOOR, SHRINKAGE, HALF_LIFE_S = 8.0, 2.5e-6 * 911, 0.24, 0.01, 20.0, 900.0
    PEER = (0.02, 0.0, 0.0, 5.0)  # error, malformed and 429 rate, seconds to 500 tokens

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, list[float], list[float]]] = {}

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        shares = self.shares([self._score(candidate) for candidate in candidates])
        return [(1 - self.FLOOR) * share + self.FLOOR / len(shares) for share in shares]

    def observe(self, observation: AttemptObservation) -> None:
        before, sums, counts = self._seen.get(observation.endpoint, (observation.now_s, [0.0] * 4, [0.0] * 4))
        fade = 0.5 ** (max(observation.now_s - before, 0.0) / self.HALF_LIFE_S)
        until_500 = None
        if observation.ttft_s is not None and observation.tokens_per_s is not None:
            until_500 = observation.ttft_s + 500 / observation.tokens_per_s
        malformed = float(observation.malformed_tool_call) if observation.tools and until_500 is not None else None
        values = (
            float(observation.result == "error"),
            malformed,
            float(observation.result == "rate_limited"),
            until_500,
        )
        self._seen[observation.endpoint] = (
            observation.now_s,
            [fade * total + (value or 0.0) for total, value in zip(sums, values, strict=True)],
            [fade * count + (value is not None) for count, value in zip(counts, values, strict=True)],
        )

    @classmethod
    def shares(cls, scores: Sequence[float]) -> list[float]:
        """Return the shares for ``scores``, which are ln(adjusted price / speed)."""
        least = min(scores)
        return proportional([math.exp(-((score - least) ** 2) / cls.SCALE) for score in scores])

    def _score(self, candidate: CandidateEndpoint) -> float:
        _, sums, counts = self._seen.get(candidate.endpoint, (0.0, [0.0] * 4, [0.0] * 4))
        error, malformed, limited, until_500 = (
            (total + self.SHRINKAGE * peer) / (count + self.SHRINKAGE)
            for total, count, peer in zip(sums, counts, self.PEER, strict=True)
        )
        adjusted = (
            typical_cost_usd(candidate.prompt_price, candidate.completion_price) * (1 + self.ERRORS * error + malformed)
            + self.RATE_LIMIT_USD * limited
        )
        return math.log(max(adjusted, 1e-12)) + math.log(until_500)


class Ewma:
    """Choose the least exponentially weighted mean of ln loss. α 1 is the last value.

    An unobserved endpoint is tried first.
    """

    def __init__(self, alpha: float = 0.3, epsilon: float = 0.0) -> None:
        self.name = "last value" if alpha == 1 else f"EWMA α={alpha:g}"
        self.name += f", ε={epsilon:g}" if epsilon else ""
        self._alpha, self._epsilon = alpha, epsilon
        self._mean: dict[str, float] = {}

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        return lowest([self._mean.get(c.endpoint, -math.inf) for c in candidates], self._epsilon)

    def observe(self, observation: AttemptObservation) -> None:
        value = math.log(observation.loss_s)
        mean = self._mean.get(observation.endpoint, value)
        self._mean[observation.endpoint] = mean + self._alpha * (value - mean)


class TwoChoicesEwma:
    """Choose the better of two by EWMA of loss × (calls in flight + 1): Linkerd's balancer without its peak.

    The two are drawn uniformly, so with k candidates the one of rank r gets (k - 1 - r) of k(k - 1)/2.
    """

    name = "P2C on EWMA"
    ALPHA = 0.3

    def __init__(self) -> None:
        self._mean: dict[str, float] = {}

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        count = len(candidates)
        if count == 1:
            return [1.0]
        loads = [
            self._mean.get(candidate.endpoint, 0.0) * (calls + 1)
            for candidate, calls in zip(candidates, state.in_flight, strict=True)
        ]
        pairs = count * (count - 1) / 2
        return [
            (sum(other > load for other in loads) + (sum(other == load for other in loads) - 1) / 2) / pairs
            for load in loads
        ]

    def observe(self, observation: AttemptObservation) -> None:
        mean = self._mean.get(observation.endpoint, observation.loss_s)
        self._mean[observation.endpoint] = mean + self.ALPHA * (observation.loss_s - mean)


class LatencyAverage:
    """Choose the least mean of the last ten TTFTs, kept an hour: LiteLLM's lowest-latency routing by default.

    As in its ``router_strategy/lowest_latency.py``, failures other than timeouts leave no trace and an unobserved
    endpoint counts as 0. This is kinder than the source, which divides TTFT by tokens and, once full, renews only the
    tenth place.
    """

    name = "latency average of ten"
    LENGTH, KEPT_S = 10, 3600.0

    def __init__(self) -> None:
        self._recent: dict[str, deque[tuple[float, float]]] = defaultdict(lambda: deque(maxlen=self.LENGTH))

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        return lowest([self._average(candidate.endpoint, state.now_s) for candidate in candidates])

    def observe(self, observation: AttemptObservation) -> None:
        if observation.ttft_s is not None:
            self._recent[observation.endpoint].append((observation.now_s, observation.ttft_s))

    def _average(self, endpoint: str, now_s: float) -> float:
        recent = self._recent[endpoint]
        while recent and recent[0][0] < now_s - self.KEPT_S:
            recent.popleft()
        return sum(ttft for _, ttft in recent) / len(recent) if recent else 0.0


def best_fixed(losses: Mapping[str, float], model_of: Mapping[str, object]) -> Fixed:
    """Return the policy that chooses the endpoint of least mean loss of each model."""
    best: dict[object, str] = {}
    for endpoint, loss in losses.items():
        if loss < losses.get(best.get(model_of[endpoint], ""), math.inf):
            best[model_of[endpoint]] = endpoint
    return Fixed(frozenset(best.values()))
