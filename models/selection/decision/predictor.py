"""Predict six quantities from features, as they were learned, with numpy and, where trees serve, ONNX Runtime.

Every form but the trees is a sum of weighted features: the prior and its EWMA take one column and a multiple of the
spread, a linear quantile or logistic regression takes many. So one matrix product gives all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from models.selection.decision.arrays import Floats
from models.selection.decision.features import FEATURE_INDEX, FEATURES


class PredictedQuantity(NamedTuple):
    """Describe a predicted quantity: a share, or the ``quantile`` of a logarithm.

    ``level``, ``recent`` and ``spread`` name features. ``pair`` is the index of the median that the quantile must not
    cross.
    """

    name: str
    quantile: float | None
    level: str
    recent: str
    spread: str | None = None
    pair: int | None = None


PREDICTED_QUANTITIES = (
    PredictedQuantity("failure", None, "level_failure", "recent_failure"),
    PredictedQuantity("limited", None, "level_limited", "recent_limited"),
    PredictedQuantity("ttft_q50", 0.5, "level_log_ttft", "recent_log_ttft", "level_ttft_spread"),
    PredictedQuantity("ttft_q90", 0.9, "level_log_ttft", "recent_log_ttft", "level_ttft_spread", 2),
    PredictedQuantity(
        "tokens_per_s_q50", 0.5, "level_log_tokens_per_s", "recent_log_tokens_per_s", "level_pace_spread"
    ),
    PredictedQuantity(
        "tokens_per_s_q10", 0.1, "level_log_tokens_per_s", "recent_log_tokens_per_s", "level_pace_spread", 4
    ),
)
FAILURE, RATE_LIMITED, TTFT_Q50, TTFT_Q90, THROUGHPUT_Q50, THROUGHPUT_Q10 = range(6)
# Weights beyond this limit, NaN and infinities give no usable product with a feature.
MAX_WEIGHT = 1e12
# The simpler first: the prior alone, the prior corrected by live windows, weights for all features, trees.
FORMS = ("level", "ewma", "linear", "boosted")


class QuantityModel(NamedTuple):
    """Hold the model of one quantity: ``intercept`` + ``weights`` · features, plus the trees' output when ``boosted``.

    A ``logistic`` sum goes through the logistic function. ``table`` calibrates a share: predicted and corrected values,
    both rising, interpolated linearly. ``within`` bounds how far a sum may lie from the feature ``base``, since a
    linear model says nothing about ranges of features that it was not fitted on.
    """

    form: str
    intercept: float
    weights: Mapping[str, float]
    logistic: bool = False
    boosted: bool = False
    table: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    base: str = ""
    within: tuple[float, float] | None = None


class Predictor:
    """Evaluate the ``models`` of all ``PREDICTED_QUANTITIES``, in their order.

    ``session`` runs the trees: its output has one column for each boosted model, in that order.
    """

    def __init__(self, models: Sequence[QuantityModel], session: Any = None) -> None:
        self.models = tuple(models)
        self._session = session
        self._output = [session.get_outputs()[0].name] if session is not None else []
        # Rows below the weights select the features that a sum is bounded around, so that one product gives both.
        count = len(models)
        self._bounded = any(model.within for model in models)
        self._weights = np.zeros((2 * count if self._bounded else count, len(FEATURES)))
        self._within = np.array([model.within or (-math.inf, math.inf) for model in models]).T[:, :, None]
        for place, model in enumerate(models):
            if model.within:
                self._weights[count + place, FEATURE_INDEX[model.base]] = 1.0
        for place, model in enumerate(models):
            for name, weight in model.weights.items():
                self._weights[place, FEATURE_INDEX[name]] = weight
        self._intercepts = np.array([[model.intercept] for model in models])
        self._logistic = _indices([model.logistic for model in models])
        self._boosted = _indices([model.boosted for model in models])
        self._tables = [
            (place, np.array(model.table[0]), np.array(model.table[1]))
            for place, model in enumerate(models)
            if model.table
        ]

    def predict(self, features: Floats) -> Floats:
        """Return (n, quantities): shares in [0, 1], and logarithms in which no quantile crosses its median."""
        # A quantity is a row here, since sums over contiguous memory cost a third.
        product = self._weights @ features.T
        predictions, base = product[: len(self.models)], product[len(self.models) :]
        predictions += self._intercepts
        if self._bounded:
            lower, upper = self._within
            predictions -= base
            np.minimum(np.maximum(predictions, lower, out=predictions), upper, out=predictions)
            predictions += base
        if self._logistic is not None:
            predictions[self._logistic] = logistic(predictions[self._logistic])
        if self._boosted is not None:
            predictions[self._boosted] += self._session.run(self._output, {"X": features.astype(np.float32)})[0].T
        for place, predicted, corrected in self._tables:
            predictions[place] = np.interp(predictions[place], predicted, corrected)
        shares = predictions[:TTFT_Q50]
        np.minimum(np.maximum(shares, 0.0, out=shares), 1.0, out=shares)
        np.maximum(predictions[TTFT_Q90], predictions[TTFT_Q50], out=predictions[TTFT_Q90])
        np.minimum(predictions[THROUGHPUT_Q10], predictions[THROUGHPUT_Q50], out=predictions[THROUGHPUT_Q10])
        return predictions.T


def _indices(selected: Sequence[bool]) -> slice | list[int] | None:
    """Return the selected indices, as a slice where they are contiguous, which is faster."""
    indices = [place for place, is_selected in enumerate(selected) if is_selected]
    if not indices:
        return None
    contiguous = indices[-1] - indices[0] == len(indices) - 1
    return slice(indices[0], indices[-1] + 1) if contiguous else indices


def logistic(sums: Floats) -> Floats:
    """Return the logistic function of ``sums``, by the hyperbolic tangent, which cannot overflow."""
    shares: Floats = 0.5 + 0.5 * np.tanh(0.5 * sums)
    return shares


def models_to_json(models: Sequence[QuantityModel]) -> dict[str, dict[str, Any]]:
    """Return what ``policy.json`` holds: the models by the quantity's name."""
    return {quantity.name: model._asdict() for quantity, model in zip(PREDICTED_QUANTITIES, models, strict=True)}


def models_from_json(content: Mapping[str, Mapping[str, Any]]) -> list[QuantityModel]:
    """Read the models of ``policy.json``. Raises on malformed content."""
    models = []
    for quantity in PREDICTED_QUANTITIES:
        fields = dict(content[quantity.name])
        weights = {str(name): float(weight) for name, weight in fields.pop("weights").items()}
        unknown = ({*weights, fields["base"]} - {""}) - FEATURE_INDEX.keys()
        if unknown:
            raise ValueError(f"{quantity.name} weighs {sorted(unknown)}, which are no features")
        table = fields.pop("table")
        columns = tuple(tuple(map(float, column)) for column in table) if table else None
        within = fields.pop("within")
        bounds = (float(within[0]), float(within[1])) if within else None
        model = QuantityModel(weights=weights, table=columns, within=bounds, **fields)  # type: ignore[arg-type]
        figures = [model.intercept, *weights.values(), *(bounds or ()), *(f for one in columns or () for f in one)]
        if not all(abs(figure) <= MAX_WEIGHT for figure in figures):
            raise ValueError(f"{quantity.name} has a weight that is not finite, or beyond {MAX_WEIGHT:g}")
        models.append(model)
    return models
