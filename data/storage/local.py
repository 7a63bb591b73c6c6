"""Store objects as files under one folder."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from data.storage.interface import InvalidKeyError, ObjectNotFoundError

_numbers = count()
_TEMPORARY = re.compile(r"\..+\.\d+(-\d+)?\.tmp")


class LocalStorage:
    """Implement ``Storage`` on a file system that has atomic renames and hard links."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, key: str) -> Path:
        """Return the file of ``key``, which need not exist. Raises ``InvalidKeyError``."""
        names = key.split("/")
        if any(not name or name.startswith(".") or "\0" in name for name in names):
            raise InvalidKeyError(f"{key!r} is not a key: give names joined by '/', none empty or beginning with a dot")
        return self._root.joinpath(*names)

    def list(self, prefix: str = "") -> Sequence[str]:
        """Return the keys that begin with ``prefix``, sorted; only the folder that it names is searched."""
        folder = prefix.rpartition("/")[0]
        start = self.path(folder) if folder else self._root
        found = (path.relative_to(self._root) for path in start.rglob("*") if path.is_file())
        keys = (path.as_posix() for path in found if not any(name.startswith(".") for name in path.parts))
        return sorted(key for key in keys if key.startswith(prefix))

    def get(self, key: str) -> bytes:
        """Return an object. Raises ``ObjectNotFoundError``."""
        try:
            return self.path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ObjectNotFoundError(key) from None

    def put(self, key: str, content: bytes | memoryview) -> None:
        """Write an object, in place of the one that has the key already."""
        write_atomically(self.path(key), content)

    def put_if_absent(self, key: str, content: bytes | memoryview) -> bool:
        """Write an object unless the key is taken, and return false if it is."""
        path = self.path(key)
        temporary = _write_temporary(path, content)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        fsync_folder(path.parent)
        return True

    def delete(self, key: str) -> None:
        """Remove an object. A key that has none is no error."""
        path = self.path(key)
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return
        fsync_folder(path.parent)

    def discard_partial(self, key: str) -> None:
        """Remove what interrupted writes of ``key`` left. The caller must know that no other writer is at work on it.

        Keys that differ in their suffix alone share the names of their temporary files.
        """
        path = self.path(key)
        temporary = re.compile(rf"\.{re.escape(path.stem)}\.\d+(-\d+)?\.tmp")
        for left in path.parent.glob(".*.tmp"):
            if temporary.fullmatch(left.name):
                left.unlink(missing_ok=True)

    def discard_all_partial(self, folder: str) -> None:
        """Remove what interrupted writes of any key in ``folder`` left, at any depth.

        The caller must know that no other writer is at work there.
        """
        for left in self.path(folder).rglob(".*.tmp"):
            if _TEMPORARY.fullmatch(left.name):
                left.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Replace the file at ``path`` durably: a reader sees its former content or all of ``content``."""
    temporary = _write_temporary(path, content)
    try:
        os.replace(temporary, path)
    except OSError:
        temporary.unlink()
        raise
    fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Make the creation and renaming of files in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_temporary(path: Path, content: bytes | memoryview) -> Path:
    """Write ``content`` to a hidden file beside ``path``, sync it and return its path; leave none behind on failure."""
    _make_folder(path.parent)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{next(_numbers)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        fsync_folder(folder.parent)
