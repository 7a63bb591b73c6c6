"""Erase the requests of a key, or of one of its users, from lake, decisions and marts, and prove that none is left.

The files that hold such rows are written again without them and then deleted. Hours whose requests have gone are
aggregated again. An erasure that is interrupted is completed by the next with the same arguments.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.lake import Lake
from data.marts import USER_DIGITS
from data.record import lake_files
from data.record.origin import HOUR_FORMAT
from models.selection.dataset import decision_log
from pipelines.build import build_mart
from pipelines.defs.compaction.compact import Omission, delete_replaced, write_joined
from pipelines.locks import exclusive
from pipelines.marts.encoding import encoded
from pipelines.marts.publication import remove_old_versions

# Columns of marts begin with so many digits of a user's hash.
DIGITS = {"user_hash": USER_DIGITS, "session": 6}


class Subject(NamedTuple):
    """Identify whose requests are erased: all of a key, or those of one user of it."""

    key_hash: str
    user_hash: str | None = None

    @property
    def matches(self) -> pc.Expression:
        """Return the condition of the rows to erase, which is never null."""
        columns = {"key_hash": self.key_hash, "user_hash": self.user_hash}
        wanted = {name: value for name, value in columns.items() if value is not None}
        parts = [pc.is_valid(pc.field(name)) & (pc.field(name) == value) for name, value in wanted.items()]
        return parts[0] if len(parts) == 1 else parts[0] & parts[1]

    @property
    def kept(self) -> pc.Expression:
        """Return the condition of the rows that stay."""
        key = pc.is_null(pc.field("key_hash")) | (pc.field("key_hash") != self.key_hash)
        if self.user_hash is None:
            return key
        return key | pc.is_null(pc.field("user_hash")) | (pc.field("user_hash") != self.user_hash)


class ErasureReport(NamedTuple):
    """Count what was removed, and what was found afterwards, which must be 0; name the files that cannot be read."""

    requests: int
    files_rewritten: int
    files_deleted: int
    decisions: int
    mart_rows: int
    left_in_lake: int
    left_in_decisions: int
    left_in_marts: int
    unreadable: list[str]

    @property
    def complete(self) -> bool:
        """Return whether nothing is left and everything could be read."""
        return not (self.left_in_lake or self.left_in_decisions or self.left_in_marts or self.unreadable)


def erase(lake: Lake, subject: Subject, now: datetime | None = None) -> ErasureReport:
    """Erase the requests of ``subject`` that are sealed. Raises ``CheckFailed`` if the marts contradict a check."""
    lake.create()
    moment = now or datetime.now(UTC)
    with exclusive(lake.build_lock):
        # What a replaced file holds, the one that replaces it holds too.
        deleted = len(delete_replaced(lake, datetime.max.replace(tzinfo=UTC), 0))
        ids = _ids(lake, subject, lake_files.listing(lake).files)
        # Before the lake, which is where the next run finds the ids again if this one is interrupted.
        decisions = sum(decision_log.erase(lake, ids).values())
        rewritten = _erase_from_lake(lake, subject)
        deleted += rewritten
        mart_rows = _erase_from_marts(lake, subject)
    build_mart(lake, moment)
    with exclusive(lake.build_lock):
        remove_old_versions(lake, kept=1, abandoned_s=0)
        listed = lake_files.listing(lake)
        left = len(_ids(lake, subject, [*listed.files, *listed.replaced]))
        left_decisions = sum(_count_ids(path, ids) for path in lake.decisions.glob("*.parquet"))
        left_marts = sum(_mart_rows(path, subject) for path in lake.marts.glob("*/*.parquet"))
    unreadable = [one.name for one in listed.unreadable] + [str(path) for path in lake.decisions.glob("*.damaged")]
    return ErasureReport(
        len(ids), rewritten, deleted, decisions, mart_rows, left, left_decisions, left_marts, unreadable
    )


def _erase_from_lake(lake: Lake, subject: Subject) -> int:
    """Write each file that has rows of ``subject`` again without them; return the number of files."""
    rewritten = 0
    for file in lake_files.listing(lake).files:
        found = lake_files.read(lake, [file.path], ["started_at"], subject.matches).table
        if not len(found):
            continue
        moments = pc.unique(pc.floor_temporal(found["started_at"], unit="hour")).to_pylist()
        hours = frozenset(moment.strftime(HOUR_FORMAT) for moment in moments)
        if write_joined(lake, "erased", [file], Omission(subject.kept, hours)) is not None:
            lake.storage.delete(lake.key(file.path))
            rewritten += 1
    lake_files.listing(lake, remember=True)
    return rewritten


def _erase_from_marts(lake: Lake, subject: Subject) -> int:
    """Remove the rows of ``subject`` from partitions whose requests the lake no longer has; return their number."""
    removed = 0
    for path in sorted(lake.marts.glob("*/*.parquet")):
        count = _mart_rows(path, subject)
        if count:
            table = pq.read_table(path)
            found = _named(table, subject)
            lake.storage.put(lake.key(path), memoryview(encoded(table.filter(pc.invert(found)))))
            removed += count
    return removed


def _mart_rows(path: Path, subject: Subject) -> int:
    """Count the rows of a partition that name ``subject``; the figures of other marts name nobody."""
    names = set(pq.read_schema(path).names)
    if "key_hash" not in names or (subject.user_hash is not None and names.isdisjoint(DIGITS)):
        return 0
    table = pq.read_table(path, columns=["key_hash", *sorted(names.intersection(DIGITS))])
    return int(pc.sum(_named(table, subject)).as_py() or 0)


def _named(table: pa.Table, subject: Subject) -> pa.ChunkedArray:
    """Return which rows of a mart name ``subject``. Marts have the first digits of a user's hash."""
    found = pc.equal(table["key_hash"], subject.key_hash)
    if subject.user_hash is not None:
        column, digits = next((name, digits) for name, digits in DIGITS.items() if name in table.schema.names)
        found = pc.and_(found, pc.starts_with(table[column], subject.user_hash[:digits]))
    return pc.fill_null(found, False)


def _ids(lake: Lake, subject: Subject, files: list[lake_files.LakeFile]) -> pa.Array:
    rows = lake_files.read(lake, [file.path for file in files], ["generation_id"], subject.matches)
    return rows.table["generation_id"].combine_chunks()


def _count_ids(path: Path, ids: pa.Array) -> int:
    found: Any = pc.sum(pc.is_in(pq.read_table(path, columns=["generation_id"])["generation_id"], value_set=ids))
    return int(found.as_py() or 0)
