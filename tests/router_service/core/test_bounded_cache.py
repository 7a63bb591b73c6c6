"""Test the bounded cache: its bounds in entries and bytes, the order of eviction, and values that are falsy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_service.core.bounded_cache import ENTRY_OVERHEAD_BYTES, BoundedCache

LARGE = 1_000_000


def test_the_number_of_entries_is_bounded_and_the_oldest_insertion_is_evicted_first() -> None:
    cache: BoundedCache[str, int] = BoundedCache(3, LARGE)
    for number, key in enumerate("abc"):
        cache.put(key, number)
    # A read does not renew an entry.
    assert cache.get("a") == 0
    cache.put("d", 3)
    assert [cache.get(key) for key in "abcd"] == [None, 1, 2, 3]


def test_a_repeated_insertion_renews_the_entry() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2, LARGE)
    cache.put("a", 0)
    cache.put("b", 1)
    assert cache.put("a", 2) == 2
    cache.put("c", 3)
    assert [cache.get(key) for key in "abc"] == [2, None, 3]
    assert len(cache) == 2


def test_bytes_are_bounded_by_the_size_of_keys_and_a_fixed_overhead() -> None:
    entry_bytes = 100 + ENTRY_OVERHEAD_BYTES
    cache: BoundedCache[bytes, int] = BoundedCache(1000, 20 * entry_bytes)
    for number in range(30):
        cache.put(b"%0100d" % number, number)
    assert (len(cache), cache.bytes) == (20, 20 * entry_bytes)
    assert cache.get(b"%0100d" % 9) is None
    assert cache.get(b"%0100d" % 10) == 10


def test_many_entries_are_evicted_at_once() -> None:
    cache: BoundedCache[int, int] = BoundedCache(640, LARGE)
    for number in range(641):
        cache.put(number, number)
    assert len(cache) == 631
    assert (cache.get(9), cache.get(10)) == (None, 10)


def test_a_value_larger_than_a_sixteenth_is_returned_but_not_stored() -> None:
    cache: BoundedCache[str, str] = BoundedCache(1000, 16_000, lambda _key, value: len(value))
    largest = "x" * (1000 - ENTRY_OVERHEAD_BYTES)
    assert cache.put("fits", largest) is largest
    oversize = largest + "x"
    assert cache.put("oversize", oversize) is oversize
    assert (cache.get("fits"), cache.get("oversize"), len(cache)) == (largest, None, 1)


def test_an_oversize_value_removes_the_previous_value_of_its_key() -> None:
    cache: BoundedCache[str, str] = BoundedCache(10, 16_000, lambda _key, value: len(value))
    cache.put("key", "old")
    cache.put("key", "x" * 1000)
    assert (cache.get("key"), len(cache), cache.bytes) == (None, 0, 0)


@pytest.mark.parametrize("value", [0, "", (), False, 0.0])
def test_falsy_values_are_stored_replaced_and_removed(value: object) -> None:
    cache: BoundedCache[str, object] = BoundedCache(2, LARGE)
    assert cache.put("key", value) == value
    assert (cache.get("key"), len(cache)) == (value, 1)
    cache.put("key", value)
    assert (len(cache), cache.bytes) == (1, len("key") + ENTRY_OVERHEAD_BYTES)
    cache.discard("key")
    assert (cache.get("key"), len(cache), cache.bytes) == (None, 0, 0)


def test_removing_a_missing_key_and_clearing_leave_a_usable_cache() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2, LARGE)
    cache.discard("missing")
    cache.put("a", 0)
    cache.clear()
    assert (len(cache), cache.bytes, cache.get("a")) == (0, 0, None)
    cache.put("b", 1)
    assert cache.get("b") == 1


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 400), st.booleans()), max_size=200),
    st.integers(1, 10),
    st.integers(0, 10_000),
)
def test_no_sequence_of_operations_exceeds_a_bound(
    operations: list[tuple[int, int, bool]], entries: int, max_bytes: int
) -> None:
    """Compare the cache with a plain dictionary: each stored value is the last one, and the byte count is exact."""
    cache: BoundedCache[int, int] = BoundedCache(entries, max_bytes, lambda _key, value: value)
    last: dict[int, int] = {}
    for key, value, removes in operations:
        if removes:
            cache.discard(key)
            last.pop(key, None)
        else:
            last[key] = cache.put(key, value)
        stored = {key: found for key in range(21) if (found := cache.get(key)) is not None}
        assert stored.items() <= last.items()
        assert len(cache) == len(stored) <= entries
        assert cache.bytes == sum(value + ENTRY_OVERHEAD_BYTES for value in stored.values()) <= max_bytes
