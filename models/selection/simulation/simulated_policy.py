"""Define what a simulated policy sees, returns and learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from data.catalogue.cost import expected_cost_usd
from models.selection.decision.features import CandidateEndpoint, RequestContext, planned_tokens
from models.selection.decision.live_observations import LiveObservations
from models.selection.decision.outcome import AttemptObservation
from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.utility import USD_PER_FAILURE, USD_PER_SECOND

# Losses are measured in seconds: a failed attempt is worth so many.
SECONDS_PER_FAILURE = USD_PER_FAILURE / USD_PER_SECOND
# Medians of the Azure conversation trace of 2023: exp of the mean logarithms in market.toml.
TYPICAL_PROMPT_TOKENS, TYPICAL_COMPLETION_TOKENS = 760, 151


class SimulationState(NamedTuple):
    """Hold the time in s and the calls in flight at each candidate.

    ``truth`` is each candidate's expected loss in s, for oracles alone.
    """

    now_s: float
    in_flight: Sequence[int]
    truth: Sequence[float]


class SimulatedPolicy(Protocol):
    """Choose by probabilities and draw nothing: the caller samples, so that propensities are exact."""

    name: str

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        """Return the probability of each candidate being tried first; they sum to 1.

        A retry renormalises over the remaining candidates.
        """
        ...

    def observe(self, observation: AttemptObservation) -> None:
        """Learn from an attempt that has ended."""
        ...


class ArtifactPolicy:
    """Choose by an artifact as the router does: live observations correct what was learned."""

    name = "served artifact"

    def __init__(self, policy: LearnedPolicy) -> None:
        self._policy, self._observed = policy, LiveObservations()

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        """Return the artifact's probabilities for a prompt rounded up to the router's bucket."""
        views = self._observed.views([candidate.endpoint for candidate in candidates], state.now_s)
        views.in_flight[:] = state.in_flight
        planned = context._replace(prompt_tokens=planned_tokens(context.prompt_tokens))
        return self._policy.probabilities(planned, candidates, views)

    def observe(self, observation: AttemptObservation) -> None:
        """Add the attempt to the live observations."""
        self._observed.observe(observation)


def typical_cost_usd(prompt_price: float, completion_price: float) -> float:
    """Return what a request of typical size costs in USD; prices are nano-USD per million tokens."""
    return expected_cost_usd(prompt_price, completion_price, TYPICAL_PROMPT_TOKENS, TYPICAL_COMPLETION_TOKENS)
