"""Decide: learned prior × live observations → expected losses in USD → probabilities.

The router serves exactly this, the evaluation judges it and the simulator compares it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data.catalogue.cost import expected_cost_usd
from models.selection.decision import predictor
from models.selection.decision.arrays import Floats
from models.selection.decision.artifact import Artifact, AttemptEstimate, PolicyError
from models.selection.decision.features import CandidateEndpoint, RequestContext, prior_rows
from models.selection.decision.live_observations import EndpointViews
from models.selection.decision.posterior import (
    FAILURE,
    FILTER_QUANTITIES,
    LATENCY,
    MALFORMED,
    RATE_LIMITED,
    THROUGHPUT,
    VARIANCE_BETWEEN,
    GaussianPrior,
    Posterior,
    update_posterior,
)
from models.selection.decision.priors import PRIOR_QUANTITIES, PriorHierarchy, ShrunkPrior
from models.selection.decision.utility import (
    USD_PER_SECOND,
    DecisionConstants,
    UtilityWeights,
    choice_probabilities,
    expected_losses,
)

# The 90th percentile of a normal distribution lies so many standard deviations above its median.
SD_TO_Q90 = 1.2816
MIN_SPREAD = 0.05
MAX_PREPARED = 4096
_PEER_WEIGHT_ROWS = {
    stream: [PRIOR_QUANTITIES.index(name) for name in ("failure", "limited", latency, "log_tokens_per_s", "malformed")]
    for stream, latency in ((True, "log_ttft"), (False, "log_whole"))
}


class _PreparedDecision(NamedTuple):
    """Hold what of a decision stays the same between two trainings.

    That is the expected price, the output length in tokens, priors, static features, and the parts of the Gaussian
    prior that do not depend on observations.
    """

    price_usd: Floats
    output_tokens: float
    prior: Floats
    features: Floats
    means: Floats
    variances: Floats
    shift: Floats


class LearnedPolicy:
    """Decide by the estimates of one artifact."""

    def __init__(self, artifact: Artifact, constants: DecisionConstants = DecisionConstants()) -> None:
        self._artifact, self._constants = artifact, constants
        self._prepared: dict[tuple[RequestContext, tuple[CandidateEndpoint, ...]], _PreparedDecision] = {}
        self.version = artifact.version

    @property
    def metrics(self) -> dict[str, Any]:
        """Return the figures that the artifact was exported with."""
        return self._artifact.metrics

    @classmethod
    def load(cls, folder: Path) -> LearnedPolicy:
        """Load and check an artifact, and try one decision. Raises ``PolicyError``."""
        policy = cls(Artifact.load(folder))
        try:
            policy.probabilities(
                RequestContext(100, None, True, False, 12), [CandidateEndpoint("dry:run", "dry", 1, 1)]
            )
        except PolicyError:
            raise
        except Exception as error:
            raise PolicyError(f"{folder.name} cannot decide: {error}") from error
        return policy

    def with_priors(self, priors: PriorHierarchy) -> LearnedPolicy:
        """Return the same models over the priors of other endpoints."""
        return LearnedPolicy(self._artifact.with_priors(priors), self._constants)

    def estimates(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], views: EndpointViews | None = None
    ) -> list[AttemptEstimate]:
        """Return one estimate per candidate, as ``Artifact.estimates``."""
        return self._artifact.estimates(context, candidates, views)

    def probabilities(
        self,
        context: RequestContext,
        candidates: Sequence[CandidateEndpoint],
        views: EndpointViews | None = None,
        weights: UtilityWeights = UtilityWeights(),
    ) -> list[float]:
        """Return the probability of each candidate being tried first; they sum to 1. Raises ``PolicyError``.

        ``views`` holds what has been observed of each candidate up to now (``LiveObservations.views``), in the same
        order. ``weights`` says what the client values.
        """
        observed = EndpointViews.unseen(len(candidates)) if views is None else views
        prepared = self._prepared_for(context, candidates)
        posterior = self._posterior(context, candidates, observed, prepared)
        expected = expected_losses(
            prepared.price_usd,
            prepared.output_tokens,
            posterior,
            observed,
            context.tools,
            context.stream,
            weights,
            self._constants,
        )
        margin = self._constants.margin_s * max(weights.ttft_second, USD_PER_SECOND)
        return choice_probabilities(expected, observed.cap, margin, self._constants)

    def _posterior(
        self,
        context: RequestContext,
        candidates: Sequence[CandidateEndpoint],
        views: EndpointViews,
        prepared: _PreparedDecision,
    ) -> Posterior:
        artifact = self._artifact
        predictions = artifact.predict(artifact.features(context, candidates, prepared.prior, views, prepared.features))
        means = prepared.means.copy()
        means[FAILURE] = predictions[:, predictor.FAILURE]
        # Each median stands before its other quantile, which is the lower one for throughput.
        medians = predictions[:, predictor.TTFT_Q50 :: 2].T
        means[LATENCY : THROUGHPUT + 1] = medians
        spread = predictions[:, predictor.TTFT_Q90 :: 2].T - medians
        np.abs(spread, out=spread)
        spread /= SD_TO_Q90
        np.maximum(spread, MIN_SPREAD, out=spread)
        return update_posterior(GaussianPrior(means, prepared.variances, prepared.shift, spread), views, context.stream)

    def _prepared_for(self, context: RequestContext, candidates: Sequence[CandidateEndpoint]) -> _PreparedDecision:
        key = (context, tuple(candidates))
        prepared = self._prepared.get(key)
        if prepared is None:
            if len(self._prepared) >= MAX_PREPARED:
                self._prepared.clear()
            prepared = self._prepared[key] = self._prepare(context, candidates)
        return prepared

    def _prepare(self, context: RequestContext, candidates: Sequence[CandidateEndpoint]) -> _PreparedDecision:
        artifact = self._artifact
        prior = prior_rows((context,), candidates, artifact.priors)
        features = artifact.features(context, candidates, prior)
        predictions = artifact.predict(features)
        output = artifact.output_tokens(context)
        prompt_multiples = prior[:, _PRIOR_PROMPT_PRICE].tolist()
        price_usd = [
            expected_cost_usd(c.prompt_price, c.completion_price, context.prompt_tokens * multiple, output)
            for c, multiple in zip(candidates, prompt_multiples, strict=True)
        ]
        peer_weights = np.array([artifact.priors.peer_weights(c.endpoint) for c in candidates])
        shift, means = np.zeros((2, len(FILTER_QUANTITIES), len(predictions)))
        latency_column = _PRIOR_TTFT if context.stream else _PRIOR_RESPONSE_TIME
        shift[LATENCY] = predictions[:, predictor.TTFT_Q50] - prior[:, latency_column]
        shift[THROUGHPUT] = predictions[:, predictor.THROUGHPUT_Q50] - prior[:, _PRIOR_THROUGHPUT]
        variances = VARIANCE_BETWEEN[:, None] * peer_weights.T.take(_PEER_WEIGHT_ROWS[context.stream], axis=0)
        means[RATE_LIMITED], means[MALFORMED] = predictions[:, predictor.RATE_LIMITED], prior[:, _PRIOR_MALFORMED]
        return _PreparedDecision(np.array(price_usd), output, prior, features, means, variances, shift)


assert (LATENCY + 1, predictor.TTFT_Q50 + 2, predictor.THROUGHPUT_Q50 + 1) == (
    THROUGHPUT,
    predictor.THROUGHPUT_Q50,
    predictor.THROUGHPUT_Q10,
)
_PRIOR_MALFORMED, _PRIOR_PROMPT_PRICE, _PRIOR_TTFT, _PRIOR_RESPONSE_TIME, _PRIOR_THROUGHPUT = (
    ShrunkPrior._fields.index(name)
    for name in ("malformed", "prompt_price", "log_ttft", "log_whole", "log_tokens_per_s")
)
