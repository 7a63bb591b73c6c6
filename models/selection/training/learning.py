"""Learn priors, output lengths and a model of each quantity from samples.

A prior that knew what came after a row would teach the learner to trust it too much. So the time before the held-out
part is cut into blocks, and the rows of a block see the priors of what was known when it began, as a router sees those
of the last training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from models.selection.dataset.point_in_time import EPOCH, MICROSECOND
from models.selection.dataset.samples import Sample, Samples, sample_column
from models.selection.decision import predictor
from models.selection.decision.arrays import Floats
from models.selection.decision.features import FEATURE_INDEX, PERIODS_DAYS, feature_matrix
from models.selection.decision.output_length import OutputLengths
from models.selection.decision.priors import PriorHierarchy
from models.selection.training.builders import OutputLengthBuilder, PriorBuilder, add_samples
from models.selection.training.fitting import ChosenForm, choose_form

# The first block only makes priors. Forms are fitted on the next five, chosen on two and corrected on the last two.
BLOCKS, SELECTION_BLOCK, CORRECTION_BLOCK = 10, 6, 8

# Each eighth row is learned from without its windows, since a busy log would hold none that looks so.
BLANK_EVERY = 8

TARGETS: tuple[Callable[[Sample], float | None], ...] = (
    lambda s: s.failure,
    lambda s: s.limited,
    lambda s: s.log_ttft,
    lambda s: s.log_ttft,
    lambda s: s.log_tokens_per_s,
    lambda s: s.log_tokens_per_s,
)


class LearnedModel(NamedTuple):
    """Hold what was learned: ``choices`` in the order of ``PREDICTED_QUANTITIES``.

    ``rows`` are the features of the time after the first block, on which exported trees are compared with the learners.
    """

    priors: PriorHierarchy
    lengths: OutputLengths
    choices: tuple[ChosenForm, ...]
    rows: Floats

    def models(self) -> list[predictor.QuantityModel]:
        """Return the models that serve, in the order of ``PREDICTED_QUANTITIES``."""
        return [chosen.fitted.model for chosen in self.choices]

    def trees(self) -> dict[str, Any]:
        """Return the learners of the boosted quantities, by name."""
        pairs = zip(predictor.PREDICTED_QUANTITIES, self.choices, strict=True)
        return {q.name: chosen.fitted.trees for q, chosen in pairs if chosen.fitted.trees is not None}

    def figures(self) -> Mapping[str, float]:
        """Return each form's loss on the rows it was chosen by, and the number of the chosen form."""
        figures = {}
        for quantity, chosen in zip(predictor.PREDICTED_QUANTITIES, self.choices, strict=True):
            figures[f"{quantity.name}.form"] = float(predictor.FORMS.index(chosen.fitted.model.form))
            for form, loss in chosen.losses.items():
                figures[f"{quantity.name}.choice.{form}"] = loss
        return figures


def learn(earlier: Samples, until_us: int) -> LearnedModel:
    """Learn from the samples before ``until_us``, Unix µs, where the held-out time begins.

    Outcomes that were known later add to no prior.
    """
    bounds = [len(earlier.rows) * block // BLOCKS for block in range(BLOCKS + 1)]
    by_known_time = sorted(earlier.rows, key=lambda s: s.known_us)
    priors, lengths = PriorBuilder(), OutputLengthBuilder()
    added, parts = 0, []
    for block in range(1, BLOCKS):
        part = earlier.part(bounds[block], bounds[block + 1])
        added = _add_known(by_known_time, added, _arrival_us(part.rows[0]), priors, lengths)
        part = _with_blanked_views(part) if block < CORRECTION_BLOCK else part
        parts.append(sample_features(part, priors.build(), lengths.build()))
    _add_known(by_known_time, added, until_us, priors, lengths)
    rows = _without_unseen_seasons(np.concatenate(parts), earlier)
    begin = bounds[1]
    until = (bounds[SELECTION_BLOCK] - begin, bounds[CORRECTION_BLOCK] - begin)
    choices = tuple(
        choose_form(quantity, rows, sample_column(earlier.rows[begin:], target_of), until)
        for quantity, target_of in zip(predictor.PREDICTED_QUANTITIES, TARGETS, strict=True)
    )
    return LearnedModel(priors.build(), lengths.build(), choices, rows)


def _without_unseen_seasons(rows: Floats, earlier: Samples) -> Floats:
    """Zero the hour of day or week unless two such periods were observed: their course would be taken for a trend."""
    days = (earlier.rows[-1].at - earlier.rows[0].at).total_seconds() / 86400
    for period, length in PERIODS_DAYS.items():
        if days < 2 * length:
            rows[:, [FEATURE_INDEX[f"{period}_sin"], FEATURE_INDEX[f"{period}_cos"]]] = 0.0
    return rows


def _with_blanked_views(part: Samples) -> Samples:
    """Blank the views of some samples, as a router sees them after a restart."""
    return part._replace(views=part.views.where(np.arange(len(part.rows)) % BLANK_EVERY != 0))


def sample_features(samples: Samples, priors: PriorHierarchy, lengths: OutputLengths) -> Floats:
    """Return the features of the endpoints that were tried, (n, features)."""
    contexts = [s.context for s in samples.rows]
    return feature_matrix(contexts, [s.candidate for s in samples.rows], samples.views, priors, lengths)


def _add_known(
    by_known_time: list[Sample], added: int, until_us: int, priors: PriorBuilder, lengths: OutputLengthBuilder
) -> int:
    end = added
    while end < len(by_known_time) and by_known_time[end].known_us < until_us:
        end += 1
    add_samples(by_known_time[added:end], priors, lengths)
    return end


def _arrival_us(sample: Sample) -> int:
    return int((sample.at - EPOCH) / MICROSECOND)
