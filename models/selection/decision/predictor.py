"""Six quantities from a matrix of features, as they were learned. numpy alone, and ONNX where trees were worth it.

Every form but the trees is a sum of weighted features: the level and its EWMA take a column and a multiple of the
spread, a linear quantile or logistic regression takes many. So one product of matrices gives all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from models.selection.decision.arrays import Floats
from models.selection.decision.features import FEATURE_INDEX, FEATURES


class PredictedQuantity(NamedTuple):
    """What is predicted: a share, or the ``quantile`` of a logarithm; ``level``, ``recent``, ``spread`` name features.

    ``pair`` is the median that the quantile must not cross.
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
# Beyond it, and so of NaN and infinities, a product with a feature is no number that a decision can stand on.
MOST_WEIGHT = 1e12
# The simpler first: the level alone, the level corrected by the live windows, weights for all features, trees.
FORMS = ("level", "ewma", "linear", "boosted")


class QuantityModel(NamedTuple):
    """One quantity's prediction: ``intercept`` + ``weights`` · features (+ the trees' output when ``boosted``).

    ``logistic`` sums go through the logistic function. ``table`` is the calibration of a share: predicted and
    corrected values, both rising, straight lines between them. ``within`` bounds how far a sum may lie from
    the feature ``base``: a straight line through one range of features says nothing of another.
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
    """``rules`` in the order of ``PREDICTED_QUANTITIES``; ``session`` has a column of its output for each boosted one,
    in that order."""

    def __init__(self, rules: Sequence[QuantityModel], session: Any = None) -> None:
        self.rules = tuple(rules)
        self._session = session
        self._output = [session.get_outputs()[0].name] if session is not None else []
        # Below the weights stand the features that a sum is bounded around: one product gives both.
        count = len(rules)
        self._bounded = any(rule.within for rule in rules)
        self._weights = np.zeros((2 * count if self._bounded else count, len(FEATURES)))
        self._within = np.array([rule.within or (-math.inf, math.inf) for rule in rules]).T[:, :, None]
        for place, rule in enumerate(rules):
            if rule.within:
                self._weights[count + place, FEATURE_INDEX[rule.base]] = 1.0
        for place, rule in enumerate(rules):
            for name, weight in rule.weights.items():
                self._weights[place, FEATURE_INDEX[name]] = weight
        self._intercepts = np.array([[rule.intercept] for rule in rules])
        self._logistic = _places([rule.logistic for rule in rules])
        self._boosted = _places([rule.boosted for rule in rules])
        self._tables = [
            (place, np.array(rule.table[0]), np.array(rule.table[1])) for place, rule in enumerate(rules) if rule.table
        ]

    def predict(self, rows: Floats) -> Floats:
        """(n, quantities): shares in [0, 1], and logarithms in which no quantile crosses its median."""
        # A quantity is a row here: sums of what lies together in memory cost a third.
        product = self._weights @ rows.T
        found, base = product[: len(self.rules)], product[len(self.rules) :]
        found += self._intercepts
        if self._bounded:
            least, most = self._within
            found -= base
            np.minimum(np.maximum(found, least, out=found), most, out=found)
            found += base
        if self._logistic is not None:
            found[self._logistic] = logistic(found[self._logistic])
        if self._boosted is not None:
            found[self._boosted] += self._session.run(self._output, {"X": rows.astype(np.float32)})[0].T
        for place, predicted, corrected in self._tables:
            found[place] = np.interp(found[place], predicted, corrected)
        shares = found[:TTFT_Q50]
        np.minimum(np.maximum(shares, 0.0, out=shares), 1.0, out=shares)
        np.maximum(found[TTFT_Q90], found[TTFT_Q50], out=found[TTFT_Q90])
        np.minimum(found[THROUGHPUT_Q10], found[THROUGHPUT_Q50], out=found[THROUGHPUT_Q10])
        return found.T


def _places(chosen: Sequence[bool]) -> slice | list[int] | None:
    """Which quantities, a slice where none is left out between them, which is quicker."""
    places = [place for place, is_chosen in enumerate(chosen) if is_chosen]
    if not places:
        return None
    straight = places[-1] - places[0] == len(places) - 1
    return slice(places[0], places[-1] + 1) if straight else places


def logistic(sums: Floats) -> Floats:
    """Sums → (0, 1), by the hyperbolic tangent, which overflows nowhere."""
    shares: Floats = 0.5 + 0.5 * np.tanh(0.5 * sums)
    return shares


def to_json(rules: Sequence[QuantityModel]) -> dict[str, dict[str, Any]]:
    """As ``policy.json`` holds them, by the quantity's name."""
    return {quantity.name: rule._asdict() for quantity, rule in zip(PREDICTED_QUANTITIES, rules, strict=True)}


def from_json(content: Mapping[str, Mapping[str, Any]]) -> list[QuantityModel]:
    """The inverse. Raises on whatever it is not."""
    rules = []
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
        rule = QuantityModel(weights=weights, table=columns, within=bounds, **fields)  # type: ignore[arg-type]
        figures = [rule.intercept, *weights.values(), *(bounds or ()), *(f for column in columns or () for f in column)]
        if not all(abs(figure) <= MOST_WEIGHT for figure in figures):
            raise ValueError(f"{quantity.name} weighs by a figure that is not finite, or beyond {MOST_WEIGHT:g}")
        rules.append(rule)
    return rules
