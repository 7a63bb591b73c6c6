"""A way between workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from router_service.cluster.messages import PeerBatch


class PeerTransport(Protocol):
    """No method raises: without the others a worker goes by what it sees itself.

    All may block and are called from one thread at a time, never the event loop's. ``failures`` counts what did not
    reach the others or could not be read of them; ``working`` is false while the way is lost.
    """

    name: str
    failures: int

    @property
    def working(self) -> bool: ...

    def exchange(self, batches: Sequence[PeerBatch]) -> Sequence[PeerBatch]:
        """Tell ``batches``, and return what the others told since the last call; the own ones may be among them."""

    def close(self) -> None:
        """Leave the others."""
