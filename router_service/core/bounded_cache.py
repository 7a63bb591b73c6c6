"""Keep the results of pure functions in memory, bounded in entries and in bytes.

A library's cache moves each entry that is read to the end of an order. On the hot path that costs more than the look-up
itself, so this one evicts in the order of insertion: a popular entry is made again once in a while.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from itertools import islice
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
# The dictionary's slot, the key's and the value's object headers.
ENTRY_OVERHEAD_BYTES = 200
EVICTED_PART = 64


def size_of_text(key: object) -> int:
    """Return the length of a key that is bytes or text, 0 for any other."""
    return len(key) if isinstance(key, (bytes, str)) else 0


class BoundedCache(Generic[K, V]):
    """Hold at most ``entries`` values of at most ``most_bytes`` together; the oldest insertions are evicted first.

    ``size`` estimates the bytes of one entry besides a fixed overhead; by default it is the length of the key. An entry
    larger than a sixteenth of the whole is not kept. ``get`` returns ``None`` for a key that is not there. Not thread
    safe beyond what a dictionary is.
    """

    __slots__ = ("_entries", "_most_bytes", "_most_entries", "_size", "bytes", "get")

    def __init__(
        self, entries: int, most_bytes: int, size: Callable[[K, V], int] = lambda key, _value: size_of_text(key)
    ) -> None:
        self._entries: dict[K, V] = {}
        self._most_entries = entries
        self._most_bytes = most_bytes
        self._size = size
        self.bytes = 0
        self.get = self._entries.get

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: K, value: V) -> V:
        """Keep ``value`` under ``key`` and return it; make room by evicting the oldest entries."""
        size = self._size(key, value) + ENTRY_OVERHEAD_BYTES
        self.discard(key)
        if size * 16 > self._most_bytes:
            return value
        entries = self._entries
        entries[key] = value
        self.bytes += size
        while len(entries) > self._most_entries or self.bytes > self._most_bytes:
            # A dictionary finds its oldest entry by passing over all that were deleted before: many go at once.
            for oldest in list(islice(entries, max(1, len(entries) // EVICTED_PART))):
                self.discard(oldest)
        return value

    def discard(self, key: K) -> None:
        """Forget ``key`` if it is there."""
        if key in self._entries:
            value = self._entries.pop(key)
            self.bytes -= self._size(key, value) + ENTRY_OVERHEAD_BYTES

    def clear(self) -> None:
        """Forget everything, for values that are no longer true."""
        self._entries.clear()
        self.bytes = 0
