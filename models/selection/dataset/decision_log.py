"""Narrow the request log to decisions and their outcomes, one file an hour: what selection learns and is judged from.

An hour's file identifies its inputs, so that only hours with new ones are written again, be they late segments or
backfills; compaction leaves the inputs of an hour as they are. Requests that were never sent anywhere are left out, and
so are imported ones that train nothing.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.lake import COUNTED_IMPORT, Lake
from data.record import lake_files
from data.record.lake_files import LakeFile
from data.record.lake_reader import LAKE_SCHEMA, open_dataset
from data.record.origin import add_hours
from models.selection.dataset.damage import is_valid

logger = logging.getLogger(__name__)
HOUR = "%Y-%m-%dT%H"
INPUTS = b"portolan.inputs"
COLUMNS = (
    "generation_id",
    "started_at",
    "model",
    "estimated_prompt_tokens",
    "max_tokens",
    "stream",
    "tools",
    "policy",
    "policy_version",
    "candidates",
    "attempts",
    "error_type",
    "cancelled",
    "cost_nano",
    "cost_prompt_nano",
    "cost_cached_nano",
    "completion_tokens",
    "finish_reason",
    "ttft_us",
    "duration_us",
    "category",
    "client_region",
    "held_tokens",
    "modality",
    "tool_call_fault",
)
SCHEMA = pa.schema([LAKE_SCHEMA.field(name) for name in COLUMNS])


class DecisionRows(NamedTuple):
    """Hold rows in order of arrival with the columns ``COLUMNS``, and count what was left out of them.

    ``damaged`` is the number of rows with impossible figures, ``unreadable`` the number of hours with a damaged file.
    """

    frame: pl.DataFrame
    damaged: int
    unreadable: int


def hours(lake: Lake) -> dict[str, list[LakeFile]]:
    """Return each hour (UTC, ``2026-11-17T05``) with requests, and the files of the lake that hold some of it.

    Files that consist of imports which train nothing are passed over.
    """
    found: dict[str, list[LakeFile]] = {}
    for file in lake_files.listing(lake).files:
        if all(name.startswith(COUNTED_IMPORT) for name in file.origin.sources):
            continue
        for hour in file.origin.hours:
            found.setdefault(hour, []).append(file)
    return dict(sorted(found.items()))


def stale(lake: Lake) -> dict[str, list[LakeFile]]:
    """Return the hours with requests whose file is missing, or lacks an input or a column."""
    return {hour: files for hour, files in hours(lake).items() if _inputs(files, hour) != _complete(lake, hour)}


def write_hour(lake: Lake, hour: str, files: Sequence[LakeFile]) -> int:
    """Write one hour and return its number of rows.

    Rows come from ``files``, and from the hour's present file where their source has been deleted since. They are chat
    requests alone: the policy learns nothing from other tasks.
    """
    begin = datetime.strptime(hour, HOUR).replace(tzinfo=UTC)
    arrived = pc.field("started_at")
    within = (arrived >= pa.scalar(begin)) & (arrived < pa.scalar(begin + timedelta(hours=1)))
    sent = pc.list_value_length(pc.field("attempts")) > 0
    own = pc.field("source").is_null() | pc.field("trains_selection")
    chat = pc.field("task").is_null() | (pc.field("task") == "chat")
    path = _path(lake, hour)
    rows = lake_files.read(lake, [file.path for file in files], COLUMNS, within & sent & own & chat)
    table = rows.table.cast(SCHEMA)
    left_out = {one.path for one in rows.left_out}
    before = _kept(path)
    if before is not None:
        known = pc.is_in(before["generation_id"], value_set=table["generation_id"])
        table = pa.concat_tables([before.filter(pc.invert(known)), table])
    inputs = json.dumps(_inputs([file for file in files if file.path not in left_out], hour)).encode()
    moments = table["started_at"].combine_chunks()
    if not pc.all(pc.less_equal(moments[:-1], moments[1:]), min_count=0).as_py():
        # To move the plans of a large hour takes seconds.
        table = table.sort_by("started_at")
    _write(lake, path, table.replace_schema_metadata({INPUTS: inputs}))
    return int(table.num_rows)


def erase(lake: Lake, generation_ids: pa.Array) -> dict[str, int]:
    """Remove the decisions of the given requests; return the number of rows removed from each hour."""
    removed: dict[str, int] = {}
    for path in sorted(lake.decisions.glob("*.parquet")):
        table = _kept(path)
        if table is None:
            continue
        gone = pc.is_in(table["generation_id"], value_set=generation_ids)
        if count := pc.sum(gone).as_py():
            inputs = (pq.read_schema(path).metadata or {}).get(INPUTS, b"[]")
            _write(lake, path, table.filter(pc.invert(gone)).replace_schema_metadata({INPUTS: inputs}))
            removed[path.stem] = count
    return removed


def _write(lake: Lake, path: Path, table: pa.Table) -> None:
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    lake.storage.put(lake.key(path), memoryview(buffer.getvalue()))


def catch_up(lake: Lake) -> dict[str, int]:
    """Write every stale hour and return the rows of each."""
    lake.create()
    return {hour: write_hour(lake, hour, files) for hour, files in stale(lake).items()}


def read(lake: Lake, last: int | None = None, since: datetime | None = None) -> pl.DataFrame:
    """Read decisions in order of arrival, with the columns ``COLUMNS``.

    Only those after ``since`` are read, and of these the ``last``. Damaged rows are left out; ``read_counted`` counts
    them.
    """
    return read_counted(lake, last, since).frame


def read_counted(lake: Lake, last: int | None = None, since: datetime | None = None) -> DecisionRows:
    """Read as ``read`` does, and count what is left out. Damaged rows are among the ``last``, so that those stay."""
    frames: list[pl.DataFrame] = []
    count = unreadable = 0
    for path in sorted(lake.decisions.glob("*.parquet"), reverse=True):
        if since is not None and path.stem < since.strftime(HOUR):
            break
        table, damaged = _hour(lake, path)
        unreadable += damaged
        frame: pl.DataFrame = pl.from_arrow(table)  # type: ignore[assignment]
        frame = frame if since is None else frame.filter(pl.col("started_at") > since)
        frames.append(frame)
        count += len(frame)
        if last is not None and count >= last:
            break
    if not frames:
        return DecisionRows(_EMPTY, 0, unreadable)
    joined = pl.concat(frames[::-1]).unique("generation_id", keep="first", maintain_order=True)
    joined = joined if last is None else joined.tail(last)
    valid = joined.filter(is_valid(joined))
    if not valid["started_at"].is_sorted():
        valid = valid.sort("started_at", maintain_order=True)
    return DecisionRows(valid, len(joined) - len(valid), unreadable)


def count(lake: Lake) -> int:
    """Count the rows of all hours, damaged ones among them."""
    return sum(_rows(lake, path) for path in lake.decisions.glob("*.parquet"))


def _rows(lake: Lake, path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except lake_files.FAULTS:
        return len(_hour(lake, path)[0])


def _hour(lake: Lake, path: Path) -> tuple[pa.Table, bool]:
    """Return an hour's rows, and whether its file was damaged; a damaged file is written again from its sources."""
    table = _kept(path)
    if table is not None:
        return table, False
    write_hour(lake, path.stem, hours(lake).get(path.stem, []))
    table = _kept(path)
    return SCHEMA.empty_table() if table is None else table, True


def _kept(path: Path) -> pa.Table | None:
    """Return an hour's file, ``None`` if there is none. A damaged one is set aside under another name.

    It may be all that is left of sources that have gone.
    """
    try:
        try:
            table = open_dataset([path], SCHEMA).to_table()
        except pa.ArrowInvalid:
            table = _cast_leniently(pq.read_table(path))
        table.validate(full=True)
        return table
    except FileNotFoundError:
        return None
    except lake_files.FAULTS as error:
        if getattr(error, "errno", None) is not None:
            raise
        aside = path.with_suffix(f".{time.time_ns()}.damaged")
        with suppress(FileNotFoundError):
            os.replace(path, aside)
        logger.error("%s cannot be read and is kept as %s: %s", path, aside.name, error)
        return None


def _cast_leniently(table: pa.Table) -> pa.Table:
    """Return the columns of ``SCHEMA``; a figure that its column cannot hold, as NaN in an integer one, is null."""
    frame: pl.DataFrame = pl.from_arrow(table)  # type: ignore[assignment]
    missing = [pl.lit(None).alias(name) for name in COLUMNS if name not in frame.columns]
    return frame.with_columns(missing).select(COLUMNS).cast(_EMPTY.schema, strict=False).to_arrow().cast(SCHEMA)


_EMPTY: pl.DataFrame = pl.from_arrow(SCHEMA.empty_table())  # type: ignore[assignment]


def _complete(lake: Lake, hour: str) -> list[int]:
    """Return the inputs of an hour's file if it has every column, otherwise none."""
    try:
        schema = pq.read_schema(_path(lake, hour))
        metadata: Mapping[bytes, bytes] = schema.metadata or {}
        found: list[int] = json.loads(metadata.get(INPUTS, b"[]"))
    except lake_files.FAULTS:
        return []
    return found if set(COLUMNS) <= set(schema.names) else []


def _inputs(files: Sequence[LakeFile], hour: str) -> list[int]:
    """Identify the sealed files that hold some of ``hour``."""
    return list(add_hours({hour: file.origin.hours[hour]} for file in files).get(hour, ()))


def _path(lake: Lake, hour: str) -> Path:
    return lake.decisions / f"{hour}.parquet"
