"""Share between the workers of one machine: each appends to a small file of its own, and all read each other's.

The files are written and read through the page cache, so they are as quick as shared memory, with three advantages
over a mapping: a full disk or a truncated file is an error and not SIGBUS, the size follows the traffic and not the
catalogue, and a damaged file concerns the one worker that owns it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
import struct
import threading
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from router_service.cluster.messages import PeerBatch

logger = logging.getLogger(__name__)

FRAME = struct.Struct("<II")  # length and CRC-32 of the payload
MAX_READ_BYTES = 16 * 1024 * 1024
# A larger file begins anew: its readers have read the beginning long ago. It holds seconds' worth of the largest
# possible number of conversations.
FILE_BYTES = 8 * 1024 * 1024
# A frame that is incomplete at the fourth reading, a second after the first, is damaged and not half-written.
DAMAGED_READINGS = 4
SWEEP_S = 5.0
SUFFIX = ".health"


class JournalReader:
    """Follow one peer's file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        self._offset = 0
        self._damaged = 0
        self.skipped = 0

    def read(self) -> list[PeerBatch]:
        """Return the complete frames since the last call. Raises ``OSError``."""
        size = os.fstat(self._descriptor).st_size
        if size < self._offset:
            self._offset = 0
        if size == self._offset:
            return []
        data = os.pread(self._descriptor, min(size - self._offset, MAX_READ_BYTES), self._offset)
        batches: list[PeerBatch] = []
        at = 0
        while len(data) - at >= FRAME.size:
            length, checksum = FRAME.unpack_from(data, at)
            payload = data[at + FRAME.size : at + FRAME.size + length]
            if len(payload) < length or zlib.crc32(payload) != checksum or (batch := _decode(payload)) is None:
                break
            batches.append(batch)
            at += FRAME.size + length
        self._damaged = 0 if at else self._damaged + 1
        if self._damaged == DAMAGED_READINGS:
            self.skipped, self._damaged, at = self.skipped + 1, 0, len(data)
        self._offset += at
        return batches

    def abandoned(self) -> bool:
        """Return whether the writer is gone: its lock is free, and the file is not so new that it has none yet."""
        if time.time() - os.fstat(self._descriptor).st_mtime <= SWEEP_S:
            return False
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return False
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return True

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class JournalTransport:
    """Implement ``PeerTransport`` by files in ``folder``.

    ``failures`` counts batches that could not be written and files that could not be read.
    """

    name = "journal"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = self._new_path()
        self._own: int | None = None
        self._size = 0
        self._closed = False
        self._swept = float("-inf")
        self._readers: dict[str, JournalReader] = {}
        self._lock = threading.Lock()
        self.failures = 0
        self._failing = False

    @property
    def working(self) -> bool:
        """Return whether the last exchange succeeded."""
        return not self._failing

    def exchange(self, batches: Sequence[PeerBatch]) -> Sequence[PeerBatch]:
        """Write ``batches``, and return what the others wrote since the last call."""
        self._failing = False
        for batch in batches:
            self.publish(batch)
        return self.collect()

    def publish(self, batch: PeerBatch) -> None:
        """Write ``batch`` for the others."""
        payload = msgspec.msgpack.encode(batch)
        frame = FRAME.pack(len(payload), zlib.crc32(payload)) + payload
        with self._lock:
            if self._closed:
                return
            try:
                self._write(frame)
            except OSError as error:
                self._remove_own()
                self._fail(f"Health is not shared with other workers: {self._path} cannot be written: {error}")

    def collect(self) -> Sequence[PeerBatch]:
        """Return what the others wrote since the last call, each batch once."""
        with self._lock:
            if self._closed:
                return ()
            self._discover()
            batches: list[PeerBatch] = []
            for name, reader in list(self._readers.items()):
                try:
                    skipped = reader.skipped
                    batches += reader.read()
                    if reader.skipped > skipped:
                        self._fail(f"{reader.path} is damaged: a part of it was skipped")
                except OSError as error:
                    self._drop(name)
                    self._fail(f"{reader.path} cannot be read: {error}")
            return batches

    def close(self) -> None:
        """Remove this worker's file and close those of the others."""
        with self._lock:
            self._closed = True
            self._remove_own()
            for name in list(self._readers):
                self._drop(name)

    def _write(self, frame: bytes) -> None:
        if self._own is None:
            self._path = self._new_path()
            self._own = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            self._size = 0
            fcntl.flock(self._own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if self._size + len(frame) > FILE_BYTES:
            os.ftruncate(self._own, 0)
            self._size = 0
        if os.pwrite(self._own, frame, self._size) != len(frame):
            raise OSError("only a part was written")
        self._size += len(frame)

    def _new_path(self) -> Path:
        return self._folder / f"{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"

    def _discover(self) -> None:
        """Find new peers; every few seconds drop those that are gone."""
        try:
            with os.scandir(self._folder) as entries:
                names = {e.name for e in entries if e.name.endswith(SUFFIX)} - {self._path.name}
        except OSError as error:
            names = set()
            self._fail(f"Health is not shared with other workers: {self._folder} cannot be listed: {error}")
        for name in self._readers.keys() - names:
            self._drop(name)
        for name in names - self._readers.keys():
            with contextlib.suppress(OSError):
                self._readers[name] = JournalReader(self._folder / name)
        now = time.monotonic()
        if now - self._swept >= SWEEP_S:
            self._swept = now
            try:
                self._sweep()
            except OSError as error:
                self._fail(f"{self._folder} cannot be swept: {error}")

    def _sweep(self) -> None:
        for name, reader in list(self._readers.items()):
            if reader.abandoned():
                reader.path.unlink(missing_ok=True)
                self._drop(name)
        if self._own is not None and os.fstat(self._own).st_nlink == 0:
            self._remove_own()

    def _remove_own(self) -> None:
        if self._own is not None:
            os.close(self._own)
            self._own = None
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _drop(self, name: str) -> None:
        self._readers.pop(name).close()

    def _fail(self, reason: str) -> None:
        self.failures += 1
        self._failing = True
        if self.failures & (self.failures - 1) == 0:
            logger.warning("%s (%d times)", reason, self.failures)


def _decode(payload: bytes) -> PeerBatch | None:
    try:
        return msgspec.msgpack.decode(payload, type=PeerBatch)
    except msgspec.DecodeError:
        return None
