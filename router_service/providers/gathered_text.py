"""Gather text of an answer where only its end says something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from router_service.core.errors import ApiError

# No documented block of an answer comes near this many characters.
MAX_GATHERED = 32 * 1024 * 1024


class GatheredText:
    """Gather pieces of text up to a bound, beyond which ``add`` and ``count`` raise what ``failure`` makes of it."""

    __slots__ = ("_failure", "_pieces", "_size")

    def __init__(self, failure: Callable[[str], ApiError]) -> None:
        self._failure = failure
        self._pieces: list[str] = []
        self._size = 0

    def add(self, piece: str) -> None:
        """Add ``piece``, if it has any text."""
        if piece:
            self.count(len(piece))
            self._pieces.append(piece)

    def count(self, size: int) -> None:
        """Count ``size`` characters that are kept elsewhere."""
        self._size += size
        if self._size > MAX_GATHERED:
            raise self._failure(f"block of more than {MAX_GATHERED} characters")

    def text(self) -> str:
        """Return what was gathered."""
        return "".join(self._pieces)


def text_of(value: Any) -> str:
    """Return ``value`` if it is text, else no text."""
    return value if isinstance(value, str) else ""
