"""The request log: append-only segments of one worker, written and synced by a thread of their own."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Literal

from data.lake import Lake, fsync_folder
from router_service.telemetry.frames import frame

logger = logging.getLogger(__name__)
SYNC_INTERVAL_S = 0.1
RETRY_S = 0.5


class RequestLog:
    """``append`` never waits. What was appended is on disk at most 200 ms later (``sync="interval"``).

    A full disk leaves records in the queue and ``healthy`` false until writing works again; a full
    queue drops the newest and counts it in ``dropped`` (with ``when_full="wait"`` callers ask
    ``has_room`` before they accept a request).
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
    ) -> None:
        self._lake = lake
        self._worker = worker
        self._sync = sync
        self._when_full = when_full
        self._queue_size = queue_size
        self._rotate_bytes = rotate_bytes
        self._rotate_seconds = rotate_seconds
        self._queue: deque[bytes] = deque()
        self._wake = threading.Event()
        self._closing = False
        self._count = 0
        self._segment: Segment | None = None
        self.written = 0
        self.dropped = 0
        self.failures = 0
        self.healthy = True
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """False when a request should not be accepted because its record might be lost."""
        return self._when_full == "drop" or len(self._queue) < self._queue_size

    def append(self, payload: bytes) -> bool:
        """Queue a record (``data.schema.encode_record``); false when it had to be dropped."""
        if len(self._queue) >= self._queue_size and self._when_full == "drop":
            self.dropped += 1
            return False
        self._queue.append(frame(payload))
        if self._sync == "always":
            self._wake.set()
        return True

    def flush(self, timeout_s: float = 1.0) -> None:
        """Wait until what was appended before is written, or the disk refuses, or ``timeout_s`` have passed."""
        wanted = self.written + len(self._queue)
        deadline = time.monotonic() + timeout_s
        self._wake.set()
        while self.written < wanted and self.healthy and time.monotonic() < deadline:
            time.sleep(0.005)

    def close(self) -> None:
        """Write what is queued, sync, and leave the segment ready to be sealed."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        due = 0.0
        while True:
            # Counted from the last beginning: a slow disk's sync must not come on top of the interval.
            self._wake.wait(max(0.0, due - time.monotonic()))
            self._wake.clear()
            due = time.monotonic() + SYNC_INTERVAL_S
            closing = self._closing
            try:
                self._write()
                if self._segment and (closing or self._segment.is_full(self._rotate_bytes, self._rotate_seconds)):
                    self._segment.finish()
                    self._segment = None
                self.healthy = True
            except OSError as error:
                self._failed(error)
                if closing:
                    self.dropped += len(self._queue)
                    return
                time.sleep(RETRY_S)
            if closing and not self._queue:
                return

    def _write(self) -> None:
        if not self._queue:
            return
        if self._segment is None:
            self._count += 1
            self._segment = Segment(self._lake.log, f"{self._worker}-{time.time_ns() // 1000}-{self._count}")
        batch = [self._queue[i] for i in range(min(len(self._queue), 4096))]
        self._segment.append(b"".join(batch), sync=self._sync != "never")
        for _ in batch:
            self._queue.popleft()
        self.written += len(batch)
        if self._queue:
            self._wake.set()

    def _failed(self, error: OSError) -> None:
        if self.healthy:
            logger.error("request log cannot be written, records wait in memory: %s", error)
        self.failures += 1
        self.healthy = False


class Segment:
    """One file, locked while its writer lives, so that others can tell a dead worker's segment."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.open"
        self._opened = time.monotonic()
        self._size = 0
        # Locked before it has a name that a sealer looks for: it could take an unlocked one for a dead worker's.
        hidden = self._path.with_suffix(".new")
        self._file = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.replace(hidden, self._path)
        fsync_folder(folder)

    def append(self, content: bytes, *, sync: bool) -> None:
        """Write all of ``content`` or nothing. Raises ``OSError``."""
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(self._file, view) :]
            if sync:
                os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(content)

    def is_full(self, most_bytes: int, most_seconds: float) -> bool:
        return self._size >= most_bytes or time.monotonic() - self._opened >= most_seconds

    def finish(self) -> None:
        """Hand the segment to the sealer."""
        os.replace(self._path, self._path.with_suffix(".wal"))
        fsync_folder(self._path.parent)
        os.close(self._file)
