"""Test the replay behind docs/stickiness.md on synthetic conversations."""

from __future__ import annotations

from benchmarks.stickiness import POLICIES, Caches, TracedRequest, replay


def conversations(turns: int, count: int = 30) -> list[TracedRequest]:
    """Return interleaved conversations with one turn per minute, each four blocks longer than the one before."""
    return [
        TracedRequest(
            60_000 * turn + talk, 2048 * (turn + 1), 10, [0, *range(1000 * talk + 1, 1000 * talk + 4 * (turn + 1))]
        )
        for turn in range(turns)
        for talk in range(1, count + 1)
    ]


def test_our_stickiness_reads_all_known_blocks_from_the_cache_and_the_others_fewer() -> None:
    trace = conversations(6)
    found = {name: replay(trace, 4, 300.0, keep).cached for name, keep in POLICIES}
    known = sum(2048 * turn for turn in range(6)) / sum(2048 * (turn + 1) for turn in range(6))
    assert found["ours"] == known
    assert found["price shares, no stickiness"] < found["documented: 10 minutes, after a cached read"] < known


def test_a_cache_evicts_by_age_and_by_size() -> None:
    request = TracedRequest(0, 2048, 1, [1, 2, 3, 4])
    other = TracedRequest(0, 2048, 1, [5, 6, 7, 8])
    cache = Caches(300.0, 4)
    assert [cache.read(request, now) for now in (0.0, 299.0, 600.0)] == [0, 2048, 0]
    assert [cache.read(other, 601.0), cache.read(request, 602.0)] == [0, 0]
