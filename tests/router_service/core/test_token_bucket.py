"""Test that something is done no more often than it may be."""

from __future__ import annotations

from router_service.admission.refusals import RECORDED_BURST, KeyRefusals
from router_service.core.token_bucket import TokenBucket


def test_a_bucket_refills_with_time() -> None:
    """It holds its burst at most, and a clock that steps back takes nothing from it."""
    now = [0.0]
    bucket = TokenBucket(2.0, 3.0, lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    now[0] = 0.5
    assert [bucket.take(), bucket.take()] == [True, False]
    now[0] = -100.0
    assert not bucket.take()
    now[0] = 100.0
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


def test_a_flood_of_unknown_keys_leaves_few_records() -> None:
    refusals = KeyRefusals(lambda: 0.0)
    assert sum(refusals.is_recorded() for _ in range(1000)) == RECORDED_BURST
    assert refusals.unrecorded == 1000 - RECORDED_BURST
