"""List and read the files of the lake that can be read: the one reader that all packages share.

A file that cannot be read is left out but not moved, so that a process that is reading or copying it is not
disturbed. It counts again once it is repaired. It is named in the log once per process. A file whose footer is
valid and whose pages are damaged is found when a read fails; it is then recorded in ``Lake.unreadable`` until it or
the version of Arrow changes, so that later readers leave it out without reading it.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.lake import Lake
from data.record.lake_index import IndexEntry, from_us, read_index, to_us, write_index
from data.record.lake_reader import LAKE_SCHEMA, open_dataset
from data.record.origin import Origin, decode_origin, resolve, sealed_origin
from data.storage.local import write_atomically

logger = logging.getLogger(__name__)

# A file without these is no file of records. It may lack every other column: it may be older than that column.
IDENTITY = ("schema_version", "generation_id", "started_at")
GONE = "it was removed meanwhile"
# Exceptions of a Parquet file that is damaged, foreign, removed or not permitted.
FAULTS = (pa.ArrowException, OSError, ValueError, OverflowError)
# Errors of this process, which say nothing about the file that it was about to read.
OWN_ERRORS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
CACHED_FOOTERS = 65_536
REASON_CHARS = 300
# Each hour of a file is an input of its own: a damaged year would give it millions.
LONGEST = timedelta(days=31)


class LakeFile(NamedTuple):
    """Describe a readable file: its rows, the first and last arrival (UTC) in it, and the sealed files it stands for.

    The arrivals are ``None`` if it has no rows.
    """

    path: Path
    rows: int
    first: datetime | None
    last: datetime | None
    origin: Origin

    @property
    def name_is_utf8(self) -> bool:
        return os.fsencode(self.path.name).decode(errors="replace") == self.path.name


class Unreadable(NamedTuple):
    """Name a file that was left out, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{'/'.join(Path(self.name).parts[-2:])}: {self.reason}"

    @property
    def name(self) -> str:
        """Return the path, with replacement characters for bytes that are not UTF-8."""
        return os.fsencode(self.path).decode(errors="replace")


class Listing(NamedTuple):
    """Hold the files whose rows count, in order of their paths, those that were left out, and those to be deleted.

    ``replaced`` are files that can be read and whose rows a compacted file among ``files`` has. ``opened`` are the
    files that were opened to read their footers, ``unopened`` those that were not to be opened.
    """

    files: list[LakeFile]
    unreadable: list[Unreadable]
    replaced: list[LakeFile]
    opened: list[Path]
    unopened: list[Path]


class Rows(NamedTuple):
    """Hold the rows that were read, and the files that were left out."""

    table: pa.Table
    left_out: list[Unreadable]


def listing(
    lake: Lake, day: str = "*", *, remember: bool = False, may_open: Callable[[Path], bool] | None = None
) -> Listing:
    """List the files of ``day`` (UTC, ``2026-11-17``) or of all days, by their footers.

    A file that is removed meanwhile is in none of the lists. ``remember`` writes what is new to the index of footers.
    ``may_open`` says whether a file that is not in the index is opened.
    """
    found = Listing([], [], [], [], [])
    markers = set(lake.unreadable.glob(f"day={day}/*.json"))
    for folder in sorted(lake.requests.glob(f"day={day}")):
        _list_folder(lake, folder, markers, found, remember, may_open)
    return found


def _list_folder(
    lake: Lake,
    folder: Path,
    markers: set[Path],
    found: Listing,
    remember: bool,
    may_open: Callable[[Path], bool] | None,
) -> None:
    try:
        # ``glob`` would pass over a folder that may not be listed.
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".parquet")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        found.unreadable.append(_logged(Unreadable(folder, _reason(error))))
        return
    footers = _Footers(lake, folder, may_open)
    described = []
    for path in paths:
        try:
            marker = _marker(lake, path) if markers else None
            file = footers.of(path, marker if marker in markers else None)
            if file is None:
                found.unopened.append(path)
            else:
                described.append(file)
        except FileNotFoundError:
            continue
        except FAULTS as error:
            found.unreadable.append(_logged(Unreadable(path, _reason(error))))
    live, replaced = resolve(described)
    found.files.extend(live)
    found.replaced.extend(replaced)
    found.opened.extend(footers.opened)
    if remember:
        footers.write(described)


def read(lake: Lake, paths: Iterable[Path], columns: Sequence[str], where: pc.Expression | None = None) -> Rows:
    """Read ``columns`` of ``LAKE_SCHEMA`` from ``paths``; a column that a file lacks is null.

    Files that cannot be read are left out. Raises the error of Arrow if none of the files is the cause.
    """
    remaining = list(paths)
    left_out: list[Unreadable] = []
    while remaining:
        try:
            return Rows(_table(remaining, columns, where), left_out)
        except FAULTS:
            damaged = find_damaged(lake, remaining)
            if not damaged:
                raise
            left_out += damaged
            remaining = [path for path in remaining if path not in {one.path for one in damaged}]
    return Rows(LAKE_SCHEMA.empty_table().select(columns), left_out)


def read_all(lake: Lake, columns: Sequence[str]) -> pa.Table:
    """Read ``columns`` of all sealed files that can be read."""
    return read(lake, [file.path for file in listing(lake).files], columns).table


def find_damaged(lake: Lake, paths: Iterable[Path]) -> list[Unreadable]:
    """Return the files that Arrow cannot read, recorded and logged, and those that were removed meanwhile.

    Reads every value of every file: call it when a read has failed. It does not depend on what that read asked for, so
    that a fault of the caller is never taken for damage.
    """
    damaged = []
    for path in paths:
        try:
            state = path.stat()
            for batch in open_dataset([path]).to_batches():
                # Damaged pages may decode to strings that are not UTF-8, or to offsets beyond the data.
                batch.validate(full=True)
        except FileNotFoundError:
            damaged.append(Unreadable(path, GONE))
        except FAULTS as error:
            one = Unreadable(path, _reason(error))
            if not isinstance(error, MemoryError) and getattr(error, "errno", None) is None:
                _remember(lake, one, state)
            damaged.append(_logged(one))
    return damaged


@lru_cache(4096)
def log_unreadable(one: Unreadable) -> None:
    """Log a file that is left out, once per process."""
    logger.warning("%s is left out, for it cannot be read: %s", one.name, one.reason)


class _Footers:
    """Read the footers of one folder: from this process's memory, else from the index, else from the files."""

    def __init__(self, lake: Lake, folder: Path, may_open: Callable[[Path], bool] | None) -> None:
        self._lake, self._folder, self._may_open = lake, folder, may_open
        self._entries: dict[str, IndexEntry] | None = None
        self.opened: list[Path] = []

    def of(self, path: Path, marker: Path | None) -> LakeFile | None:
        """Return the description of a file, ``None`` for one that is not to be opened.

        Raises one of ``FAULTS`` if it cannot be read.
        """
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise ValueError("it is not a regular file")
        if marker is not None and (reason := _remembered(marker, state)):
            raise ValueError(reason)
        identity = _identity(state)
        known = _known.get(path)
        if known is not None and known[0] == identity:
            return known[1]
        if self._entries is None:
            self._entries = read_index(self._lake, self._folder.name)
        entry = self._entries.get(path.name)
        if entry is not None and entry.identity == identity:
            file = LakeFile(path, entry.rows, from_us(entry.first_us), from_us(entry.last_us), entry.origin)
        elif self._may_open is not None and not self._may_open(path):
            return None
        else:
            self.opened.append(path)
            file = _footer(path)
        if len(_known) >= CACHED_FOOTERS:
            _known.clear()
        _known[path] = identity, file
        return file

    def write(self, files: Sequence[LakeFile]) -> None:
        """Replace the index if the files differ from it."""
        before = read_index(self._lake, self._folder.name) if self._entries is None else self._entries
        entries = {
            one.path.name: IndexEntry(
                identity=_known[one.path][0],
                rows=one.rows,
                first_us=to_us(one.first),
                last_us=to_us(one.last),
                origin=one.origin,
            )
            for one in files
            if one.path in _known and one.name_is_utf8
        }
        if entries != before:
            write_index(self._lake, self._folder.name, entries)


# Identity and description of each file that this process has met.
_known: dict[Path, tuple[tuple[int, int], LakeFile]] = {}


def _identity(state: os.stat_result) -> tuple[int, int]:
    """Return what differs when a file is replaced or changed, also by a copy that keeps the time of modification."""
    return state.st_size, state.st_ctime_ns


def _footer(path: Path) -> LakeFile:
    metadata: Any = pq.read_metadata(path)
    if fault := _foreign(metadata.schema.to_arrow_schema()):
        raise ValueError(fault)
    first, last = _arrivals(path, metadata)
    if first is not None and last is not None and last - first > LONGEST:
        raise ValueError(
            f"its requests arrived from {first:%Y-%m-%d} to {last:%Y-%m-%d}; a file holds those of one day"
        )
    origin = decode_origin(metadata.metadata) or sealed_origin(path.name, metadata.num_rows, first, last)
    return LakeFile(path, metadata.num_rows, first, last, origin)


def _arrivals(path: Path, metadata: Any) -> tuple[datetime | None, datetime | None]:
    """Return first and last ``started_at``, from the statistics if the file has them."""
    names = (metadata.schema.column(place).path for place in range(metadata.num_columns))
    place = next(place for place, name in enumerate(names) if name == "started_at")
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    found = [group.column(place).statistics for group in groups if group.num_rows]
    if any(one is not None and one.has_null_count and one.null_count for one in found):
        raise ValueError("it has requests without started_at")
    if all(one is not None and one.has_min_max for one in found):
        if "timeUnit=microseconds" in str(metadata.schema.column(place).logical_type):
            # To make datetimes of them, Arrow would import pandas where that is installed, which takes a second.
            first_us = min((one.min_raw for one in found), default=None)
            return from_us(first_us), from_us(max((one.max_raw for one in found), default=None))
        return min((one.min for one in found), default=None), max((one.max for one in found), default=None)
    moments = _table([path], ["started_at"], None)["started_at"]
    if moments.null_count:
        raise ValueError("it has requests without started_at")
    extremes = pc.min_max(moments).as_py()
    return extremes["min"], extremes["max"]


def _foreign(schema: pa.Schema) -> str | None:
    """Return what keeps a file with ``schema`` from being read as records of any version."""
    if schema.equals(LAKE_SCHEMA):
        return None
    lacking = [name for name in IDENTITY if schema.get_field_index(name) < 0]
    if lacking:
        return f"it holds no request records: it has no column {', '.join(lacking)}"
    for field in LAKE_SCHEMA:
        places = schema.get_all_field_indices(field.name)
        if len(places) > 1:
            return f"it holds no request records: it has {len(places)} columns {field.name}"
        if places and not _fits(schema.field(places[0]).type, field.type):
            return f"column {field.name} is {schema.field(places[0]).type} and must be {field.type}"
    return None


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Return whether each value of ``found`` is one of ``wanted``; a struct may lack fields and have others."""
    if pa.types.is_dictionary(found):
        return _fits(found.value_type, wanted)
    if pa.types.is_list(wanted):
        return (pa.types.is_list(found) or pa.types.is_large_list(found)) and _fits(found.value_type, wanted.value_type)
    if pa.types.is_struct(wanted):
        common = [field for field in found if wanted.get_field_index(field.name) >= 0] if found.num_fields else []
        return bool(common) and all(_fits(field.type, wanted.field(field.name).type) for field in common)
    if pa.types.is_string(wanted):
        return bool(pa.types.is_string(found) or pa.types.is_large_string(found))
    if pa.types.is_signed_integer(wanted):
        return bool(pa.types.is_signed_integer(found) and found.bit_width <= wanted.bit_width)
    if pa.types.is_timestamp(wanted):
        return bool(pa.types.is_timestamp(found) and found.tz is not None and found.unit != "ns")
    return bool(found.equals(wanted))


def _table(paths: Sequence[Path], columns: Sequence[str], where: pc.Expression | None) -> pa.Table:
    table = open_dataset(paths).to_table(columns=list(columns), filter=where)
    table.validate(full=True)
    return table


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in OWN_ERRORS:
        raise error
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return " ".join(str(error).split())[:REASON_CHARS] or type(error).__name__


def _marker(lake: Lake, path: Path) -> Path:
    return lake.unreadable / path.parent.name / f"{path.name}.json"


def _remember(lake: Lake, one: Unreadable, state: os.stat_result) -> None:
    marker = _marker(lake, one.path)
    found = {"identity": _identity(state), "arrow": pa.__version__, "reason": one.reason}
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(marker, json.dumps(found).encode())
    except OSError as error:
        logger.warning("%s cannot be remembered as unreadable: %s", one.path, error)


def _remembered(marker: Path, state: os.stat_result) -> str | None:
    """Return why the file of ``marker`` is unreadable, ``None`` if it has changed since that was found."""
    try:
        found = json.loads(marker.read_bytes())
        if (tuple(found["identity"]), found["arrow"]) == (_identity(state), pa.__version__):
            return str(found["reason"])
        marker.unlink(missing_ok=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None


def _logged(one: Unreadable) -> Unreadable:
    log_unreadable(one)
    return one
