"""The decision: learned prior × what was seen since → losses in USD → probabilities. The router serves exactly this."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data.catalogue.cost import scaled_cost
from data.catalogue.types import Price
from models.selection.decision import predictor
from models.selection.decision import priors as past
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
from models.selection.decision.priors import PriorHierarchy, ShrunkPrior
from models.selection.decision.utility import (
    USD_PER_SECOND,
    DecisionConstants,
    UtilityWeights,
    choice_probabilities,
    expected_losses,
)

# Of a normal distribution: how many standard deviations its 90th percentile lies above its median.
SD_TO_Q90 = 1.2816
LEAST_SPREAD = 0.05
MOST_KNOWN = 4096
_IGNORANCE = {
    stream: [
        past.PRIOR_QUANTITIES.index(name) for name in ("failure", "limited", wait, "log_tokens_per_s", "malformed")
    ]
    for stream, wait in ((True, "log_ttft"), (False, "log_whole"))
}


class _Known(NamedTuple):
    """What of a decision does not change between two trainings: expected price in USD, length of the answer in
    tokens, levels, features and, of the prior, what does not depend on what is seen."""

    price_usd: Floats
    output_tokens: float
    level: Floats
    rows: Floats
    means: Floats
    variances: Floats
    shift: Floats


class LearnedPolicy:
    """An artifact's estimates and what is made of them."""

    def __init__(self, artifact: Artifact, constants: DecisionConstants = DecisionConstants()) -> None:
        self._artifact, self._constants = artifact, constants
        self._known: dict[tuple[RequestContext, tuple[CandidateEndpoint, ...]], _Known] = {}
        self.version = artifact.version

    @property
    def metrics(self) -> dict[str, Any]:
        return self._artifact.metrics

    @classmethod
    def load(cls, folder: Path) -> LearnedPolicy:
        """Load, check and try one decision. Raises ``PolicyError``."""
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

    def with_levels(self, levels: PriorHierarchy) -> LearnedPolicy:
        """The same models over other endpoints."""
        return LearnedPolicy(self._artifact.with_levels(levels), self._constants)

    def estimates(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], views: EndpointViews | None = None
    ) -> list[AttemptEstimate]:
        """As ``Artifact.estimates``."""
        return self._artifact.estimates(context, candidates, views)

    def probabilities(
        self,
        context: RequestContext,
        candidates: Sequence[CandidateEndpoint],
        views: EndpointViews | None = None,
        wish: UtilityWeights = UtilityWeights(),
    ) -> list[float]:
        """Probability of each candidate being tried first; they sum to 1. Raises ``PolicyError``.

        ``views`` is what has been seen of each up to now (``Observed.views``), in the same order.
        """
        seen = EndpointViews.unseen(len(candidates)) if views is None else views
        known = self._of(context, candidates)
        beliefs = self._beliefs(context, candidates, seen, known)
        expected = expected_losses(
            known.price_usd, known.output_tokens, beliefs, seen, context.tools, context.stream, wish, self._constants
        )
        margin = self._constants.margin_s * max(wish.ttft_second, USD_PER_SECOND)
        return choice_probabilities(expected, seen.cap, margin, self._constants)

    def _beliefs(
        self, context: RequestContext, candidates: Sequence[CandidateEndpoint], views: EndpointViews, known: _Known
    ) -> Posterior:
        artifact = self._artifact
        found = artifact.predicted(artifact.rows(context, candidates, known.level, views, known.rows))
        means = known.means.copy()
        means[FAILURE] = found[:, predictor.FAILURE]
        # Each median stands before its other quantile, of pace the lower one.
        medians = found[:, predictor.TTFT_Q50 :: 2].T
        means[LATENCY : THROUGHPUT + 1] = medians
        spread = found[:, predictor.TTFT_Q90 :: 2].T - medians
        np.abs(spread, out=spread)
        spread /= SD_TO_Q90
        np.maximum(spread, LEAST_SPREAD, out=spread)
        return update_posterior(GaussianPrior(means, known.variances, known.shift, spread), views, context.stream)

    def _of(self, context: RequestContext, candidates: Sequence[CandidateEndpoint]) -> _Known:
        key = (context, tuple(candidates))
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            known = self._known[key] = self._make(context, candidates)
        return known

    def _make(self, context: RequestContext, candidates: Sequence[CandidateEndpoint]) -> _Known:
        artifact = self._artifact
        level = prior_rows((context,), candidates, artifact.levels)
        rows = artifact.rows(context, candidates, level)
        found = artifact.predicted(rows)
        output = artifact.output_tokens(context)
        multiples = level[:, _LEVEL_PROMPT_PRICE].tolist()
        price = [
            scaled_cost(Price(c.prompt_price, c.completion_price), context.prompt_tokens * multiple, output).usd
            for c, multiple in zip(candidates, multiples, strict=True)
        ]
        ignorance = np.array([artifact.levels.ignorance(c.endpoint) for c in candidates])
        shift, means = np.zeros((2, len(FILTER_QUANTITIES), len(found)))
        usual = _LEVEL_TTFT if context.stream else _LEVEL_WHOLE
        shift[LATENCY] = found[:, predictor.TTFT_Q50] - level[:, usual]
        shift[THROUGHPUT] = found[:, predictor.THROUGHPUT_Q50] - level[:, _LEVEL_PACE]
        variances = VARIANCE_BETWEEN[:, None] * ignorance.T.take(_IGNORANCE[context.stream], axis=0)
        means[RATE_LIMITED], means[MALFORMED] = found[:, predictor.RATE_LIMITED], level[:, _LEVEL_MALFORMED]
        return _Known(np.array(price), output, level, rows, means, variances, shift)


assert (LATENCY + 1, predictor.TTFT_Q50 + 2, predictor.THROUGHPUT_Q50 + 1) == (
    THROUGHPUT,
    predictor.THROUGHPUT_Q50,
    predictor.THROUGHPUT_Q10,
)
_LEVEL_MALFORMED, _LEVEL_PROMPT_PRICE, _LEVEL_TTFT, _LEVEL_WHOLE, _LEVEL_PACE = (
    ShrunkPrior._fields.index(name)
    for name in ("malformed", "prompt_price", "log_ttft", "log_whole", "log_tokens_per_s")
)
