"""Fit, correct and compare the forms that a quantity's prediction may take. Only this module uses scikit-learn.

A form is fitted on earlier rows, chosen on later ones and corrected on still later ones, so that nothing is judged by
rows that it was made from. A more complex form must be better by its standard error.

scikit-learn is imported where something is fitted: each refresh imports this module, few fit anything, and the import
takes some seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from models.selection.decision.arrays import Floats
from models.selection.decision.features import FEATURE_INDEX, FEATURES
from models.selection.decision.predictor import FORMS, PredictedQuantity, QuantityModel, logistic
from models.selection.training.conformal import MIN_RESIDUALS, conformal_offset, pinball_loss

# Forms are fitted on the latest rows; more add minutes and little else.
MAX_ROWS = 40_000
# Rows, and for a share rows of the rarer outcome, below which a form is not tried.
MIN_ROWS = {"level": (0, 0), "ewma": (0, 0), "linear": (150, 20), "boosted": (400, 40)}
# Forms that are read off the features and not fitted.
SIMPLE = ("level", "ewma")
# Rows of the rarer outcome below which a share is not calibrated.
MIN_CALIBRATION_ROWS = 40
# A linear form may correct no further than within these quantiles of its corrections on the fitted rows.
CORRECTION_QUANTILES = (0.025, 0.975)
# A calibration must be better by so many standard errors.
MIN_STANDARD_ERRORS = 2.0
# More trees predict little better, and each costs time in every decision (benchmarks/selection.py).
TREE_PARAMETERS: dict[str, Any] = {
    "max_iter": 20,
    "max_leaf_nodes": 8,
    "learning_rate": 0.2,
    "early_stopping": False,
    "random_state": 0,
}
ITERATIONS = 40
# The loss is smooth for residuals smaller than this.
SMOOTHING = 0.01
# Ridge penalty for each row: keeps weights small where features are collinear.
RIDGE = 0.003
_NAMES = [name for name, _, _ in FEATURES]


class FittedForm(NamedTuple):
    """Hold a fitted form of one quantity; ``trees`` is the learner of the boosted form."""

    model: QuantityModel
    trees: Any = None

    def predict(self, features: Floats) -> Floats:
        """Return predictions (n,) as ``Predictor`` makes them, from the learner itself."""
        model = self.model
        predictions: Floats = np.full(len(features), model.intercept)
        for name, weight in model.weights.items():
            predictions += weight * features[:, FEATURE_INDEX[name]]
        if model.within is not None:
            base = features[:, FEATURE_INDEX[model.base]]
            predictions = base + np.clip(predictions - base, *model.within)
        if model.logistic:
            predictions = logistic(predictions)
        if self.trees is not None:
            share = hasattr(self.trees, "predict_proba")
            single = features.astype(np.float32)
            predictions = predictions + (
                self.trees.predict_proba(single)[:, 1] if share else self.trees.predict(single)
            )
        return np.interp(predictions, *model.table) if model.table else predictions


class ChosenForm(NamedTuple):
    """Hold the form that serves, and the prior alone for comparison.

    ``losses`` are each form's mean loss on the rows it was chosen by.
    """

    fitted: FittedForm
    level: FittedForm
    losses: Mapping[str, float]


def choose_form(quantity: PredictedQuantity, features: Floats, targets: Floats, until: tuple[int, int]) -> ChosenForm:
    """Choose and correct the form of one quantity.

    ``targets`` (n,) is NaN where a row does not show the quantity. Forms are fitted on the rows before ``until[0]``,
    compared up to ``until[1]``, fitted again on both and corrected on the rest. Prior and EWMA, for which nothing is
    fitted, are corrected on the rows of the comparison too, since a quantile needs many rows.
    """
    first, second = until
    losses: dict[str, Floats] = {}
    base = quantity.recent
    for form in FORMS:
        fitted = fit_form(quantity, form, features[:first], targets[:first], base)
        if fitted is not None:
            losses[form] = _loss(quantity, fitted, features[first:second], targets[first:second])
        if form == "ewma":
            base = quantity.level if losses["level"].sum() <= losses["ewma"].sum() else quantity.recent
    form = _simplest_form(losses)
    fitted_forms = {
        name: fit_form(quantity, name, features[:second], targets[:second], base) for name in {"level", form}
    }
    corrected = {}
    for name, fitted in fitted_forms.items():
        if fitted is not None:
            since = first if name in SIMPLE else second
            corrected[name] = _corrected(quantity, fitted, features[since:], targets[since:])
    means = {name: float(loss.mean()) for name, loss in losses.items() if len(loss)}
    return ChosenForm(corrected[form], corrected["level"], means)


def fit_form(
    quantity: PredictedQuantity, form: str, features: Floats, targets: Floats, base: str = ""
) -> FittedForm | None:
    """Fit one form; ``None`` where there are too few rows.

    Learners of a quantile correct the feature ``base``, by default the quantity's recent mean.
    """
    observed = np.flatnonzero(~np.isnan(targets))[-MAX_ROWS:]
    features, targets = features[observed], targets[observed]
    min_rows, min_rarer = MIN_ROWS[form]
    if len(targets) < min_rows or (quantity.quantile is None and min(targets.sum(), (1 - targets).sum()) < min_rarer):
        return None
    if form in SIMPLE:
        return _simple(quantity, form, features, targets)
    if quantity.quantile is None:
        return _logistic(features, targets) if form == "linear" else _classifier(features, targets)
    base = base or quantity.recent
    residuals = targets - features[:, FEATURE_INDEX[base]]
    if form == "linear":
        weights, intercept = fit_linear_quantile(features, residuals, quantity.quantile)
        named = dict(zip(_NAMES, weights.tolist(), strict=True))
        named[base] += 1.0
        low, high = np.quantile(features @ weights + intercept, CORRECTION_QUANTILES).tolist()
        model = QuantityModel(form, intercept, {name: weight for name, weight in named.items() if weight})
        return FittedForm(model._replace(base=base, within=(low, high)))
    from sklearn.ensemble import HistGradientBoostingRegressor

    trees = HistGradientBoostingRegressor(loss="quantile", quantile=quantity.quantile, **TREE_PARAMETERS)
    with threadpool_limits(1):
        trees.fit(features.astype(np.float32), residuals)
    return FittedForm(QuantityModel(form, 0.0, {base: 1.0}, boosted=True), trees)


def fit_linear_quantile(features: Floats, targets: Floats, quantile: float) -> tuple[Floats, float]:
    """Return weights (features,) and intercept that minimise the pinball loss of ``targets`` (n,), with a small ridge.

    The MM algorithm of Hunter and Lange (2000) reweights least squares. scikit-learn's ``QuantileRegressor`` solves a
    linear programme, which takes 15 s for 5,000 rows of 40 features; this takes a tenth of a second and is as exact as
    the choice between two forms needs.
    """
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, np.inf)
    design = np.column_stack([(features - mean) / scale, np.ones(len(targets))])
    penalty = np.full(design.shape[1], RIDGE * len(targets))
    penalty[-1] = 0.0
    gradient = (2.0 * quantile - 1.0) * design.sum(axis=0)
    weights = np.zeros(design.shape[1])
    weights[-1] = np.quantile(targets, quantile)
    for _ in range(ITERATIONS):
        residual_weights = 1.0 / (SMOOTHING + np.abs(targets - design @ weights))
        weighted = design * residual_weights[:, None]
        before = weights
        weights = np.linalg.solve(weighted.T @ design + np.diag(penalty), weighted.T @ targets + gradient)
        if np.abs(weights - before).max() < 1e-4:
            break
    coefficients: Floats = weights[:-1] / scale
    return coefficients, float(weights[-1] - coefficients @ mean)


def _simple(quantity: PredictedQuantity, form: str, features: Floats, targets: Floats) -> FittedForm:
    """Take the prior or its EWMA.

    A quantile other than the median lies a number of spreads away: that of a normal distribution, then conformalised.
    """
    column = quantity.level if form == "level" else quantity.recent
    if quantity.quantile is None or quantity.spread is None:
        return FittedForm(QuantityModel(form, 0.0, {column: 1.0}))
    z = NormalDist().inv_cdf(quantity.quantile)
    return _conformalised(
        quantity, FittedForm(QuantityModel(form, 0.0, {column: 1.0, quantity.spread: z})), features, targets
    )


def _logistic(features: Floats, targets: Floats) -> FittedForm:
    from sklearn.linear_model import LogisticRegression

    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, np.inf)
    regression = LogisticRegression(max_iter=500, C=0.1).fit((features - mean) / scale, targets)
    weights = regression.coef_[0] / scale
    named = {name: weight for name, weight in zip(_NAMES, weights.tolist(), strict=True) if weight}
    return FittedForm(QuantityModel("linear", float(regression.intercept_[0] - weights @ mean), named, logistic=True))


def _classifier(features: Floats, targets: Floats) -> FittedForm:
    from sklearn.ensemble import HistGradientBoostingClassifier

    with threadpool_limits(1):
        trees = HistGradientBoostingClassifier(**TREE_PARAMETERS).fit(features.astype(np.float32), targets)
    return FittedForm(QuantityModel("boosted", 0.0, {}, boosted=True), trees)


def _corrected(quantity: PredictedQuantity, fitted: FittedForm, features: Floats, targets: Floats) -> FittedForm:
    observed = ~np.isnan(targets)
    features, targets = features[observed], targets[observed]
    return (
        _calibrated_if_better(fitted, features, targets)
        if quantity.quantile is None
        else _conformalised(quantity, fitted, features, targets)
    )


def _conformalised(quantity: PredictedQuantity, fitted: FittedForm, features: Floats, targets: Floats) -> FittedForm:
    """Shift a quantile by a constant, or by a multiple of the spread where the form has no other term."""
    if len(targets) < MIN_RESIDUALS or quantity.quantile is None:
        return fitted
    residuals, model = targets - fitted.predict(features), fitted.model
    if model.form in SIMPLE and quantity.quantile != 0.5 and quantity.spread:
        shift = conformal_offset(residuals / features[:, FEATURE_INDEX[quantity.spread]], quantity.quantile)
        weight = model.weights.get(quantity.spread, 0.0) + shift
        return FittedForm(model._replace(weights={**model.weights, quantity.spread: weight}))
    shift = conformal_offset(residuals, quantity.quantile)
    within = (model.within[0] + shift, model.within[1] + shift) if model.within else None
    return fitted._replace(model=model._replace(intercept=model.intercept + shift, within=within))


def _calibrated_if_better(fitted: FittedForm, features: Floats, targets: Floats) -> FittedForm:
    """Calibrate a share where that is clearly better on rows that the calibration was not made from.

    A prior is calibrated already, and a few hundred rows would only add their noise.
    """
    if min(targets.sum(), (1 - targets).sum()) < MIN_CALIBRATION_ROWS:
        return fitted
    gains = []
    for part in (slice(0, None, 2), slice(1, None, 2)):
        other = slice(1 - part.start, None, 2)
        corrected = _isotonic(fitted, features[part], targets[part])
        errors = [(targets[other] - form.predict(features[other])) ** 2 for form in (fitted, corrected)]
        gains.append(errors[0] - errors[1])
    gain = np.concatenate(gains)
    better = gain.mean() > MIN_STANDARD_ERRORS * gain.std() / len(gain) ** 0.5
    return _isotonic(fitted, features, targets) if better else fitted


def _isotonic(fitted: FittedForm, features: Floats, targets: Floats) -> FittedForm:
    """Calibrate by isotonic regression, with shares no more certain than the number of rows allows."""
    from sklearn.isotonic import IsotonicRegression

    bound = 1.0 / (len(targets) + 2)
    isotonic = IsotonicRegression(y_min=bound, y_max=1 - bound, out_of_bounds="clip").fit(
        fitted.predict(features), targets
    )
    columns = tuple(
        tuple(np.asarray(c, dtype=float).tolist()) for c in (isotonic.X_thresholds_, isotonic.y_thresholds_)
    )
    return fitted._replace(model=fitted.model._replace(table=(columns[0], columns[1])))


def _loss(quantity: PredictedQuantity, fitted: FittedForm, features: Floats, targets: Floats) -> Floats:
    observed = ~np.isnan(targets)
    residuals = targets[observed] - fitted.predict(features[observed])
    return residuals**2 if quantity.quantile is None else pinball_loss(residuals, quantity.quantile)


def _simplest_form(losses: Mapping[str, Floats]) -> str:
    """Return the first form that the best one does not beat by more than the standard error of their difference."""
    best = min(losses, key=lambda form: losses[form].mean() if len(losses[form]) else 0.0)
    for form in FORMS:
        if form in losses:
            excess = losses[form] - losses[best]
            if form == best or len(excess) < MIN_RESIDUALS or excess.mean() <= excess.std() / len(excess) ** 0.5:
                return form
    return best
