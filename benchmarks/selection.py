"""Measure the cost of estimates for 36 candidates: observations, features and models, by the learned form.

``python -m benchmarks.selection``. Prints microseconds, and how many times as long it takes as one product of
matrices of the same size does in the same run; asserts nothing. The fifth percentile is what it costs when nothing
else wants the processor.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from models.selection.decision.artifact import Artifact, onnx_session
from models.selection.decision.features import (
    FEATURE_INDEX,
    FEATURES,
    CandidateEndpoint,
    RequestContext,
    feature_matrix,
)
from models.selection.decision.live_observations import LiveObservations
from models.selection.decision.outcome import AttemptObservation
from models.selection.decision.output_length import OutputLengths
from models.selection.decision.policy import LearnedPolicy
from models.selection.decision.predictor import FORMS, PREDICTED_QUANTITIES, Predictor
from models.selection.decision.priors import PriorHierarchy
from models.selection.training.builders import PriorBuilder
from models.selection.training.export import onnx_graph
from models.selection.training.fitting import FittedForm, fit_form

CANDIDATES, ROUNDS, ROWS = 36, 3000, 5000
NAMES = [f"p{n}:m" for n in range(CANDIDATES)]
OFFERS = [CandidateEndpoint(name, name.partition(":")[0], 10**9, 2 * 10**9) for name in NAMES]
ASK = RequestContext(1220, 500, True, False, 12, "m")
NOW_S = 60.0


def main() -> None:
    """Print the table."""
    observed, levels, lengths = seen(), past(), OutputLengths({})
    views = observed.views(NAMES, NOW_S)
    rows = feature_matrix((ASK,), OFFERS, views, levels, lengths)
    product = median(lambda: rows @ rows.T)
    print(f"{'':50}{'p5 µs':>9}{'p50 µs':>9}{'× product':>11}")
    report("views of 36", product, lambda: observed.views(NAMES, NOW_S))
    report("features of 36", product, lambda: feature_matrix((ASK,), OFFERS, views, levels, lengths))
    report("one outcome observed", product, lambda: observed.observe(answered(0, NOW_S)))
    for form in FORMS:
        artifact = Artifact("benchmark", {}, levels, lengths, predictor(form))

        def decide(artifact: Artifact = artifact) -> None:
            artifact.estimates(ASK, OFFERS, observed.views(NAMES, NOW_S))

        report(f"views and estimates, every quantity {form}", product, decide)
        policy = LearnedPolicy(artifact)

        def weigh(policy: LearnedPolicy = policy) -> None:
            policy.probabilities(ASK, OFFERS, observed.views(NAMES, NOW_S))

        report(f"a decision, every quantity {form}", product, weigh)


def predictor(form: str) -> Predictor:
    """Every quantity of one form, fitted to noise about a few features."""
    rng = np.random.default_rng(1)
    rows = np.rint(rng.normal(size=(ROWS, len(FEATURES))) * 64) / 64
    rows[:, [FEATURE_INDEX["level_ttft_spread"], FEATURE_INDEX["level_pace_spread"]]] = 0.5
    fits: list[FittedForm] = []
    for quantity in PREDICTED_QUANTITIES:
        sums = rows[:, :4].sum(axis=1) + rng.normal(size=ROWS)
        found = fit_form(quantity, form, rows, sums if quantity.quantile else (sums > 2).astype(float))
        if found is None:
            raise RuntimeError(f"{form} cannot be fitted")
        fits.append(found)
    trees = {q.name: f.trees for q, f in zip(PREDICTED_QUANTITIES, fits, strict=True) if f.trees is not None}
    return Predictor([f.model for f in fits], onnx_session(onnx_graph(trees)) if trees else None)


def seen() -> LiveObservations:
    """A busy minute."""
    observed = LiveObservations()
    for moment in range(int(NOW_S)):
        for place in range(CANDIDATES):
            observed.begin(NAMES[place])
            observed.observe(answered(place, float(moment)))
    return observed


def answered(place: int, now_s: float) -> AttemptObservation:
    offer = OFFERS[place]
    return AttemptObservation(now_s, offer.endpoint, offer.provider, "success", 1.0, 0.5 + 0.01 * place, 50.0)


def past() -> PriorHierarchy:
    tallies = PriorBuilder()
    for offer in OFFERS:
        for number in range(50):
            tallies.add(offer.endpoint, offer.provider, "m", None, (0.0, 0.0, 0.01 * number, 4.0, 2.0, None, 1.0))
    return tallies.build()


def report(name: str, product: float, call: Callable[[], object]) -> None:
    times = measure(call)
    middle = statistics.median(times)
    print(f"{name:50}{times[len(times) // 20]:9.1f}{middle:9.1f}{middle / product:11.1f}")


def median(call: Callable[[], object]) -> float:
    return statistics.median(measure(call))


def measure(call: Callable[[], object]) -> list[float]:
    """Microseconds of each round, sorted."""
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        call()
        times.append((time.perf_counter() - begun) * 1e6)
    return sorted(times)


if __name__ == "__main__":
    main()
