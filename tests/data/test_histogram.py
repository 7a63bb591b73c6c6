"""A histogram of buckets of 2 % gives quantiles within 1 %."""

from __future__ import annotations

import math
import random

import pytest

from data.histogram import quantile


def test_quantiles_of_a_histogram_are_within_a_bucket() -> None:
    dice = random.Random(4)
    values = sorted(dice.lognormvariate(12, 1.0) for _ in range(5000))
    buckets: dict[int, int] = {}
    for value in values:
        bucket = math.floor(math.log(value) / math.log(1.02))
        buckets[bucket] = buckets.get(bucket, 0) + 1
    for level in (0.5, 0.9, 0.99):
        found = quantile(buckets, level)
        assert found == pytest.approx(values[math.ceil(level * 5000) - 1], rel=0.0101)
    assert quantile({}, 0.5) is None


@pytest.mark.parametrize("level", [-0.1, 1.1])
def test_a_level_outside_of_0_to_1_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="level must lie in"):
        quantile({0: 1}, level)


def test_extreme_levels_are_the_outer_buckets() -> None:
    assert quantile({1: 5, 9: 5}, 0) == quantile({1: 1}, 0.5)
    assert quantile({1: 5, 9: 5}, 1) == quantile({9: 1}, 0.5)
