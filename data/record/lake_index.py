"""Keep the footers of the lake's files in one small document a day, so that a listing opens new files alone.

The index is derived from the files and may be deleted at any time. An entry counts only for the file that it was read
from, as told by its size and time of change.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import msgspec

from data.lake import Lake
from data.record.origin import Origin
from data.storage.interface import ObjectNotFoundError

VERSION = 1
_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class IndexEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Hold the footer of one file. ``identity`` is its size and time of change; times are Unix microseconds."""

    identity: tuple[int, int]
    rows: int
    first_us: int | None
    last_us: int | None
    origin: Origin


class _DayIndex(msgspec.Struct, frozen=True):
    version: int
    files: dict[str, IndexEntry]


_decode = msgspec.json.Decoder(_DayIndex).decode


def read_index(lake: Lake, folder: str) -> dict[str, IndexEntry]:
    """Return the entries of a folder such as ``day=2026-11-17`` by file name; none if there is no valid index."""
    try:
        found = _decode(lake.storage.get(_key(folder)))
    except (ObjectNotFoundError, msgspec.DecodeError, OSError):
        return {}
    return found.files if found.version == VERSION else {}


def write_index(lake: Lake, folder: str, files: Mapping[str, IndexEntry]) -> None:
    """Replace the entries of a folder, unless another process is replacing some now."""
    content = msgspec.json.encode(_DayIndex(VERSION, dict(sorted(files.items()))))
    with _writer(lake) as is_alone:
        if is_alone:
            lake.storage.discard_partial(_key(folder))
            lake.storage.put(_key(folder), content)


def drop_index(lake: Lake, folder: str) -> None:
    """Remove the entries of a folder that is gone."""
    lake.storage.delete(_key(folder))


def to_us(moment: datetime | None) -> int | None:
    """Return Unix microseconds."""
    return None if moment is None else (moment - _UNIX_EPOCH) // timedelta(microseconds=1)


def from_us(moment: int | None) -> datetime | None:
    """Return a time in UTC from Unix microseconds."""
    return None if moment is None else _UNIX_EPOCH + timedelta(microseconds=moment)


@contextmanager
def _writer(lake: Lake) -> Iterator[bool]:
    """Lock the index for the router's sealer or for the pipelines; yield false if another process has it."""
    path = lake.requests.parent / "index.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _key(folder: str) -> str:
    return f"lake/index/{folder}.json"
