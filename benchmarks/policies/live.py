"""Decide without an artifact: by the means of the market and of a provider, and by live observations."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from data.catalogue.cost import expected_cost_usd
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.live_observations import HALF_LIVES_S, LiveObservations, observed_values
from models.selection.decision.outcome import AttemptObservation
from models.selection.decision.posterior import (
    FILTER_QUANTITIES,
    LATENCY,
    STREAMING_ROWS,
    VARIANCE_BETWEEN,
    GaussianPrior,
    update_posterior,
)
from models.selection.decision.utility import DecisionConstants, UtilityWeights, choice_probabilities, expected_losses
from models.selection.simulation.simulated_policy import TYPICAL_COMPLETION_TOKENS, SimulationState

DAY_S = HALF_LIVES_S[-1]


class DecayedMeans:
    """Hold decayed sums and counts of ``quantities`` figures, each at every one of ``half_lives_s``."""

    __slots__ = ("at_s", "counts", "half_lives_s", "sums")

    def __init__(self, half_lives_s: tuple[float, ...], quantities: int) -> None:
        self.half_lives_s = half_lives_s
        self.at_s = -math.inf
        self.sums = [[0.0] * len(half_lives_s) for _ in range(quantities)]
        self.counts = [[0.0] * len(half_lives_s) for _ in range(quantities)]

    def add(self, now_s: float, values: Sequence[float | None]) -> None:
        """Add one observation; ``None`` stands where it says nothing about a quantity.

        An observation older than the last one counts as if it had come with it.
        """
        fades = self.fades(now_s)
        for sums, counts, value in zip(self.sums, self.counts, values, strict=True):
            one, more = (0.0, 0.0) if value is None else (1.0, value)
            for place, fade in enumerate(fades):
                sums[place] = sums[place] * fade + more
                counts[place] = counts[place] * fade + one
        self.at_s = max(now_s, self.at_s)

    def fades(self, now_s: float) -> list[float]:
        """Return the factor by which sums have decayed since the last observation, by half-life."""
        since = max(now_s - self.at_s, 0.0)
        return [0.5 ** (since / half_life) for half_life in self.half_lives_s]


class LivePolicy:
    """Decide as the router does, with priors that are learned as it goes.

    ``prior`` is ln TTFT in s by endpoint where a trained one is at hand. An unobserved endpoint takes its provider's
    mean of the day, a provider the market's.
    """

    STALE_S = 60.0

    def __init__(
        self,
        constants: DecisionConstants = DecisionConstants(),
        prior: dict[str, float] | None = None,
        weights: UtilityWeights = UtilityWeights(),
    ) -> None:
        self.name = "Portolan live"
        self._constants, self._prior, self._weights = constants, prior or {}, weights
        self._observed = LiveObservations()
        self._providers: defaultdict[str, DecayedMeans] = defaultdict(
            lambda: DecayedMeans((DAY_S,), len(FILTER_QUANTITIES))
        )
        self._market = DecayedMeans((DAY_S,), len(FILTER_QUANTITIES))
        self._peers: dict[str, tuple[float, list[float]]] = {}

    def choose(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], state: SimulationState
    ) -> Sequence[float]:
        views = self._observed.views([c.endpoint for c in candidates], state.now_s)
        beliefs = update_posterior(self._believed(candidates, state.now_s), views, context.stream)
        output = TYPICAL_COMPLETION_TOKENS if context.max_tokens is None else context.max_tokens
        output = min(output, TYPICAL_COMPLETION_TOKENS)
        price = np.array(
            [expected_cost_usd(c.prompt_price, c.completion_price, context.prompt_tokens, output) for c in candidates]
        )
        expected = expected_losses(
            price, output, beliefs, views, context.tools, context.stream, self._weights, self._constants
        )
        margin = self._constants.margin_s * self._weights.ttft_second
        return choice_probabilities(expected, views.cap, margin, self._constants)

    def observe(self, observation: AttemptObservation) -> None:
        self._observed.observe(observation)
        every = observed_values(observation)
        values = [every[quantity] for quantity in STREAMING_ROWS]
        self._providers[observation.provider].add(observation.now_s, values)
        self._market.add(observation.now_s, values)

    def _believed(self, candidates: Sequence[CandidateEndpoint], now_s: float) -> GaussianPrior:
        means = np.array([self._of_provider(c.provider, now_s) for c in candidates]).T.copy()
        if self._prior:
            means[LATENCY] = [self._prior.get(c.endpoint, means[LATENCY, place]) for place, c in enumerate(candidates)]
        return GaussianPrior(means, np.tile(VARIANCE_BETWEEN[:, None], (1, len(candidates))))

    def _of_provider(self, provider: str, now_s: float) -> list[float]:
        known = self._peers.get(provider)
        if known is None or now_s - known[0] > self.STALE_S:
            means = [quantity.mean for quantity in FILTER_QUANTITIES]
            for level in (self._market, self._providers[provider]):
                means = [_corrected(level, place, mean, now_s) for place, mean in enumerate(means)]
            known = self._peers[provider] = (now_s, means)
        return known[1]


def _corrected(level: DecayedMeans, place: int, mean: float, now_s: float) -> float:
    quantity = FILTER_QUANTITIES[place]
    count = level.counts[place][0] * level.fades(now_s)[0]
    if count < 1e-6:
        return mean
    gain = quantity.between**2 / (quantity.between**2 + quantity.noise**2 / count)
    return mean + gain * (level.sums[place][0] / level.counts[place][0] - mean)
