"""Test the estimators on synthetic logs whose truth is known: bias, coverage and refusals."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from models.selection.dataset.logged_decisions import LoggedDecisions
from models.selection.decision.arrays import Floats, Ints
from models.selection.evaluation.off_policy import EvaluationRefusal, OffPolicyEvaluation, evaluate

LOGS = 200
DECISIONS = 3000
BLOCKS = 60
ENDPOINTS = 5
CONTEXTS = 6
FLOOR = 0.1
# Rewards have the order of magnitude of those in utility.py: a second is 0.0005 USD, a failure 0.005 USD.
USD_PER_SECOND, USD_PER_FAILURE = 0.0005, 0.005


class EstimatorCheck(NamedTuple):
    """Hold the errors of one estimator over all logs.

    ``bias`` is the mean error in USD and ``bias_error`` its standard error; ``rmse`` is the root mean square error in
    USD; ``coverage`` is the share of intervals that contain the truth.
    """

    bias: float
    bias_error: float
    rmse: float
    coverage: float

    @property
    def passed(self) -> bool:
        """Tell whether the bias is within 4 standard errors, and the coverage of a nominal 95 % within [0.90, 0.99]."""
        return abs(self.bias) <= 4 * self.bias_error and 0.90 <= self.coverage <= 0.99


class SelfTestReport(NamedTuple):
    """Hold the checks of all estimators.

    ``truth`` is the target's mean value over the logs, USD; ``refusals`` says why thin logs were refused.
    """

    logs: int
    truth: float
    ips: EstimatorCheck
    snips: EstimatorCheck
    dr: EstimatorCheck
    dr_lift: EstimatorCheck
    refusals: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Tell whether every estimator passed and every thin log was refused."""
        trials = (self.ips, self.snips, self.dr, self.dr_lift)
        return all(trial.passed for trial in trials) and len(self.refusals) == 3


class KnownTruth(NamedTuple):
    """Hold mean latency (s), failure rate and the probabilities of two policies, all (contexts, endpoints)."""

    seconds: Floats
    failure: Floats
    logging: Floats
    target: Floats

    def value(self, policy: Floats) -> float:
        """Return the true mean reward in USD: contexts are equally likely, and noise has mean 0."""
        means = -(USD_PER_SECOND * self.seconds + USD_PER_FAILURE * self.failure)
        return float((policy * means).sum(axis=1).mean())


def self_test(seed: int, logs: int = LOGS) -> SelfTestReport:
    """Evaluate ``logs`` synthetic logs of 3,000 decisions in 60 blocks; deterministic by ``seed``.

    Raises ``RuntimeError`` if a log with enough support is refused.
    """
    found: list[OffPolicyEvaluation] = []
    truths: list[tuple[float, float]] = []
    for number in range(logs):
        rng = np.random.default_rng([seed, number])
        truth = _draw_truth(rng)
        decisions, context = _log(truth, rng)
        result = evaluate(decisions, truth.target[context], seed=number)
        if isinstance(result, EvaluationRefusal):
            raise RuntimeError(f"a log with enough support was refused: {result.reason}")
        found.append(result)
        truths.append((truth.value(truth.target), truth.value(truth.target) - truth.value(truth.logging)))
    values = np.array([truth for truth, _ in truths])
    lifts = np.array([lift for _, lift in truths])
    return SelfTestReport(
        logs,
        float(values.mean()),
        _trial(np.array([e.ips for e in found]), values),
        _trial(np.array([e.snips for e in found]), values),
        _trial(np.array([e.dr for e in found]), values),
        _trial(np.array([e.dr_lift for e in found]), lifts),
        _refusals(seed),
    )


def _trial(intervals: Floats, truth: Floats) -> EstimatorCheck:
    """Check one estimator's ``intervals``, (logs, 3): value, low, high."""
    errors = intervals[:, 0] - truth
    covered = (intervals[:, 1] <= truth) & (truth <= intervals[:, 2])
    return EstimatorCheck(
        float(errors.mean()),
        float(errors.std(ddof=1)) / math.sqrt(len(errors)),
        float(np.sqrt((errors**2).mean())),
        float(covered.mean()),
    )


def _draw_truth(rng: np.random.Generator, floor: float = FLOOR) -> KnownTruth:
    seconds = np.exp(rng.normal(0.0, 0.5, (CONTEXTS, ENDPOINTS)))
    failure = rng.beta(1.0, 15.0, (CONTEXTS, ENDPOINTS))
    estimated_loss = seconds * np.exp(rng.normal(0.0, 0.5, seconds.shape)) + 10 * failure
    return KnownTruth(
        seconds, failure, _softmin(estimated_loss, 0.5, floor), _softmin(seconds + 10 * failure, 0.3, 0.02)
    )


def _softmin(loss: Floats, temperature: float, floor: float) -> Floats:
    weight = np.exp(-(loss - loss.min(axis=1, keepdims=True)) / temperature)
    probabilities: Floats = (1 - floor) * weight / weight.sum(axis=1, keepdims=True) + floor / loss.shape[1]
    return probabilities


def _log(truth: KnownTruth, rng: np.random.Generator, count: int = DECISIONS) -> tuple[LoggedDecisions, Ints]:
    """Draw a log and each decision's context.

    Blocks share slow spells, so that decisions within one are dependent.
    """
    context = rng.integers(0, CONTEXTS, count)
    block = np.arange(count) * BLOCKS // count
    logged = truth.logging[context]
    chosen = (rng.random(count)[:, None] > logged.cumsum(axis=1)[:, :-1]).sum(axis=1)
    spell = np.exp(rng.normal(-0.045, 0.3, (BLOCKS, ENDPOINTS)))[block, chosen]
    noise = np.exp(rng.normal(-0.18, 0.6, count))
    seconds = truth.seconds[context, chosen] * spell * noise
    failed = rng.random(count) < truth.failure[context, chosen]
    names = np.array([f"segment {number % 3}" for number in range(CONTEXTS)])[context]
    decisions = LoggedDecisions(
        np.tile(np.arange(ENDPOINTS), (count, 1)),
        logged,
        chosen.astype(np.int64),
        -(USD_PER_SECOND * seconds + USD_PER_FAILURE * failed),
        block.astype(np.int64),
        np.full(count, "a/m"),
        names,
    )
    return decisions, context


def _refusals(seed: int) -> tuple[str, ...]:
    """Return the reasons for refusing three logs: too short, without the target's choices, of false propensities."""
    rng = np.random.default_rng([seed, LOGS, 1])
    truth = _draw_truth(rng, floor=0.02)
    worst = np.eye(ENDPOINTS)[truth.logging.argmin(axis=1)]
    short, context = _log(truth, rng, 600)
    thin = evaluate(short, worst[context])
    never = np.where(worst > 0, 0.0, truth.logging)
    never /= never.sum(axis=1, keepdims=True)
    blind, context = _log(truth._replace(logging=never), rng)
    uncovered = evaluate(blind, worst[context])
    honest, context = _log(_draw_truth(rng), rng)
    false = evaluate(honest._replace(logged=np.full_like(honest.logged, 1 / ENDPOINTS)), truth.target[context])
    return tuple(result.reason for result in (thin, uncovered, false) if isinstance(result, EvaluationRefusal))
