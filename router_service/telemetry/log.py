"""Write the request log of one worker: a background thread writes and syncs append-only segments."""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Literal

from data.lake import Lake
from router_service.telemetry.frames import frame
from router_service.telemetry.segment import Reserve, Segment

logger = logging.getLogger(__name__)
SYNC_INTERVAL_S = 0.1
RETRY_S = 0.5
# Additional time at shutdown for a disk whose writes hang, after the time allowed for a full disk.
HANG_S = 5.0


class RequestLog:
    """Queue records and write them to segments. ``append`` never blocks.

    With ``sync="interval"`` a record is on disk at most 200 ms after it was appended.

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
        self._count = 0
        self._segment: Segment | None = None
        self._reserve: Reserve | None = None
        # Of segments that are no longer found: written again with the next batch.
        self._rescued = b""
        self._left: list[Segment] = []
        self._mount = _mount_of(lake.root)
        self.unlogged = 0
        self.written = 0
        self.dropped = 0
        self.failures = 0
        self.healthy = True
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Return false if a request should not be accepted because its record might be lost."""
        return self._when_full == "drop" or len(self._queue) < self._queue_size

    def append(self, payload: bytes) -> bool:
        """Queue a record (``data.record.encoding.encode_record``); return false if it was dropped."""
        if self._closed or (len(self._queue) >= self._queue_size and self._when_full == "drop"):
            self.dropped += 1
            return False
        self._queue.append(frame(payload))
        if self._sync == "always":
            self._wake.set()
        return True

    def flush(self, timeout_s: float = 1.0) -> None:
        """Wait until all earlier records are written, a write has failed, or ``timeout_s`` seconds have passed."""
        wanted = self.written + len(self._queue)
        deadline = time.monotonic() + timeout_s
        self._wake.set()
        while self.written < wanted and self.healthy and time.monotonic() < deadline:
            time.sleep(0.005)

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
        if lost := len(self._queue):
            self.dropped += lost
            reason = self._error or "the disk does not answer"
            logger.error("request log: %d records are lost, they could not be written: %s", lost, reason)

    def _run(self) -> None:
        self._make_reserve()
        due = 0.0
        while not self._closing.is_set():
            # Measured from the start of the last write, so that a slow sync does not add to the interval.
            self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
            due = time.monotonic() + SYNC_INTERVAL_S
            if not self._write():
                self._closing.wait(RETRY_S)
        self._drain()
        self._finish()

    def _drain(self) -> None:
        """Write the queue to the disk, else to the reserve; retry the disk for the rest until there is room."""
        said = False
        while self._queue and not self._write():
            # The reserve is used first, since the process may be killed before it has drained the queue.
            if self._reserve is not None:
                self._spend_reserve(self._reserve)
                continue
            if time.monotonic() >= self._give_up_at:
                return
            if not said:
                waited = len(self._queue), self._drain_seconds
                logger.warning("request log: %d records wait up to %g s for the disk to take them", *waited)
                said = True
            time.sleep(RETRY_S)

    def _write(self) -> bool:
        """Write a batch of the queue; return true if the write succeeded."""
        try:
            self._write_batch()
            if self._segment and self._segment.is_full(self._rotate_bytes, self._rotate_seconds):
                self._segment.finish()
                self._segment = None
        except OSError as error:
            if self.healthy:
                logger.error("request log cannot be written, records wait in memory: %s", error)
            self.failures += 1
            self.healthy = False
            self._error = error
            return False
        self.healthy = True
        self._error = None
        return True

    def _write_batch(self) -> None:
        self._check_folder()
        if not self._queue and not self._rescued:
            return
        if self._segment is None:
            if self.healthy:
                self._make_reserve()
            self._segment = Segment(self._lake.log, self._name())
        batch = [self._queue[i] for i in range(min(len(self._queue), 4096))]
        self._segment.append(self._rescued + b"".join(batch), sync=self._sync != "never")
        if not self._segment.is_named:
            raise FileNotFoundError(errno.ENOENT, "the segment was deleted while it was written", str(self._lake.log))
        self._rescued = b""
        while self._left:
            self._left.pop().discard()
        self._remove(len(batch))
        if self._queue:
            self._wake.set()

    def _check_folder(self) -> None:
        """Rescue a segment that was deleted, and make its folder again. Raises ``OSError`` where it cannot be."""
        if self._segment is not None and not self._segment.is_named:
            segment, self._segment = self._segment, None
            # What was rescued before is at the beginning of the segment, unless its write has failed.
            self._rescued = segment.read() or self._rescued
            self._left.append(segment)
            logger.error("request log: its segment is gone; its records are written to another one")
        if self._reserve is not None and not self._reserve.is_named:
            self._reserve.release()
            self._reserve = None
        if not os.access(self._lake.log, os.W_OK | os.X_OK):
            # The data directory itself has to come back by other hands.
            self._lake.root.stat()
            if not os.path.ismount(self._mount):
                raise FileNotFoundError(errno.ENOENT, "its disk is not mounted", str(self._mount))
            if self._lake.log.exists():
                read_only = os.statvfs(self._lake.log).f_flag & os.ST_RDONLY
                reason = errno.EROFS if read_only else errno.EACCES
                raise OSError(reason, os.strerror(reason), str(self._lake.log))
            self._lake.create()

    def _remove(self, count: int) -> None:
        """Remove the first ``count`` records, which are on disk, from the queue."""
        for _ in range(count):
            self._queue.popleft()
        self.written += count

    def _make_reserve(self) -> None:
        """Allocate the reserve if it is missing; retry later if the file system has no room for it."""
        if self._reserve is not None or not self._reserve_bytes:
            return
        try:
            self._reserve = Reserve(self._lake.log, self._name(), self._reserve_bytes)
        except OSError as error:
            logger.warning("request log has no reserve of %d bytes for a full disk: %s", self._reserve_bytes, error)

    def _spend_reserve(self, reserve: Reserve) -> None:
        self._reserve = None
        try:
            kept = reserve.spend(list(self._queue))
        except OSError as error:
            self._error = error
            return
        self._remove(kept)
        logger.warning("request log: %d records that waited for the disk are in its reserve", kept)

    def _finish(self) -> None:
        """Finish the segment and release the reserve, so that a sealer does not take them for a living worker's."""
        if self._segment is not None:
            with suppress(OSError):
                self._segment.finish()
        if self._reserve is not None:
            self._reserve.release()

    def _name(self) -> str:
        self._count += 1
        return f"{self._worker}-{time.time_ns() // 1000}-{self._count}"


def _mount_of(path: Path) -> Path:
    """Return where the disk that ``path`` is on is mounted."""
    path = path.resolve()
    return next(place for place in (path, *path.parents) if os.path.ismount(place))
