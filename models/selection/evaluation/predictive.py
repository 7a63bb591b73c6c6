"""How well a policy predicts first attempts that it has not learned from, and how well what needs no learner does."""

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
    """(n, quantities): pinball losses in ln, squared errors of shares; NaN where a sample shows nothing.

    ``above`` is 1 where what was seen lies above what was predicted.
    """

    loss: Floats
    above: Floats

    def means(self) -> dict[str, float]:
        """Of each quantity that was seen."""
        return {name: float(np.nanmean(loss)) for name, loss in _columns(self.loss)}

    def against(self, rival: str, theirs: PredictionLosses) -> dict[str, float]:
        """``x.loss_of_rival`` on the same samples, and ``x.se_over_rival``, the standard error of the difference."""
        figures = {f"{name}.loss_of_{rival}": loss for name, loss in theirs.means().items()}
        for name, behind in _columns(self.loss - theirs.loss):
            shown = behind[~np.isnan(behind)]
            figures[f"{name}.se_over_{rival}"] = float(shown.std() / math.sqrt(len(shown)))
        return figures


def prediction_losses(policy: LearnedPolicy, found: Samples) -> PredictionLosses:
    """Of a policy's estimates, asked for one decision at a time as the router does. Raises ``PolicyError``."""
    estimates = [
        policy.estimates(s.context, [s.candidate], found.views.at(slice(n, n + 1)))[0] for n, s in enumerate(found.rows)
    ]
    return _scores(np.array([_in_logs(estimate) for estimate in estimates]), found.rows)


def held_out_metrics(
    policy: LearnedPolicy, learned: LearnedModel, earlier: Samples, held_out: Samples
) -> dict[str, float]:
    """Losses on the held-out time of what will be served, of the levels, of an EWMA and of the base rates."""
    ours = prediction_losses(policy, held_out)
    rows = sample_features(held_out, learned.levels, learned.lengths)
    level = Predictor([chosen.level.rule for chosen in learned.choices]).predict(rows)
    rivals = {"level": _scores(level, held_out.rows), "ewma": _ewma(learned.levels, earlier, held_out)}
    rates = [np.nanmean(sample_column(earlier.rows, shown)) for shown in TARGETS[:TTFT_Q50]]
    base = np.full((len(held_out.rows), len(PREDICTED_QUANTITIES)), np.nan)
    base[:, :TTFT_Q50] = rates
    rivals["base_rate"] = _scores(base, held_out.rows)
    figures = {"samples": float(len(held_out.rows)), **learned.figures()}
    figures |= {f"{name}.loss": loss for name, loss in ours.means().items()}
    for rival, scores in rivals.items():
        figures |= ours.against(rival, scores)
    return figures | quantile_coverage(ours)


def quantile_coverage(scores: PredictionLosses) -> dict[str, float]:
    """Share of answers no slower than the 90th percentile that was predicted, and how many answers there were."""
    found = {}
    for place, beyond in ((TTFT_Q90, 1.0), (THROUGHPUT_Q10, 0.0)):
        above = scores.above[:, place]
        above = above[~np.isnan(above)]
        if len(above):
            found[f"{PREDICTED_QUANTITIES[place].name}.coverage"] = float(np.mean(above != beyond))
            found[f"{PREDICTED_QUANTITIES[place].name}.answers"] = float(len(above))
    return found


def _ewma(levels: PriorHierarchy, earlier: Samples, held_out: Samples) -> PredictionLosses:
    """Per endpoint and delivery, from the level on, of everything up to the moment, answers under way included: more
    than anyone can know. A quantile is as many spreads away as it was in the last fifth of the time before."""
    together = [*earlier.rows, *held_out.rows]
    centre, spread = _averages(levels, together)
    seen = np.column_stack([sample_column(together, shown) for shown in TARGETS])
    first, last = len(earlier.rows) * 4 // 5, len(earlier.rows)
    predicted = np.full((len(together), len(PREDICTED_QUANTITIES)), np.nan)
    for place, quantity in enumerate(PREDICTED_QUANTITIES):
        if quantity.quantile is not None:
            logs, spreads = centre[:, (place - TTFT_Q50) // 2], spread[:, (place - TTFT_Q50) // 2]
            residuals = ((seen[:, place] - logs) / spreads)[first:last]
            away = conformal_offset(residuals[~np.isnan(residuals)], quantity.quantile)
            predicted[:, place] = logs + away * spreads
    return _scores(predicted[last:], held_out.rows)


def _averages(levels: PriorHierarchy, rows: Sequence[Sample]) -> tuple[Floats, Floats]:
    """(n, 2) each: averages of ln TTFT and ln tokens a second before each row, and the endpoint's spreads."""
    means: dict[tuple[str, bool], list[float]] = {}
    centre, spread = np.empty((len(rows), 2)), np.empty((len(rows), 2))
    for place, s in enumerate(rows):
        level = levels.of(s.endpoint, s.candidate.provider, s.context.model)
        wait = (level.log_ttft, level.ttft_spread) if s.context.stream else (level.log_whole, level.whole_spread)
        mean = means.setdefault((s.endpoint, s.context.stream), [wait[0], level.log_tokens_per_s])
        centre[place], spread[place] = mean, (wait[1], level.pace_spread)
        for which, value in enumerate((s.log_ttft, s.log_tokens_per_s)):
            if value is not None:
                mean[which] += EWMA_ALPHA * (value - mean[which])
    return centre, spread


def _scores(predicted: Floats, rows: Sequence[Sample]) -> PredictionLosses:
    seen = np.column_stack([sample_column(rows, shown) for shown in TARGETS])
    residuals = seen - predicted
    loss = np.column_stack(
        [
            residuals[:, place] ** 2 if q.quantile is None else pinball_loss(residuals[:, place], q.quantile)
            for place, q in enumerate(PREDICTED_QUANTITIES)
        ]
    )
    return PredictionLosses(loss, np.where(np.isnan(residuals), np.nan, residuals > 0))


def _in_logs(estimate: AttemptEstimate) -> tuple[float, ...]:
    logs = (estimate.ttft_s, estimate.ttft_q90_s, estimate.tokens_per_s, estimate.tokens_per_s_q10)
    return (1.0 - estimate.success, estimate.limited, *(math.log(value) for value in logs))


def _columns(losses: Floats) -> list[tuple[str, Floats]]:
    named = zip(PREDICTED_QUANTITIES, losses.T, strict=True)
    return [(quantity.name, loss) for quantity, loss in named if not np.isnan(loss).all()]


def served_forms(figures: Mapping[str, float]) -> dict[str, int]:
    """The number of the form that serves of each quantity, out of ``metrics``."""
    return {q.name: int(figures[f"{q.name}.form"]) for q in PREDICTED_QUANTITIES if f"{q.name}.form" in figures}
