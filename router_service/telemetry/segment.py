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
    """Hold one append-only file, locked while its writer lives: others can tell a dead worker's segment by its lock.

    One thread appends; another may sync what was appended before. ``beginning`` is the content of segments that are
    gone. ``unsynced`` is the number of records that were appended and are not confirmed. Raises ``OSError``.
    """

    def __init__(self, folder: Path, name: str, beginning: bytes = b"") -> None:
        self._path = folder / f"{name}.open"
        self._opened = monotonic()
        self._beginning = beginning
        self._synced = 0
        self._folder_is_synced = False
        self._is_torn = False
        # Whether a sync has failed.
        self.is_doubtful = False
        self.size = len(beginning)
        self.unsynced = 0
        self._file = _create_locked(self._path)
        try:
            self._write(beginning, 0)
        except OSError:
            with suppress(OSError):
                self._path.unlink()
            self.discard()
            raise

    @property
    def is_named(self) -> bool:
        """Return whether the file can still be found."""
        return _is_at(self._file, self._path)

    @property
    def is_confirmed(self) -> bool:
        """Return whether all that was written is on the disk."""
        return not self.unsynced and not self._beginning

    def confirmed(self) -> bytes:
        """Return the content of confirmed records, and the beginning. Raises ``OSError``."""
        content, offset = [self._beginning], 0
        while offset < self._synced and (part := os.pread(self._file, self._synced - offset, offset)):
            content.append(part)
            offset += len(part)
        return b"".join(content)

    def discard(self) -> None:
        """Empty the file, whose records are in another one, and close it: its disk may be mounted again."""
        with suppress(OSError):
            os.ftruncate(self._file, 0)
        os.close(self._file)

    def append(self, frames: Sequence[bytes]) -> None:
        """Write all of ``frames`` or nothing. Raises ``OSError``; what it left is written over by the next call."""
        content = b"".join(frames)
        try:
            self._write(content, self.size)
        except OSError:
            self._is_torn = True
            raise
        self.size += len(content)
        self.unsynced += len(frames)

    def sync(self, size: int) -> None:
        """Bring the first ``size`` bytes to the disk. Raises ``OSError``, after which ``rewrite`` has to come first."""
        try:
            if size > self._synced:
                os.fdatasync(self._file)
            if not self._folder_is_synced:
                fsync_folder(self._path.parent)
        except OSError:
            self.is_doubtful = True
            raise
        self._folder_is_synced = True

    def rewrite(self, frames: Sequence[bytes]) -> None:
        """Write the first unconfirmed records once more, to the same place. Raises ``OSError``.

        After a sync that has failed the system may have forgotten them, and the next one could succeed without them.
        """
        self._write(self._beginning + b"".join(frames), self._synced)
        self.is_doubtful = False

    def confirm(self, size: int, records: int) -> None:
        """Note that the first ``size`` bytes are on the disk, with ``records`` that were not before."""
        self._synced, self._beginning = max(size, self._synced), b""
        self.unsynced -= records

    def cut(self) -> None:
        """Remove the unconfirmed records, which are then to be written elsewhere. Raises ``OSError``."""
        size = self._synced or len(self._beginning)
        os.ftruncate(self._file, size)
        self.size, self.unsynced, self._is_torn = size, 0, False

    def is_full(self, most_bytes: int, most_seconds: float) -> bool:
        """Return true if the segment has reached its largest size in bytes or age in seconds."""
        return self.size >= most_bytes or monotonic() - self._opened >= most_seconds

    def finish(self) -> None:
        """Hand the segment to the sealer. Raises ``OSError`` while a failed write cannot be undone."""
        if self._is_torn:
            # The records of a failed write are written again, to another segment.
            os.ftruncate(self._file, self.size)
            self._is_torn = False
        # The rename may fail, since an unlocked segment is sealed under its old name as well.
        with suppress(OSError):
            os.replace(self._path, self._path.with_suffix(".wal"))
            fsync_folder(self._path.parent)
        os.close(self._file)

    def _write(self, content: bytes, offset: int) -> None:
        view = memoryview(content)
        while view:
            count = os.pwrite(self._file, view, offset)
            view, offset = view[count:], offset + count


class Reserve:
    """Hold ``size`` bytes of the disk. Records written there need no free space, and nobody else can take it.

    Raises ``OSError`` if there is no such room. A file system that copies on write gives no such guarantee.
    """

    def __init__(self, folder: Path, name: str, size: int) -> None:
        self._path = folder / f"{name}.reserve"
        self._size = size
        self._file = _create_locked(self._path, size)
        try:
            fsync_folder(folder)
        except OSError:
            self.release()
            raise

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


def _create_locked(path: Path, room: int = 0) -> int:
    """Create ``path`` with ``room`` bytes allocated; return its locked descriptor. Raises ``OSError``."""
    # Locked before the rename, since a sealer would take an unlocked segment for a dead worker's.
    hidden = path.with_suffix(".new")
    file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        if room:
            os.posix_fallocate(file, 0, room)
        os.replace(hidden, path)
    except OSError:
        with suppress(OSError):
            hidden.unlink()
        os.close(file)
        raise
    return file
