"""Define what a storage of whole objects must do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class ObjectNotFoundError(Exception):
    """Report that a storage has no object with the key."""


class InvalidKeyError(ValueError):
    """Report a key that is not a relative path of plain names."""


class Storage(Protocol):
    """Keep objects under keys such as ``lake/requests/day=2026-11-17/a.parquet``.

    A reader sees an object as it was before a write or after it, never a part. A write that has returned survives a
    crash. A key is a relative path with ``/``; none of its names is empty or begins with a dot. All methods raise
    ``InvalidKeyError`` for any other key and ``OSError`` when the medium fails.
    """

    def list(self, prefix: str = "") -> Sequence[str]:
        """Return the keys that begin with ``prefix``, sorted."""

    def get(self, key: str) -> bytes:
        """Return an object. Raises ``ObjectNotFoundError``."""

    def put(self, key: str, content: bytes | memoryview) -> None:
        """Write an object, in place of the one that has the key already."""

    def put_if_absent(self, key: str, content: bytes | memoryview) -> bool:
        """Write an object unless the key is taken, and return false if it is. Of concurrent callers one succeeds."""

    def delete(self, key: str) -> None:
        """Remove an object. A key that has none is no error."""

    def discard_partial(self, key: str) -> None:
        """Remove what interrupted writes of ``key`` left. The caller must know that no other writer is at work."""

    def discard_all_partial(self, folder: str) -> None:
        """Remove what interrupted writes of any key in ``folder`` left, under the same condition."""
