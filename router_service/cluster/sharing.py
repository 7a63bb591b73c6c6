"""What this worker knows, told to the others; what they know, taken in."""

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

# Of each kind in one batch: about 40 kB at most.
BATCH_SIZE = 100
# Batches that wait for a way which is slow; the oldest go first.
OUTBOX = 1024
MERGED_AT_ONCE = 100
# A time ahead of ours is another machine's clock: monotonic clocks are comparable on one machine alone.
CLOCK_TOLERANCE_S = 5.0
REMEMBERED_SENDERS = 4096


class StateSharing:
    """``ways`` lead to the other workers; a batch that comes by several of them counts once.

    What others tell of endpoints beyond ``reachable`` (``None``: any) is left out. Used from the event loop's thread.
    """

    def __init__(
        self,
        health: Health,
        sticky: StickyTable,
        ways: Sequence[PeerTransport],
        *,
        reachable: Collection[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        statistics: LiveStatistics | None = None,
    ) -> None:
        self.ways = ways
        self._health = health
        self._sticky = sticky
        self._reachable = reachable
        self._clock = clock
        self._statistics = statistics
        self._sender = secrets.token_hex(8)
        self._number = 0
        self._outboxes: list[deque[PeerBatch]] = [deque(maxlen=OUTBOX) for _ in ways]
        self._heard: dict[str, int] = {}

    async def watch(self) -> None:
        """Exchange each quarter of a second, with every way on its own: a slow one holds up no other, nor requests."""
        await asyncio.gather(*(self._follow(way, box) for way, box in zip(self.ways, self._outboxes, strict=True)))

    def synchronise(self) -> None:
        """One exchange by all ways, blocking."""
        for way, outbox in zip(self.ways, self._outboxes, strict=True):
            for _ in self._merge(way.exchange(self._take(outbox))):
                pass
        self._health.refresh()

    def close(self) -> None:
        """Leave the other workers; may block."""
        for way in self.ways:
            way.close()

    async def _follow(self, way: PeerTransport, outbox: deque[PeerBatch]) -> None:
        while True:
            for _ in self._merge(await asyncio.to_thread(way.exchange, self._take(outbox))):
                await asyncio.sleep(0)
            self._health.refresh()
            await asyncio.sleep(INTERVAL_S)

    def _take(self, outbox: deque[PeerBatch]) -> list[PeerBatch]:
        """What is new goes into every outbox; empties this one."""
        now = self._clock()
        reports, conversations = self._health.take(now), self._sticky.drain()
        outcomes, under_way = self._statistics.take() if self._statistics else ([], [])
        most = max(len(reports), len(conversations), len(outcomes), len(under_way))
        for first in range(0, most, BATCH_SIZE):
            part = slice(first, first + BATCH_SIZE)
            self._number += 1
            news = reports[part], conversations[part], self._sender, self._number, outcomes[part], under_way[part]
            batch = PeerBatch(now, *news)
            for box in self._outboxes:
                box.append(batch)
        taken = list(outbox)
        outbox.clear()
        return taken

    def _merge(self, batches: Sequence[PeerBatch]) -> Iterator[None]:
        """Take in what was told, with a pause now and then for requests to go on."""
        taken = 0
        latest = self._clock() + CLOCK_TOLERANCE_S
        fresh = [batch for batch in batches if batch.at <= latest and not self._is_known(batch)]
        # Workers that were there before this one are read one after the other: what they saw is put in its order.
        for batch in sorted(fresh, key=lambda batch: batch.at):
            for _ in self._hear(batch):
                taken += 1
                if taken % MERGED_AT_ONCE == 0:
                    yield

    def _hear(self, batch: PeerBatch) -> Iterator[None]:
        """Take in what was told of endpoints within reach, with a pause after each entry."""
        reachable = self._reachable
        for report in batch.reports:
            if reachable is None or report.endpoint in reachable:
                now = self._clock()
                self._health.hear(report, min(batch.at, now), now)
            yield
        for told in batch.conversations:
            if reachable is None or not told.endpoint or told.endpoint in reachable:
                self._sticky.receive(told)
            yield
        statistics = self._statistics
        if statistics is None:
            return
        at_s = statistics.now_s() - max(self._clock() - batch.at, 0.0)
        for outcome in batch.outcomes:
            if reachable is None or outcome.endpoint in reachable:
                statistics.hear(outcome, at_s)
            yield
        for calls in batch.under_way:
            if reachable is None or calls.endpoint in reachable:
                statistics.hear_under_way(batch.sender, calls, at_s)
            yield

    def _is_known(self, batch: PeerBatch) -> bool:
        """Whether it is our own or came before. Each way keeps a sender's order, so its highest number says so."""
        if not batch.sender:
            return False
        if batch.sender == self._sender:
            return True
        before = self._heard.pop(batch.sender, 0)
        self._heard[batch.sender] = max(before, batch.number)
        if len(self._heard) > REMEMBERED_SENDERS:
            del self._heard[next(iter(self._heard))]
        return batch.number <= before
