"""Write the request log of one worker: a background thread writes and syncs append-only segments."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Literal, NamedTuple

from data.lake import Lake
from router_service.telemetry.background import Background
from router_service.telemetry.frames import frame, payload_of
from router_service.telemetry.late_labels import holds_late_labels
from router_service.telemetry.log_folder import check_folder, mount_of
from router_service.telemetry.segment import Reserve, Segment

logger = logging.getLogger(__name__)
WRITE_INTERVAL_S = 0.05
SYNC_INTERVAL_S = 0.1
BATCH = 4096
RETRY_S = 0.5
# Additional time at shutdown for a disk whose writes hang, after the time allowed for a full disk.
HANG_S = 5.0


class _SyncJob(NamedTuple):
    """Hold what the other thread does: sync the first ``size`` bytes of ``segment``, with the queue's ``records``."""

    future: Future[bool]
    segment: Segment | None
    size: int
    records: int


class RequestLog:
    """Queue records and write them to segments. ``append`` never blocks.

    One thread writes, and what it has written outlives the process, also after ``kill -9``. Another thread syncs, so
    that the next records are written while the disk is busy. A record stays in the queue until a sync that began after
    its write has succeeded; with ``sync="interval"`` that is at most 200 ms after it was appended, if the disk answers.

    Where the log's folder is deleted, it is made again with what was in it; only the data directory itself, or a disk
    that is no longer mounted there, has to come back by other hands.

    While the disk is full, records stay in the queue and ``healthy`` is false. A full queue drops the newest record
    and counts it in ``dropped``; with ``when_full="wait"`` callers check ``has_room`` before they accept a request.

    Records that are still queued at shutdown because the disk is full go to a reserve of ``reserve_bytes`` (0: none),
    which is allocated at the start. ``close`` retries the rest for ``drain_seconds``, then counts it in ``dropped``.
    """

    def __init__(
        self,
        lake: Lake,
        worker: str,
        *,
        sync: Literal["always", "interval", "never"] = "interval",
        when_full: Literal["wait", "drop"] = "drop",
        queue_size: int = 65_536,
        rotate_bytes: int = 64 * 1024 * 1024,
        rotate_seconds: float = 10.0,
        drain_seconds: float = 10.0,
        reserve_bytes: int = 0,
    ) -> None:
        self._lake = lake
        self._worker = worker
        self._sync = sync
        self._when_full = when_full
        self._queue_size = queue_size
        self._rotate_bytes = rotate_bytes
        self._rotate_seconds = rotate_seconds
        self._drain_seconds = drain_seconds
        self._reserve_bytes = reserve_bytes
        self._queue: deque[bytes] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._closed = False
        self._give_up_at = 0.0
        self._error: OSError | None = None
        self._write_error: OSError | None = None
        self._sync_error: OSError | None = None
        self._write_due = self._sync_due = 0.0
        self._numbers = itertools.count(1)
        # Those who wait for a write.
        self._asked: deque[threading.Event] = deque()
        self._segment: Segment | None = None
        # A full segment that is to be synced and finished before the open one is synced.
        self._retired: Segment | None = None
        self._job: _SyncJob | None = None
        self._reserve: Reserve | None = None
        self._wants_reserve = True
        # Of segments that are no longer found: the beginning of the next segment.
        self._rescued = b""
        self._left: list[Segment] = []
        self._mount = mount_of(lake.root)
        self.unlogged = 0
        self.written = 0
        self.dropped = 0
        self.failures = 0
        self.healthy = True
        self._background = Background("request-log-sync")
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Return false if a request should not be accepted because its record might be lost."""
        return self._when_full == "drop" or len(self._queue) < self._queue_size

    def append(self, payload: bytes) -> bool:
        """Queue a record (``data.record.encoding.encode_record``); return false if it was dropped.

        Late labels (``encode_late_labels``) are queued as well, and counted neither as written nor as dropped.
        """
        if self._closed or (len(self._queue) >= self._queue_size and self._when_full == "drop"):
            self.dropped += not holds_late_labels(payload)
            return False
        self._queue.append(frame(payload))
        if self._sync == "always":
            self._wake.set()
        return True

    def flush(self, timeout_s: float = 1.0) -> None:
        """Wait until all earlier records are in a file, a write has failed, or ``timeout_s`` seconds have passed."""
        tried = threading.Event()
        self._asked.append(tried)
        self._wake.set()
        if self._thread.is_alive():
            tried.wait(timeout_s)

    @property
    def waiting(self) -> int:
        """Return the number of records in memory that are not on disk."""
        return len(self._queue)

    def close(self) -> None:
        """Write the queue, sync, finish the segment for sealing, and log the number of lost records."""
        self._give_up_at = time.monotonic() + self._drain_seconds
        self._closing.set()
        self._wake.set()
        self._thread.join(self._drain_seconds + HANG_S)
        self._closed = True
        reason = self._error or "the disk does not answer"
        frames = list(self._queue)
        if lost := _records(frames[self._unsynced :]):
            self.dropped += lost
            logger.error("request log: %d records are lost, they could not be written: %s", lost, reason)
        if unsynced := _records(frames[: self._unsynced]):
            logger.error("request log: %d records are in its files, but are not synced: %s", unsynced, reason)

    def _run(self) -> None:
        due = 0.0
        while not self._closing.is_set():
            # Measured from the start of the last write, so that what it takes does not add to the interval.
            self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
            due = time.monotonic() + WRITE_INTERVAL_S
            self._turn()
        self._drain()
        self._finish()

    def _turn(self) -> None:
        """Take the result of the last sync, write what is queued, and begin the next sync, each if it is due."""
        asked = [self._asked.popleft() for _ in range(len(self._asked))]
        self._collect()
        if time.monotonic() >= self._write_due:
            self._write()
        if self._job is None and time.monotonic() >= self._sync_due:
            self._begin_sync()
        for tried in asked:
            tried.set()

    def _drain(self) -> None:
        """Write the queue to the disk, else to the reserve; retry the disk for the rest until there is room."""
        said = False
        while self._queue or self._rescued or not all(segment.is_confirmed for segment in self._segments):
            self._write_due = self._sync_due = 0.0
            self._turn()
            if not self._await_sync():
                return
            # The reserve is used first, since the process may be killed before it has drained the queue.
            if not self._error or self._spend_reserve():
                continue
            if time.monotonic() >= self._give_up_at:
                return
            if not said:
                waited = len(self._queue), self._drain_seconds
                logger.warning("request log: %d records wait up to %g s for the disk to take them", *waited)
                said = True
            time.sleep(RETRY_S)

    def _write(self) -> None:
        """Write what is queued to the segment; the records stay in the queue until they are confirmed."""
        end = len(self._queue)
        try:
            while self._rescued or self._unsynced < end:
                segment = self._segment = self._segment or self._open()
                first = self._unsynced
                batch = [self._queue[i] for i in range(first, min(end, first + BATCH))]
                segment.append(batch)
                if self._sync == "never":
                    self._confirm(segment, segment.size, len(batch))
                    end -= len(batch)
        except OSError as error:
            self._write_error = error
            self._write_due = time.monotonic() + RETRY_S
            self.failures += 1
        else:
            self._write_error = None
        self._judge()
        if self._sync == "always" and self._unsynced and not self._sync_error:
            self._sync_due = 0.0

    def _open(self) -> Segment:
        check_folder(self._lake, self._mount)
        segment = Segment(self._lake.log, self._name(), self._rescued)
        self._rescued = b""
        self._wants_reserve = self.healthy
        return segment

    def _begin_sync(self) -> None:
        """Let the other thread sync the older segment, or the open one and finish it if it is full."""
        self._sync_due = time.monotonic() + SYNC_INTERVAL_S
        if self._retired is None and self._segment and self._segment.is_full(self._rotate_bytes, self._rotate_seconds):
            self._retired, self._segment = self._segment, None
        segment = self._retired or self._segment
        records = segment.unsynced if segment else 0
        size = segment.size if segment else 0
        future = self._background.submit(lambda: self._sync_files(segment, size, records))
        self._job = _SyncJob(future, segment, size, records)
        if self._sync == "always":
            future.add_done_callback(lambda _: self._wake.set())

    def _sync_files(self, segment: Segment | None, size: int, records: int) -> bool:
        """Sync and look after the files; return false if the segment is gone. Runs in the other thread.

        Meanwhile the log's thread does nothing but append, to the queue's end and to the segment's.
        """
        self._keep_reserve()
        if segment is not None:
            try:
                if segment.is_doubtful:
                    segment.rewrite([self._queue[i] for i in range(records)])
                if self._sync != "never":
                    segment.sync(size)
            except OSError:
                if segment.is_named:
                    raise
            if not segment.is_named:
                return False
            while self._left:
                self._left.pop().discard()
            if segment is self._retired:
                segment.finish()
        check_folder(self._lake, self._mount)
        return True

    def _await_sync(self) -> bool:
        """Wait for the sync under way and take its result; return false if it does not end before the log gives up."""
        if self._job is not None:
            wait([self._job.future], max(0.0, self._give_up_at + HANG_S - time.monotonic()))
            self._collect()
        return self._job is None

    def _collect(self) -> None:
        """Take the result of a sync that has ended."""
        job = self._job
        if job is None or not job.future.done():
            return
        self._job = None
        try:
            is_named = job.future.result()
            if not is_named:
                self._rescue()
        except OSError as error:
            # The records are written once more at once, and then after each pause.
            self._sync_due = time.monotonic() + RETRY_S if self._sync_error else 0.0
            self._sync_error = error
            self.failures += 1
        else:
            self._sync_error = None
            if is_named and job.segment is not None:
                self._confirm(job.segment, job.size, job.records)
                if job.segment is self._retired:
                    self._retired = None
        self._judge()

    def _confirm(self, segment: Segment, size: int, records: int) -> None:
        """Remove the first ``records`` of the queue, which are on disk in ``segment``."""
        segment.confirm(size, records)
        self._remove(records)

    def _judge(self) -> None:
        error = self._write_error or self._sync_error
        if error and self.healthy:
            logger.error("request log cannot be written, records wait in memory: %s", error)
        self.healthy = error is None
        self._error = error

    def _rescue(self) -> None:
        """Keep what was written to segments that are gone, to write it to another one. Raises ``OSError``."""
        gone = self._segments
        self._rescued += b"".join(segment.confirmed() for segment in gone)
        self._left += gone
        self._retired = self._segment = None
        logger.error("request log: its segment is gone; its records are written to another one")

    @property
    def _segments(self) -> list[Segment]:
        """Return the segments with records of the queue, in its order."""
        return [segment for segment in (self._retired, self._segment) if segment is not None]

    @property
    def _unsynced(self) -> int:
        """Return how many of the queue's first records are in a segment."""
        return sum(segment.unsynced for segment in self._segments)

    def _remove(self, count: int) -> int:
        """Remove the first ``count`` frames, which are on disk, from the queue; return how many are records."""
        records = _records([self._queue.popleft() for _ in range(count)])
        self.written += records
        return records

    def _keep_reserve(self) -> None:
        """Allocate the reserve if it is missing; retry later if the file system has no room for it."""
        if self._reserve is not None and not self._reserve.is_named:
            self._reserve.release()
            self._reserve = None
        wanted, self._wants_reserve = self._wants_reserve, False
        if not wanted or self._reserve is not None or not self._reserve_bytes:
            return
        try:
            self._reserve = Reserve(self._lake.log, self._name(), self._reserve_bytes)
        except OSError as error:
            logger.warning("request log has no reserve of %d bytes for a full disk: %s", self._reserve_bytes, error)

    def _spend_reserve(self) -> bool:
        """Write what the disk does not take to the reserve; return whether there was one."""
        reserve = self._reserve
        if reserve is None:
            return False
        try:
            for segment in self._segments:
                segment.cut()
            self._reserve = None
            kept = reserve.spend(list(self._queue))
        except OSError as error:
            self._error = error
            return self._reserve is None
        records = self._remove(kept)
        logger.warning("request log: %d records that waited for the disk are in its reserve", records)
        return True

    def _finish(self) -> None:
        """Finish the segments and release the reserve, so that a sealer does not take them for a living worker's."""
        if self._await_sync():
            self._background.submit(self._finish_files)
        self._background.close(max(0.0, self._give_up_at + HANG_S - time.monotonic()))

    def _finish_files(self) -> None:
        for segment in self._segments:
            with suppress(OSError):
                segment.finish()
        if self._reserve is not None:
            self._reserve.release()

    def _name(self) -> str:
        return f"{self._worker}-{time.time_ns() // 1000}-{next(self._numbers)}"


def _records(frames: Sequence[bytes]) -> int:
    """Count the frames that hold a record: the others hold late labels of one."""
    return sum(not holds_late_labels(payload_of(one)) for one in frames)
