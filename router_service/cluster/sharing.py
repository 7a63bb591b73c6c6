"""Send what this worker learns to the other workers, and merge what they send."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence

from router_service.affinity.sticky import StickyTable
from router_service.cluster.messages import PeerBatch
from router_service.cluster.peers import PeerTransport
from router_service.health import Health
from router_service.health.health import INTERVAL_S
from router_service.health.live_statistics import LiveStatistics

# Messages of each kind in one batch: about 40 kB at most.
BATCH_SIZE = 100
# Batches that are queued for a slow transport; the oldest are dropped first.
OUTBOX_SIZE = 1024
MESSAGES_PER_TURN = 100
# A time further ahead comes from another machine's clock: monotonic clocks are comparable on one machine alone.
CLOCK_TOLERANCE_S = 5.0
MAX_SENDERS = 4096


class StateSharing:
    """Exchange batches with the other workers by all ``transports``. Used from the event loop's thread.

    A batch that arrives by several transports counts once. Messages about endpoints outside ``reachable`` (``None``:
    any) are ignored.
    """

    def __init__(
        self,
        health: Health,
        sticky: StickyTable,
        transports: Sequence[PeerTransport],
        *,
        reachable: Collection[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        statistics: LiveStatistics | None = None,
    ) -> None:
        self.transports = transports
        self._health = health
        self._sticky = sticky
        self.reachable = reachable
        self._clock = clock
        self._statistics = statistics
        self._sender = secrets.token_hex(8)
        self._number = 0
        self._outboxes: list[deque[PeerBatch]] = [deque(maxlen=OUTBOX_SIZE) for _ in transports]
        self._last_numbers: dict[str, int] = {}

    async def run(self) -> None:
        """Exchange every quarter of a second; a slow transport delays neither the others nor requests."""
        pairs = zip(self.transports, self._outboxes, strict=True)
        await asyncio.gather(*(self._exchange_forever(transport, outbox) for transport, outbox in pairs))

    def synchronise(self) -> None:
        """Exchange once by all transports, and block until that is done."""
        for transport, outbox in zip(self.transports, self._outboxes, strict=True):
            for _ in self._merge(transport.exchange(self._drain(outbox))):
                pass
        self._health.refresh()

    def close(self) -> None:
        """Leave the group of workers; may block."""
        for transport in self.transports:
            transport.close()

    async def _exchange_forever(self, transport: PeerTransport, outbox: deque[PeerBatch]) -> None:
        while True:
            for _ in self._merge(await asyncio.to_thread(transport.exchange, self._drain(outbox))):
                await asyncio.sleep(0)
            self._health.refresh()
            await asyncio.sleep(INTERVAL_S)

    def _drain(self, outbox: deque[PeerBatch]) -> list[PeerBatch]:
        """Put new batches into every outbox, then empty ``outbox`` and return its batches."""
        now = self._clock()
        reports = self._health.drain(now)
        conversations = self._sticky.drain()
        outcomes, in_flight = self._statistics.drain() if self._statistics else ([], [])
        longest = max(len(reports), len(conversations), len(outcomes), len(in_flight))
        for first in range(0, longest, BATCH_SIZE):
            part = slice(first, first + BATCH_SIZE)
            self._number += 1
            batch = PeerBatch(
                now,
                reports[part],
                conversations[part],
                self._sender,
                self._number,
                outcomes[part],
                in_flight[part],
            )
            for box in self._outboxes:
                box.append(batch)
        drained = list(outbox)
        outbox.clear()
        return drained

    def _merge(self, batches: Sequence[PeerBatch]) -> Iterator[None]:
        """Merge ``batches``, and yield after every ``MESSAGES_PER_TURN`` messages so that requests can proceed."""
        merged = 0
        latest = self._clock() + CLOCK_TOLERANCE_S
        new = [batch for batch in batches if batch.at <= latest and not self._is_known(batch)]
        # A worker that begins reads the others one after the other: their batches are put in the order of time.
        for batch in sorted(new, key=lambda batch: batch.at):
            for _ in self._merge_batch(batch):
                merged += 1
                if merged % MESSAGES_PER_TURN == 0:
                    yield

    def _merge_batch(self, batch: PeerBatch) -> Iterator[None]:
        """Merge the messages about reachable endpoints, and yield after each message."""
        reachable = self.reachable
        for report in batch.reports:
            if reachable is None or report.endpoint in reachable:
                now = self._clock()
                self._health.receive(report, min(batch.at, now), now)
            yield
        for conversation in batch.conversations:
            if reachable is None or not conversation.endpoint or conversation.endpoint in reachable:
                self._sticky.receive(conversation)
            yield
        statistics = self._statistics
        if statistics is None:
            return
        at_s = statistics.now_s() - max(self._clock() - batch.at, 0.0)
        for outcome in batch.outcomes:
            if reachable is None or outcome.endpoint in reachable:
                statistics.receive(outcome, at_s)
            yield
        for calls in batch.in_flight:
            if reachable is None or calls.endpoint in reachable:
                statistics.receive_in_flight(batch.sender, calls, at_s)
            yield

    def _is_known(self, batch: PeerBatch) -> bool:
        """Return whether the batch is our own or arrived before.

        Each transport keeps the order of a sender, so the highest number of a sender decides.
        """
        if not batch.sender:
            return False
        if batch.sender == self._sender:
            return True
        before = self._last_numbers.pop(batch.sender, 0)
        self._last_numbers[batch.sender] = max(before, batch.number)
        if len(self._last_numbers) > MAX_SENDERS:
            del self._last_numbers[next(iter(self._last_numbers))]
        return batch.number <= before
