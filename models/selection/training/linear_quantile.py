"""Linear quantile regression by the MM algorithm of Hunter and Lange (2000): reweighted least squares.

scikit-learn's ``QuantileRegressor`` solves a linear programme, which takes 15 s for 5,000 rows of 40 features; this
takes a tenth of a second and comes as close as the choice between two forms needs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
ITERATIONS = 40
# Residuals smaller than this count as this: the loss is smooth within it.
SMOOTHING = 0.01
# Of the number of rows: keeps weights small where features say the same.
RIDGE = 0.003


def fit(features: Floats, seen: Floats, quantile: float) -> tuple[Floats, float]:
    """Weights (features,) and intercept that minimise the pinball loss of ``seen`` (n,), with a small ridge."""
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
