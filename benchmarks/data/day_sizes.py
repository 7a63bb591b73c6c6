"""Measure what a day's files of each mart take beside the requests of the day."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

import pyarrow.parquet as pq

from data.lake import Lake
from data.marts import COARSER
from pipelines.marts.catalogue import MARTS
from pipelines.marts.coarser import coarser_key
from pipelines.marts.manifest import read_manifest

# Marts that take less than this share of the lake are one row.
SMALL = 0.001


class _Size(NamedTuple):
    rows: int
    bytes: int
    figures: int


def size_lines(lake: Lake) -> list[str]:
    """Return a table of the marts by their share of the lake, over its days that have ended."""
    made = read_manifest(lake).marts
    days = sorted(file.span for file in made[MARTS[0].name].files if len(file.span) == len("2026-01-01"))
    whole = sum(path.stat().st_size for day in days for path in lake.requests.glob(f"day={day}/*.parquet"))
    requests = sum(
        pq.read_metadata(path).num_rows for day in days for path in lake.requests.glob(f"day={day}/*.parquet")
    )
    found: dict[str, list[_Size]] = defaultdict(list)
    for mart in MARTS:
        figures = {one.name for one in mart.measures}
        for file in made[mart.name].files:
            if file.span in days:
                by_day = {coarser_key(mart.name, "day", file)} if mart.name in COARSER else set()
                for key in {file.key} | by_day:
                    found[key.split("/")[1]].append(_size(lake, key, figures))
    total = {name: _Size(*map(sum, zip(*sizes, strict=True))) for name, sizes in found.items()}
    small = [name for name, one in total.items() if one.bytes < SMALL * whole]
    rest = [total.pop(name) for name in small]
    lines = ["| mart | rows of 1,000 requests | of lake | figures alone |", "|---|---|---|---|"]
    rows = sorted(total.items(), key=lambda one: -one[1].bytes)
    rows.append((f"{len(rest)} others", _Size(*map(sum, zip(*rest, strict=True)))))
    rows.append(("all", _Size(*map(sum, zip(*(one for _, one in rows), strict=True)))))
    for name, one in rows:
        lines.append(
            f"| {name} | {1000 * one.rows / requests:,.0f} | {one.bytes / whole:.2%} | {one.figures / whole:.2%} |"
        )
    return lines


def _size(lake: Lake, key: str, figures: set[str]) -> _Size:
    metadata = pq.read_metadata(lake.root / key)
    columns: Counter[str] = Counter()
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            column = metadata.row_group(group).column(place)
            columns[column.path_in_schema] += column.total_compressed_size
    return _Size(metadata.num_rows, (lake.root / key).stat().st_size, sum(columns[name] for name in figures))
