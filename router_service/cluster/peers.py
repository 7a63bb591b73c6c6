"""Define the interface of a transport between workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from router_service.cluster.messages import PeerBatch


class PeerTransport(Protocol):
    """Carry batches to the other workers and back. No method raises: without the others a worker uses its own data.

    All methods may block, and are called from one thread at a time, never the event loop's. ``failures`` counts what
    could not be sent to the others or not be read from them; ``working`` is false while the transport is broken.
    """

    name: str
    failures: int

    @property
    def working(self) -> bool:
        """Return whether the last exchange succeeded."""

    def exchange(self, batches: Sequence[PeerBatch]) -> Sequence[PeerBatch]:
        """Send ``batches``, and return what arrived since the last call; its own batches may be among them."""

    def close(self) -> None:
        """Leave the group of workers."""
