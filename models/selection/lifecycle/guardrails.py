"""Compare the outcomes under a learned policy with those under price shares at the same time.

Both arms are drawn at random from the same traffic, so that their difference is caused by the policy. A figure breaches
its guardrail when its entire interval lies beyond the margin.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from models.selection.decision.arrays import Floats
from models.selection.evaluation.intervals import Interval, flatten_intervals, wilson_interval

CONTROL_POLICY = "price"


class GuardrailLimits(NamedTuple):
    """Hold margins against the price arm, and what it takes to judge.

    ``level`` is above 95 %, since guardrails are checked each minute. Success may fall by 1 point, for the gate's 0.1
    would take a million requests to detect. Mean and p95 of TTFT may grow by a tenth: p95 alone misses a policy that is
    always as slow as price shares are half of the time. A learned policy may buy time with money: the dearest static
    rule measured (fastest provider) costs half more than price shares do.
    """

    minutes: float = 60.0
    min_decisions: int = 100
    level: float = 0.995
    success: float = 0.01
    ttft_ratio: float = 1.10
    cost_ratio: float = 1.5
    replicates: int = 2000


class GuardrailReading(NamedTuple):
    """Hold the reading of one version: decisions of both arms, differences or ratios with intervals, and breaches.

    ``success`` is a difference of shares; TTFTs and ``cost`` are ratios to the price arm. ``None`` stands where the log
    does not tell. ``fault`` is the error that kept the guardrails from being read.
    """

    version: str
    decisions: int
    control: int
    success: Interval | None = None
    ttft_mean: Interval | None = None
    ttft_p95: Interval | None = None
    cost: Interval | None = None
    breaches: tuple[str, ...] = ()
    fault: str = ""

    def figures(self) -> dict[str, float]:
        """Return flat figures for the audit log."""
        found = {"decisions": float(self.decisions), "control": float(self.control)}
        intervals = {
            "success_difference": self.success,
            "ttft_mean_ratio": self.ttft_mean,
            "ttft_p95_ratio": self.ttft_p95,
            "cost_ratio": self.cost,
        }
        return found | flatten_intervals(intervals)

    def sentence(self) -> str:
        """Say in a sentence what the guardrails found."""
        if self.fault:
            return f"its guardrails could not be read: {self.fault}"
        if self.breaches:
            return f"guardrails broken: {'; '.join(self.breaches)}"
        if self.success is None:
            return f"{self.decisions} decisions and {self.control} of the price arm are too few to judge"
        return f"no guardrail broken in {self.decisions} decisions"


def read_guardrails(
    frame: pl.DataFrame, version: str, limits: GuardrailLimits = GuardrailLimits(), all_rows: bool = False
) -> GuardrailReading:
    """Judge ``version`` on rows of ``decision_log``: those of the last minutes before its end, or ``all_rows``.

    Only requests with more than one candidate count: the others are the same under every policy. Requests whose client
    disconnected say nothing.
    """
    served = frame.filter((pl.col("policy") == "learned") & (pl.col("policy_version") == version))
    if served.is_empty():
        return GuardrailReading(version, 0, 0)
    begin, end = served["started_at"].min(), frame["started_at"].max()
    if not all_rows:
        begin = max(begin, end - timedelta(minutes=limits.minutes))  # type: ignore[operator, type-var]
    chosen = pl.col("candidates").list.eval(pl.element().struct.field("probability") > 0).list.sum() > 1
    # The price arm before the version's first request saw another market.
    recent = frame.filter((pl.col("started_at") >= begin) & ~pl.col("cancelled") & chosen)
    ours = recent.filter((pl.col("policy") == "learned") & (pl.col("policy_version") == version))
    control = recent.filter(pl.col("policy") == CONTROL_POLICY)
    if min(len(ours), len(control)) < limits.min_decisions:
        return GuardrailReading(version, len(ours), len(control))
    success = _difference(_successes(ours), len(ours), _successes(control), len(control), limits.level)
    ttft = _column(ours, "ttft_us"), _column(control, "ttft_us")
    mean, p95 = _ratio(*ttft, None, limits), _ratio(*ttft, 0.95, limits)
    cost = _ratio(_column(ours, "cost_nano"), _column(control, "cost_nano"), None, limits)
    bounds = (
        ("mean TTFT", mean, limits.ttft_ratio),
        ("p95 TTFT", p95, limits.ttft_ratio),
        ("cost", cost, limits.cost_ratio),
    )
    breaches = []
    if success.high < -limits.success:
        breaches.append(f"success {success.value:+.1%} [{success.low:+.1%}, {success.high:+.1%}]")
    for name, found, limit in bounds:
        if found is not None and found.low > limit:
            breaches.append(f"{name} × {found.value:.2f} [{found.low:.2f}, {found.high:.2f}]")
    return GuardrailReading(version, len(ours), len(control), success, mean, p95, cost, tuple(breaches))


def _successes(frame: pl.DataFrame) -> int:
    return int(frame["error_type"].is_null().sum())


def _column(frame: pl.DataFrame, name: str) -> Floats:
    answered = frame.filter(pl.col("error_type").is_null())
    values: Floats = answered[name].drop_nulls().to_numpy().astype(np.float64)
    return values


def _difference(successes: int, count: int, control_successes: int, count_control: int, level: float) -> Interval:
    """Return Newcombe's interval (1998, method 10) of a difference of shares, from two of Wilson's."""
    ours, theirs = successes / count, control_successes / count_control
    low, high = wilson_interval(successes, count, level)
    low_control, high_control = wilson_interval(control_successes, count_control, level)
    value = ours - theirs
    below = math.hypot(ours - low, high_control - theirs)
    above = math.hypot(high - ours, theirs - low_control)
    return Interval(value, value - below, value + above)


def _ratio(ours: Floats, control: Floats, quantile: float | None, limits: GuardrailLimits) -> Interval | None:
    """Return the ratio of means, or of a quantile, with a percentile bootstrap interval; ``None`` with few values."""
    if min(len(ours), len(control)) < limits.min_decisions or not control.mean() > 0:
        return None
    rng = np.random.default_rng(0)

    def figure(values: NDArray[np.float64]) -> Floats:
        found: Floats = values.mean(axis=-1) if quantile is None else np.quantile(values, quantile, axis=-1)
        return found

    def ratio(own: Floats, others: Floats) -> float:
        # A quantile, or the mean of a sample, may be 0 where most of the figures are.
        return float(figure(own)) / max(float(figure(others)), 1e-12)

    replicas = np.array(
        [ratio(rng.choice(ours, len(ours)), rng.choice(control, len(control))) for _ in range(limits.replicates)]
    )
    low, high = np.quantile(replicas, [(1 - limits.level) / 2, (1 + limits.level) / 2])
    return Interval(ratio(ours, control), float(low), float(high))
