"""Cache the results of pure functions, bounded in entries and in bytes.

An LRU cache of a library reorders its entries at each read, which costs more on the hot path than the look-up itself.
This cache evicts in the order of insertion instead, so a popular entry is recomputed once in a while.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
# An entry takes a slot of the dictionary and the object headers of its key and its value.
ENTRY_OVERHEAD_BYTES = 200
# One eviction removes this part of the entries: 1/64.
EVICTION_DIVISOR = 64


def text_size(key: object) -> int:
    """Return the length of a key that is bytes or text, and 0 for any other key."""
    return len(key) if isinstance(key, (bytes, str)) else 0


class BoundedCache(Generic[K, V]):
    """Hold at most ``entries`` values of at most ``max_bytes`` bytes in all, and evict the oldest insertions first.

    ``size`` estimates the bytes of one entry without ``ENTRY_OVERHEAD_BYTES``; by default it is the length of the key.
    An entry larger than 1/16 of ``max_bytes`` is not stored. ``get`` returns ``None`` for a missing key. The cache is
    as thread-safe as a dictionary.
    """

    __slots__ = ("_entries", "_max_bytes", "_max_entries", "_size", "bytes", "get")

    def __init__(
        self, entries: int, max_bytes: int, size: Callable[[K, V], int] = lambda key, _value: text_size(key)
    ) -> None:
        self._entries: dict[K, V] = {}
        self._max_entries = entries
        self._max_bytes = max_bytes
        self._size = size
        self.bytes = 0
        self.get = self._entries.get

    def __len__(self) -> int:
        return len(self._entries)

    def values(self) -> list[V]:
        """Return the values, the oldest insertion first."""
        return list(self._entries.values())

    def put(self, key: K, value: V) -> V:
        """Store ``value`` under ``key`` and return it. Evict the oldest entries if a bound is exceeded."""
        size = self._size(key, value) + ENTRY_OVERHEAD_BYTES
        self.discard(key)
        if size * 16 > self._max_bytes:
            return value
        entries = self._entries
        entries[key] = value
        self.bytes += size
        while len(entries) > self._max_entries or self.bytes > self._max_bytes:
            # A dictionary finds its oldest entry by a scan over all deleted ones, so many are evicted at once.
            for oldest in list(islice(entries, max(1, len(entries) // EVICTION_DIVISOR))):
                self.discard(oldest)
        return value

    def discard(self, key: K) -> None:
        """Remove ``key`` if it is present."""
        if key in self._entries:
            value = self._entries.pop(key)
            self.bytes -= self._size(key, value) + ENTRY_OVERHEAD_BYTES

    def clear(self) -> None:
        """Remove all entries, for example when the cached values are no longer valid."""
        self._entries.clear()
        self.bytes = 0
