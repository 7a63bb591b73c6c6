"""Measure how well a policy predicts first attempts that it has not learned from, and how well simple estimators do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from models.selection.dataset.samples import Sample, Samples, sample_column
from models.selection.decision.arrays import Floats
from models.selection.decision.artifact import AttemptEstimate
from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.predictor import PREDICTED_QUANTITIES, THROUGHPUT_Q10, TTFT_Q50, TTFT_Q90, Predictor
from models.selection.decision.priors import PriorHierarchy
from models.selection.training.conformal import conformal_offset, pinball_loss
from models.selection.training.learning import TARGETS, LearnedModel, sample_features

EWMA_ALPHA = 0.3


class PredictionLosses(NamedTuple):
    """Hold losses (n, quantities), NaN without an observation.

    They are pinball losses of logarithms and squared errors of shares. ``above`` is 1 where the observed value lies
    above the predicted one.
    """

    loss: Floats
    above: Floats

    def means(self) -> dict[str, float]:
        """Return the mean loss of each quantity that was observed."""
        return {name: float(np.nanmean(loss)) for name, loss in _columns(self.loss)}

    def against(self, rival: str, others: PredictionLosses) -> dict[str, float]:
        """Return ``x.loss_of_rival`` and ``x.se_over_rival`` on the same samples.

        The latter is the standard error of the difference.
        """
        figures = {f"{name}.loss_of_{rival}": loss for name, loss in others.means().items()}
        for name, excess in _columns(self.loss - others.loss):
            known = excess[~np.isnan(excess)]
            figures[f"{name}.se_over_{rival}"] = float(known.std() / math.sqrt(len(known)))
        return figures


def prediction_losses(policy: LearnedPolicy, samples: Samples) -> PredictionLosses:
    """Return the losses of a policy's estimates, one decision at a time as in the router. Raises ``PolicyError``."""
    estimates = [
        policy.estimates(s.context, [s.candidate], samples.views.at(slice(n, n + 1)))[0]
        for n, s in enumerate(samples.rows)
    ]
    return _losses(np.array([_in_logs(estimate) for estimate in estimates]), samples.rows)


def held_out_metrics(
    policy: LearnedPolicy, learned: LearnedModel, earlier: Samples, held_out: Samples
) -> dict[str, float]:
    """Return losses on the held-out time: of the served models, of the priors, of an EWMA and of the base rates."""
    ours = prediction_losses(policy, held_out)
    rows = sample_features(held_out, learned.priors, learned.lengths)
    prior = Predictor([chosen.level.model for chosen in learned.choices]).predict(rows)
    rivals = {"level": _losses(prior, held_out.rows), "ewma": _ewma(learned.priors, earlier, held_out)}
    rates = [np.nanmean(sample_column(earlier.rows, target_of)) for target_of in TARGETS[:TTFT_Q50]]
    base = np.full((len(held_out.rows), len(PREDICTED_QUANTITIES)), np.nan)
    base[:, :TTFT_Q50] = rates
    rivals["base_rate"] = _losses(base, held_out.rows)
    figures = {"samples": float(len(held_out.rows)), **learned.figures()}
    figures |= {f"{name}.loss": loss for name, loss in ours.means().items()}
    for rival, scores in rivals.items():
        figures |= ours.against(rival, scores)
    return figures | quantile_coverage(ours)


def quantile_coverage(scores: PredictionLosses) -> dict[str, float]:
    """Return the share of responses no slower than the predicted 90th percentile, and the number of responses."""
    figures = {}
    for place, beyond in ((TTFT_Q90, 1.0), (THROUGHPUT_Q10, 0.0)):
        above = scores.above[:, place]
        above = above[~np.isnan(above)]
        if len(above):
            figures[f"{PREDICTED_QUANTITIES[place].name}.coverage"] = float(np.mean(above != beyond))
            figures[f"{PREDICTED_QUANTITIES[place].name}.answers"] = float(len(above))
    return figures


def _ewma(priors: PriorHierarchy, earlier: Samples, held_out: Samples) -> PredictionLosses:
    """Return the losses of an EWMA per endpoint and delivery that starts from the prior.

    It knows every earlier request, including those in flight, which no router can. A quantile lies as many spreads
    away as it did in the last fifth of the time before.
    """
    together = [*earlier.rows, *held_out.rows]
    averages, spreads = _averages(priors, together)
    targets = np.column_stack([sample_column(together, target_of) for target_of in TARGETS])
    first, last = len(earlier.rows) * 4 // 5, len(earlier.rows)
    predicted = np.full((len(together), len(PREDICTED_QUANTITIES)), np.nan)
    for place, quantity in enumerate(PREDICTED_QUANTITIES):
        if quantity.quantile is not None:
            logs, spread = (columns[:, (place - TTFT_Q50) // 2] for columns in (averages, spreads))
            residuals = ((targets[:, place] - logs) / spread)[first:last]
            multiple = conformal_offset(residuals[~np.isnan(residuals)], quantity.quantile)
            predicted[:, place] = logs + multiple * spread
    return _losses(predicted[last:], held_out.rows)


def _averages(priors: PriorHierarchy, rows: Sequence[Sample]) -> tuple[Floats, Floats]:
    """Return averages of ln TTFT and ln tokens/s before each row, and the endpoint's spreads, (n, 2) each."""
    means: dict[tuple[str, bool], list[float]] = {}
    averages, spreads = np.empty((len(rows), 2)), np.empty((len(rows), 2))
    for place, s in enumerate(rows):
        prior = priors.of(s.endpoint, s.candidate.provider, s.context.model)
        streaming, non_streaming = (prior.log_ttft, prior.ttft_spread), (prior.log_whole, prior.response_time_spread)
        log_latency, spread = streaming if s.context.stream else non_streaming
        mean = means.setdefault((s.endpoint, s.context.stream), [log_latency, prior.log_tokens_per_s])
        averages[place], spreads[place] = mean, (spread, prior.throughput_spread)
        for which, value in enumerate((s.log_ttft, s.log_tokens_per_s)):
            if value is not None:
                mean[which] += EWMA_ALPHA * (value - mean[which])
    return averages, spreads


def _losses(predicted: Floats, rows: Sequence[Sample]) -> PredictionLosses:
    targets = np.column_stack([sample_column(rows, target_of) for target_of in TARGETS])
    residuals = targets - predicted
    loss = np.column_stack(
        [
            residuals[:, place] ** 2 if q.quantile is None else pinball_loss(residuals[:, place], q.quantile)
            for place, q in enumerate(PREDICTED_QUANTITIES)
        ]
    )
    return PredictionLosses(loss, np.where(np.isnan(residuals), np.nan, residuals > 0))


def _in_logs(estimate: AttemptEstimate) -> tuple[float, ...]:
    logs = (estimate.ttft_s, estimate.ttft_q90_s, estimate.tokens_per_s, estimate.tokens_per_s_q10)
    return (1.0 - estimate.success, estimate.rate_limited, *(math.log(value) for value in logs))


def _columns(losses: Floats) -> list[tuple[str, Floats]]:
    named = zip(PREDICTED_QUANTITIES, losses.T, strict=True)
    return [(quantity.name, loss) for quantity, loss in named if not np.isnan(loss).all()]


def served_forms(figures: Mapping[str, float]) -> dict[str, int]:
    """Return the number of the form that serves each quantity, from ``held_out_metrics``."""
    return {q.name: int(figures[f"{q.name}.form"]) for q in PREDICTED_QUANTITIES if f"{q.name}.form" in figures}
