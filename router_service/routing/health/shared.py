"""What one worker's endpoints did, told to the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from router_service.routing.health.quality import Sums


class Report(msgspec.Struct, frozen=True, array_like=True):
    """One endpoint since the worker's last report. The ``until`` are seconds of the machine's monotonic clock,
    0 when nothing holds; ``ejections`` is how many in a row there have been. A worker of
    an older version leaves ``quality`` out, and reads on without it.
    """

    endpoint: str
    success: int = 0
    failure: int = 0
    rate_limited: int = 0
    uncounted: int = 0
    ejected_until: float = 0.0
    ejections: int = 0
    retry_until: float = 0.0
    quality: Sums | None = None

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """By kind, in the order of ``windows``."""
        return self.success, self.failure, self.rate_limited, self.uncounted


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Reports written together ``at`` that second of the monotonic clock."""

    at: float
    reports: list[Report]


class HealthPeers(Protocol):
    """The way between workers. Neither method raises: without the others a worker goes by what it sees itself.

    Both may block and are called from one thread at a time, never the event loop's.
    """

    def publish(self, batch: Batch) -> None:
        """Tell the others."""

    def collect(self) -> Sequence[Batch]:
        """What the others told since the last call, each batch once."""

    def close(self) -> None:
        """Leave the others."""


class NoPeers:
    """A worker on its own."""

    def publish(self, batch: Batch) -> None:
        pass

    def collect(self) -> Sequence[Batch]:
        return ()

    def close(self) -> None:
        pass
