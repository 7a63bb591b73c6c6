"""Write the files of the request log: segments, and the reserve of disk space for records on a full disk."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

from data.storage.local import fsync_folder


class Segment:
    """Hold one append-only file, locked while its writer lives: others can tell a dead worker's segment by its lock."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.open"
        self._opened = monotonic()
        self._size = 0
        self._torn = False
        self._file = _create_locked(self._path, os.O_APPEND)

    @property
    def is_named(self) -> bool:
        """Return whether the file can still be found."""
        return _is_at(self._file, self._path)

    def read(self) -> bytes:
        """Return what was written to the file."""
        content, offset = [], 0
        while offset < self._size and (part := os.pread(self._file, self._size - offset, offset)):
            content.append(part)
            offset += len(part)
        return b"".join(content)

    def discard(self) -> None:
        """Empty the file, whose records are in another one, and close it: its disk may be mounted again."""
        with suppress(OSError):
            os.ftruncate(self._file, 0)
        os.close(self._file)

    def append(self, content: bytes, *, sync: bool) -> None:
        """Write all of ``content`` or nothing. Raises ``OSError``."""
        try:
            self._mend()
            view = memoryview(content)
            while view:
                view = view[os.write(self._file, view) :]
            if sync:
                os.fdatasync(self._file)
        except OSError:
            self._torn = True
            with suppress(OSError):
                self._mend()
            raise
        self._size += len(content)

    def is_full(self, most_bytes: int, most_seconds: float) -> bool:
        """Return true if the segment has reached its largest size in bytes or age in seconds."""
        return self._size >= most_bytes or monotonic() - self._opened >= most_seconds

    def finish(self) -> None:
        """Hand the segment to the sealer. Raises ``OSError`` while a failed write cannot be undone."""
        self._mend()
        # The rename may fail, since an unlocked segment is sealed under its old name as well.
        with suppress(OSError):
            os.replace(self._path, self._path.with_suffix(".wal"))
            fsync_folder(self._path.parent)
        os.close(self._file)

    def _mend(self) -> None:
        """Cut off what a failed write left: no frame after it would be read, and its records are written again."""
        if self._torn:
            os.ftruncate(self._file, self._size)
            self._torn = False


class Reserve:
    """Hold ``size`` bytes of the disk. Records written there need no free space, and nobody else can take it.

    Raises ``OSError`` if there is no such room. A file system that copies on write gives no such guarantee.
    """

    def __init__(self, folder: Path, name: str, size: int) -> None:
        self._path = folder / f"{name}.reserve"
        self._size = size
        self._file = _create_locked(self._path, 0, size)

    @property
    def is_named(self) -> bool:
        """Return whether the file can still be found."""
        return _is_at(self._file, self._path)

    def spend(self, frames: Sequence[bytes]) -> int:
        """Turn the reserve into a segment with as many of the first ``frames`` as fit; return their number.

        Raises ``OSError`` if nothing could be written.
        """
        count = size = 0
        for content in frames:
            if size + len(content) > self._size:
                break
            size += len(content)
            count += 1
        if not count:
            self.release()
            return 0
        try:
            view = memoryview(b"".join(frames[:count]))
            offset = 0
            while offset < size:
                offset += os.pwrite(self._file, view[offset:], offset)
            os.fdatasync(self._file)
        except OSError:
            self.release()
            raise
        # The records are already safe. The rest of the reserve is zeros, and it is sealed under its old name as well.
        with suppress(OSError):
            os.ftruncate(self._file, size)
            os.replace(self._path, self._path.with_suffix(".wal"))
            fsync_folder(self._path.parent)
        os.close(self._file)
        return count

    def release(self) -> None:
        """Free the disk space."""
        with suppress(OSError):
            self._path.unlink()
        with suppress(OSError):
            os.ftruncate(self._file, 0)
        os.close(self._file)


def _is_at(file: int, path: Path) -> bool:
    """Return whether the open ``file`` is found at ``path``.

    What is written to one that was deleted, or whose disk is no longer mounted, is lost with its writer.
    """
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _create_locked(path: Path, flags: int, room: int = 0) -> int:
    """Create ``path`` with ``room`` bytes allocated; return its locked descriptor. Raises ``OSError``."""
    # Locked before the rename, since a sealer would take an unlocked segment for a dead worker's.
    hidden = path.with_suffix(".new")
    file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | flags, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        if room:
            os.posix_fallocate(file, 0, room)
        os.replace(hidden, path)
        fsync_folder(path.parent)
    except OSError:
        for left in (hidden, path):
            with suppress(OSError):
                left.unlink()
        os.close(file)
        raise
    return file
