"""Narrow the request log to decisions and their outcomes, one file an hour: what selection learns and is judged from.

An hour's file names its sources, so that only hours with new sources are written again, be they late segments or
backfills. Requests that were never sent anywhere are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from data.lake import Lake
from data.record.lake_reader import LAKE_SCHEMA, open_dataset, request_files, time_range

HOUR = "%Y-%m-%dT%H"
SOURCES = b"portolan.sources"
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


def hours(lake: Lake) -> dict[str, list[Path]]:
    """Return each hour (UTC, ``2026-11-17T05``) with requests, and the sealed files that hold some of it."""
    found: dict[str, list[Path]] = {}
    for file in request_files(lake):
        for hour in _hours_of(file):
            found.setdefault(hour, []).append(file)
    return dict(sorted(found.items()))


def stale(lake: Lake) -> dict[str, list[Path]]:
    """Return the hours whose file is missing, or lacks a source or a column. A deleted source makes no hour stale."""
    return {hour: files for hour, files in hours(lake).items() if not set(_names(files)) <= _complete(lake, hour)}


def write_hour(lake: Lake, hour: str, files: Sequence[Path]) -> int:
    """Write one hour and return its number of rows.

    Rows come from ``files``, and from the hour's present file where their source has been deleted since.
    """
    begin = datetime.strptime(hour, HOUR).replace(tzinfo=UTC)
    arrived = pc.field("started_at")
    within = (arrived >= pa.scalar(begin)) & (arrived < pa.scalar(begin + timedelta(hours=1)))
    sent = pc.list_value_length(pc.field("attempts")) > 0
    path = _path(lake, hour)
    table = open_dataset(files).to_table(columns=list(COLUMNS), filter=within & sent)
    gone = _sources(lake, hour) - set(_names(files))
    if gone:
        before = open_dataset([path], SCHEMA).to_table()
        known = pc.is_in(before["generation_id"], value_set=table["generation_id"])
        table = pa.concat_tables([before.filter(pc.invert(known)), table])
    sources = json.dumps(sorted({*_names(files), *gone})).encode()
    table = table.sort_by("started_at").replace_schema_metadata({SOURCES: sources})
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    lake.storage.put(lake.key(path), memoryview(buffer.getvalue()))
    return int(table.num_rows)


def catch_up(lake: Lake) -> dict[str, int]:
    """Write every stale hour and return the rows of each."""
    lake.create()
    return {hour: write_hour(lake, hour, files) for hour, files in stale(lake).items()}


def read(lake: Lake, last: int | None = None, since: datetime | None = None) -> pl.DataFrame:
    """Read decisions in order of arrival, with the columns ``COLUMNS``.

    Only those after ``since`` are read, and of these the ``last``.
    """
    frames: list[pl.DataFrame] = []
    count = 0
    for path in sorted(lake.decisions.glob("*.parquet"), reverse=True):
        if since is not None and path.stem < since.strftime(HOUR):
            break
        frame: pl.DataFrame = pl.from_arrow(open_dataset([path], SCHEMA).to_table())  # type: ignore[assignment]
        frame = frame if since is None else frame.filter(pl.col("started_at") > since)
        frames.append(frame)
        count += len(frame)
        if last is not None and count >= last:
            break
    if not frames:
        return pl.from_arrow(SCHEMA.empty_table())  # type: ignore[return-value]
    joined = pl.concat(frames[::-1]).unique("generation_id", keep="first", maintain_order=True)
    return joined if last is None else joined.tail(last)


def count(lake: Lake) -> int:
    """Count the rows of all hours."""
    return sum(pq.read_metadata(path).num_rows for path in lake.decisions.glob("*.parquet"))


def _complete(lake: Lake, hour: str) -> set[str]:
    """Return the sources of an hour's file if it has every column, otherwise none."""
    try:
        names = pq.read_schema(_path(lake, hour)).names
    except (FileNotFoundError, pa.ArrowInvalid):
        return set()
    return _sources(lake, hour) if set(COLUMNS) <= set(names) else set()


def _names(files: Sequence[Path]) -> list[str]:
    return sorted(f"{file.parent.name}/{file.name}" for file in files)


def _path(lake: Lake, hour: str) -> Path:
    return lake.decisions / f"{hour}.parquet"


def _sources(lake: Lake, hour: str) -> set[str]:
    try:
        metadata: Mapping[bytes, bytes] = pq.read_schema(_path(lake, hour)).metadata or {}
        return set(json.loads(metadata.get(SOURCES, b"[]")))
    except (FileNotFoundError, pa.ArrowInvalid):
        return set()


def _hours_of(file: Path) -> Iterator[str]:
    found = time_range(file)
    if found is None:
        return
    hour, last = found[0].replace(minute=0, second=0, microsecond=0), found[1]
    while hour <= last:
        yield hour.strftime(HOUR)
        hour += timedelta(hours=1)
