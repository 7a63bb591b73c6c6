"""The forms that a quantity's prediction may take, each fitted, corrected and compared. The only user of scikit-learn.

A form is fitted on earlier rows, chosen on later ones and corrected on still later ones, so that nothing is judged by
rows that it was made from. A more complicated one must be better by its standard error.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from models.selection.decision.arrays import Floats
from models.selection.decision.features import FEATURE_INDEX, FEATURES
from models.selection.decision.predictor import FORMS, PredictedQuantity, QuantityModel, logistic
from models.selection.training.conformal import MIN_RESIDUALS, conformal_offset, pinball_loss

# Latest rows that a form is fitted on; more add minutes and little else.
MOST_ROWS = 40_000
# Rows, and of a share those of the rarer outcome, below which a form is not tried.
NEEDED = {"level": (0, 0), "ewma": (0, 0), "linear": (150, 20), "boosted": (400, 40)}
# Forms that are read off and not fitted.
SIMPLE = ("level", "ewma")
# Of the rarer outcome, below which a share is left uncorrected.
CALIBRATABLE = 40
# Of the corrections that a linear form makes where it was fitted: those between are trusted elsewhere.
USUAL = (0.025, 0.975)
# Standard errors.
CLEARLY = 2.0
# More trees predict little better, and each is paid for in every decision (benchmarks/selection.py).
TREES: dict[str, Any] = {
    "max_iter": 20,
    "max_leaf_nodes": 8,
    "learning_rate": 0.2,
    "early_stopping": False,
    "random_state": 0,
}
ITERATIONS = 40
# Residuals smaller than this count as this: the loss is smooth within it.
SMOOTHING = 0.01
# Of the number of rows: keeps weights small where features say the same.
RIDGE = 0.003
_NAMES = [name for name, _, _ in FEATURES]


class FittedForm(NamedTuple):
    """A form of one quantity; ``trees`` are the learner of the boosted form."""

    rule: QuantityModel
    trees: Any = None

    def predict(self, rows: Floats) -> Floats:
        """(n,) as ``Predictor`` does it, from the learner itself."""
        rule = self.rule
        found: Floats = np.full(len(rows), rule.intercept)
        for name, weight in rule.weights.items():
            found += weight * rows[:, FEATURE_INDEX[name]]
        if rule.within is not None:
            base = rows[:, FEATURE_INDEX[rule.base]]
            found = base + np.clip(found - base, *rule.within)
        if rule.logistic:
            found = logistic(found)
        if self.trees is not None:
            share = hasattr(self.trees, "predict_proba")
            single = rows.astype(np.float32)
            found = found + (self.trees.predict_proba(single)[:, 1] if share else self.trees.predict(single))
        return np.interp(found, *rule.table) if rule.table else found


class ChosenForm(NamedTuple):
    """What serves of one quantity, the level for comparison, and each form's mean loss on the rows it was chosen by."""

    fitted: FittedForm
    level: FittedForm
    losses: Mapping[str, float]


def choose_form(quantity: PredictedQuantity, rows: Floats, seen: Floats, until: tuple[int, int]) -> ChosenForm:
    """``seen`` (n,) is NaN where a row does not show the quantity. Forms are fitted on the rows before ``until[0]``,
    compared up to ``until[1]``, fitted again on both and corrected on the rest. Level and EWMA, which nothing is fitted
    of, are corrected on what they were compared on too: a quantile wants many rows."""
    first, second = until
    losses: dict[str, Floats] = {}
    base = quantity.recent
    for form in FORMS:
        fitted = fit_form(quantity, form, rows[:first], seen[:first], base)
        if fitted is not None:
            losses[form] = _loss(quantity, fitted, rows[first:second], seen[first:second])
        if form == "ewma":
            base = quantity.level if losses["level"].sum() <= losses["ewma"].sum() else quantity.recent
    form = _simplest(losses)
    fits = {name: fit_form(quantity, name, rows[:second], seen[:second], base) for name in {"level", form}}
    done = {}
    for name, fitted in fits.items():
        if fitted is not None:
            since = first if name in SIMPLE else second
            done[name] = _corrected(quantity, fitted, rows[since:], seen[since:])
    means = {name: float(loss.mean()) for name, loss in losses.items() if len(loss)}
    return ChosenForm(done[form], done["level"], means)


def fit_form(quantity: PredictedQuantity, form: str, rows: Floats, seen: Floats, base: str = "") -> FittedForm | None:
    """``None`` where there is too little to fit. Learners of a quantile correct the feature ``base``, the quantity's
    recent level unless it is given."""
    shown = np.flatnonzero(~np.isnan(seen))[-MOST_ROWS:]
    rows, seen = rows[shown], seen[shown]
    least, rarer = NEEDED[form]
    if len(seen) < least or (quantity.quantile is None and min(seen.sum(), (1 - seen).sum()) < rarer):
        return None
    if form in SIMPLE:
        return _simple(quantity, form, rows, seen)
    if quantity.quantile is None:
        return _logistic(rows, seen) if form == "linear" else _classifier(rows, seen)
    base = base or quantity.recent
    residuals = seen - rows[:, FEATURE_INDEX[base]]
    if form == "linear":
        weights, intercept = fit_linear_quantile(rows, residuals, quantity.quantile)
        named = dict(zip(_NAMES, weights.tolist(), strict=True))
        named[base] += 1.0
        low, high = np.quantile(rows @ weights + intercept, USUAL).tolist()
        rule = QuantityModel(form, intercept, {name: weight for name, weight in named.items() if weight})
        return FittedForm(rule._replace(base=base, within=(low, high)))
    trees = HistGradientBoostingRegressor(loss="quantile", quantile=quantity.quantile, **TREES)
    with threadpool_limits(1):
        trees.fit(rows.astype(np.float32), residuals)
    return FittedForm(QuantityModel(form, 0.0, {base: 1.0}, boosted=True), trees)


def fit_linear_quantile(features: Floats, seen: Floats, quantile: float) -> tuple[Floats, float]:
    """Weights (features,) and intercept that minimise the pinball loss of ``seen`` (n,), with a small ridge.

    By the MM algorithm of Hunter and Lange (2000): reweighted least squares. scikit-learn's ``QuantileRegressor``
    solves a linear programme, which takes 15 s for 5,000 rows of 40 features; this takes a tenth of a second and comes
    as close as the choice between two forms needs.
    """
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, np.inf)
    design = np.column_stack([(features - mean) / scale, np.ones(len(seen))])
    penalty = np.full(design.shape[1], RIDGE * len(seen))
    penalty[-1] = 0.0
    pull = (2.0 * quantile - 1.0) * design.sum(axis=0)
    weights = np.zeros(design.shape[1])
    weights[-1] = np.quantile(seen, quantile)
    for _ in range(ITERATIONS):
        near = 1.0 / (SMOOTHING + np.abs(seen - design @ weights))
        weighted = design * near[:, None]
        before = weights
        weights = np.linalg.solve(weighted.T @ design + np.diag(penalty), weighted.T @ seen + pull)
        if np.abs(weights - before).max() < 1e-4:
            break
    own: Floats = weights[:-1] / scale
    return own, float(weights[-1] - own @ mean)


def _simple(quantity: PredictedQuantity, form: str, rows: Floats, seen: Floats) -> FittedForm:
    """The level or its EWMA; a quantile beyond the median is so many spreads away: of a normal distribution, then of
    what was seen."""
    column = quantity.level if form == "level" else quantity.recent
    if quantity.quantile is None or quantity.spread is None:
        return FittedForm(QuantityModel(form, 0.0, {column: 1.0}))
    away = NormalDist().inv_cdf(quantity.quantile)
    return _moved(quantity, FittedForm(QuantityModel(form, 0.0, {column: 1.0, quantity.spread: away})), rows, seen)


def _logistic(rows: Floats, seen: Floats) -> FittedForm:
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    scale = np.where(scale > 1e-9, scale, np.inf)
    found = LogisticRegression(max_iter=500, C=0.1).fit((rows - mean) / scale, seen)
    weights = found.coef_[0] / scale
    named = {name: weight for name, weight in zip(_NAMES, weights.tolist(), strict=True) if weight}
    return FittedForm(QuantityModel("linear", float(found.intercept_[0] - weights @ mean), named, logistic=True))


def _classifier(rows: Floats, seen: Floats) -> FittedForm:
    with threadpool_limits(1):
        trees = HistGradientBoostingClassifier(**TREES).fit(rows.astype(np.float32), seen)
    return FittedForm(QuantityModel("boosted", 0.0, {}, boosted=True), trees)


def _corrected(quantity: PredictedQuantity, fitted: FittedForm, rows: Floats, seen: Floats) -> FittedForm:
    shown = ~np.isnan(seen)
    rows, seen = rows[shown], seen[shown]
    return _calibrated(fitted, rows, seen) if quantity.quantile is None else _moved(quantity, fitted, rows, seen)


def _moved(quantity: PredictedQuantity, fitted: FittedForm, rows: Floats, seen: Floats) -> FittedForm:
    """Conformal: by a constant, or by a multiple of the spread where the prediction knows no other."""
    if len(seen) < MIN_RESIDUALS or quantity.quantile is None:
        return fitted
    residuals, rule = seen - fitted.predict(rows), fitted.rule
    if rule.form in SIMPLE and quantity.quantile != 0.5 and quantity.spread:
        more = conformal_offset(residuals / rows[:, FEATURE_INDEX[quantity.spread]], quantity.quantile)
        weight = rule.weights.get(quantity.spread, 0.0) + more
        return FittedForm(rule._replace(weights={**rule.weights, quantity.spread: weight}))
    more = conformal_offset(residuals, quantity.quantile)
    within = (rule.within[0] + more, rule.within[1] + more) if rule.within else None
    return fitted._replace(rule=rule._replace(intercept=rule.intercept + more, within=within))


def _calibrated(fitted: FittedForm, rows: Floats, seen: Floats) -> FittedForm:
    """Isotonic where that is clearly better on rows that it was not made from, else as it is: a level is calibrated
    of itself, and a few hundred rows would only add their chance."""
    if min(seen.sum(), (1 - seen).sum()) < CALIBRATABLE:
        return fitted
    gains = []
    for part in (slice(0, None, 2), slice(1, None, 2)):
        other = slice(1 - part.start, None, 2)
        corrected = _isotonic(fitted, rows[part], seen[part])
        errors = [(seen[other] - form.predict(rows[other])) ** 2 for form in (fitted, corrected)]
        gains.append(errors[0] - errors[1])
    gain = np.concatenate(gains)
    better = gain.mean() > CLEARLY * gain.std() / len(gain) ** 0.5
    return _isotonic(fitted, rows, seen) if better else fitted


def _isotonic(fitted: FittedForm, rows: Floats, seen: Floats) -> FittedForm:
    """No surer than the number of rows allows."""
    sure = 1.0 / (len(seen) + 2)
    found = IsotonicRegression(y_min=sure, y_max=1 - sure, out_of_bounds="clip").fit(fitted.predict(rows), seen)
    columns = tuple(tuple(np.asarray(c, dtype=float).tolist()) for c in (found.X_thresholds_, found.y_thresholds_))
    return fitted._replace(rule=fitted.rule._replace(table=(columns[0], columns[1])))


def _loss(quantity: PredictedQuantity, fitted: FittedForm, rows: Floats, seen: Floats) -> Floats:
    shown = ~np.isnan(seen)
    residuals = seen[shown] - fitted.predict(rows[shown])
    return residuals**2 if quantity.quantile is None else pinball_loss(residuals, quantity.quantile)


def _simplest(losses: Mapping[str, Floats]) -> str:
    """The first form that the best one does not beat by more than the standard error of their difference."""
    best = min(losses, key=lambda form: losses[form].mean() if len(losses[form]) else 0.0)
    for form in FORMS:
        if form in losses:
            behind = losses[form] - losses[best]
            if form == best or len(behind) < MIN_RESIDUALS or behind.mean() <= behind.std() / len(behind) ** 0.5:
                return form
    return best
