"""Samples of the log → levels, answer lengths and a rule for each quantity. Priors are made as of each row's block.

A level that knew what came after a row would teach the learner to trust it too much. So the time before the held-out
part is cut into blocks, and the rows of a block see the levels of what was known when it began, as a router sees
those of the last training.
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
from models.selection.training.fitting import ChosenForm, choose_form
from models.selection.training.tallies import OutputLengthBuilder, PriorBuilder, add_samples

# The first block only makes levels; forms are fitted on the next five, chosen on two, corrected on the last two.
BLOCKS, CHOSEN_FROM, CORRECTED_FROM = 10, 6, 8

# Each eighth row is learned from without its windows: busy logs would else hold none that looks so.
BLANKED = 8

TARGETS: tuple[Callable[[Sample], float | None], ...] = (
    lambda s: s.failure,
    lambda s: s.limited,
    lambda s: s.log_ttft,
    lambda s: s.log_ttft,
    lambda s: s.log_tokens_per_s,
    lambda s: s.log_tokens_per_s,
)


class LearnedModel(NamedTuple):
    """``choices`` in the order of ``predictor.PREDICTED_QUANTITIES``; ``rows`` are the features of the time after the
    first block, on which exported trees are compared with the learners."""

    levels: PriorHierarchy
    lengths: OutputLengths
    choices: tuple[ChosenForm, ...]
    rows: Floats

    def rules(self) -> list[predictor.QuantityModel]:
        return [chosen.fitted.rule for chosen in self.choices]

    def trees(self) -> dict[str, Any]:
        """Learners of the boosted quantities, by name."""
        pairs = zip(predictor.PREDICTED_QUANTITIES, self.choices, strict=True)
        return {q.name: chosen.fitted.trees for q, chosen in pairs if chosen.fitted.trees is not None}

    def figures(self) -> Mapping[str, float]:
        """Each form's loss where it was chosen, and the number of the form that was."""
        found = {}
        for quantity, chosen in zip(predictor.PREDICTED_QUANTITIES, self.choices, strict=True):
            found[f"{quantity.name}.form"] = float(predictor.FORMS.index(chosen.fitted.rule.form))
            for form, loss in chosen.losses.items():
                found[f"{quantity.name}.choice.{form}"] = loss
        return found


def learn(earlier: Samples, until_us: int) -> LearnedModel:
    """``until_us``, Unix µs, is where the held-out time begins: outcomes known later make no level."""
    bounds = [len(earlier.rows) * block // BLOCKS for block in range(BLOCKS + 1)]
    order = sorted(earlier.rows, key=lambda s: s.known_us)
    levels, lengths = PriorBuilder(), OutputLengthBuilder()
    done, parts = 0, []
    for block in range(1, BLOCKS):
        part = earlier.part(bounds[block], bounds[block + 1])
        done = _catch_up(order, done, _arrived_us(part.rows[0]), levels, lengths)
        part = _blanked(part) if block < CORRECTED_FROM else part
        parts.append(sample_features(part, levels.levels(), lengths.lengths()))
    _catch_up(order, done, until_us, levels, lengths)
    rows = _unseasoned(np.concatenate(parts), earlier)
    begin = bounds[1]
    until = (bounds[CHOSEN_FROM] - begin, bounds[CORRECTED_FROM] - begin)
    choices = tuple(
        choose_form(quantity, rows, sample_column(earlier.rows[begin:], shown), until)
        for quantity, shown in zip(predictor.PREDICTED_QUANTITIES, TARGETS, strict=True)
    )
    return LearnedModel(levels.levels(), lengths.lengths(), choices, rows)


def _unseasoned(rows: Floats, earlier: Samples) -> Floats:
    """Without the hours of a day or a week that was not seen twice: their course would be taken for a trend's."""
    days = (earlier.rows[-1].at - earlier.rows[0].at).total_seconds() / 86400
    for period, length in PERIODS_DAYS.items():
        if days < 2 * length:
            rows[:, [FEATURE_INDEX[f"{period}_sin"], FEATURE_INDEX[f"{period}_cos"]]] = 0.0
    return rows


def _blanked(part: Samples) -> Samples:
    """As a router sees some of them that has just started, or an endpoint that no one has called lately."""
    return part._replace(views=part.views.where(np.arange(len(part.rows)) % BLANKED != 0))


def sample_features(found: Samples, levels: PriorHierarchy, lengths: OutputLengths) -> Floats:
    """(n, features) of the endpoints that were tried."""
    contexts = [s.context for s in found.rows]
    return feature_matrix(contexts, [s.candidate for s in found.rows], found.views, levels, lengths)


def _catch_up(order: list[Sample], done: int, until_us: int, levels: PriorBuilder, lengths: OutputLengthBuilder) -> int:
    end = done
    while end < len(order) and order[end].known_us < until_us:
        end += 1
    add_samples(order[done:end], levels, lengths)
    return end


def _arrived_us(sample: Sample) -> int:
    return int((sample.at - EPOCH) / MICROSECOND)
