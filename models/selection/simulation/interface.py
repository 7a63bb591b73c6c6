"""What a selection policy sees and learns from, in a replay, in the simulator and behind the router alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from data.catalogue.cost import scaled_cost
from data.catalogue.types import Price
from models.selection.decision.features import CandidateEndpoint, RequestContext, planned_tokens
from models.selection.decision.live_observations import LiveObservations
from models.selection.decision.outcome import AttemptObservation
from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.utility import USD_PER_FAILURE, USD_PER_SECOND

# Loss is measured in seconds: a failed attempt is worth this many of them.
SECONDS_PER_FAILURE = USD_PER_FAILURE / USD_PER_SECOND
# Medians of the Azure conversation trace of 2023: exp of the mean logarithms in market.toml.
TYPICAL_PROMPT_TOKENS, TYPICAL_COMPLETION_TOKENS = 760, 151


class SimulationState(NamedTuple):
    """Time in seconds; calls under way at each candidate; ``truth``, expected loss in s, is for oracles alone."""

    now_s: float
    in_flight: Sequence[int]
    truth: Sequence[float]


class SimulatedPolicy(Protocol):
    """A policy draws nothing itself: it gives probabilities and the caller samples, so propensities are exact."""

    name: str

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        """Probability of each candidate being tried first; they sum to 1. A retry renormalises over the rest."""
        ...

    def observe(self, outcome: AttemptObservation) -> None: ...


class ArtifactPolicy:
    """The artifact as the router serves it: what it has seen since corrects what it has learned."""

    name = "served artifact"

    def __init__(self, policy: LearnedPolicy) -> None:
        self._policy, self._seen = policy, LiveObservations()

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        views = self._seen.views([candidate.endpoint for candidate in candidates], state.now_s)
        views.in_flight[:] = state.in_flight
        planned = context._replace(prompt_tokens=planned_tokens(context.prompt_tokens))
        return self._policy.probabilities(planned, candidates, views)

    def observe(self, outcome: AttemptObservation) -> None:
        self._seen.observe(outcome)


def candidate_price_usd(candidate: CandidateEndpoint, prompt_tokens: int, completion_tokens: int) -> float:
    price = Price(candidate.prompt_price, candidate.completion_price)
    return scaled_cost(price, prompt_tokens, completion_tokens).usd


def typical_candidate_price_usd(candidate: CandidateEndpoint) -> float:
    return candidate_price_usd(candidate, TYPICAL_PROMPT_TOKENS, TYPICAL_COMPLETION_TOKENS)
