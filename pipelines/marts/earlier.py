"""Find rows of hours in the partitions of the version before, and read over those that a former declaration made."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import duckdb

from data.lake import Lake
from data.record.origin import moment_of
from pipelines.marts.declaration import TIME, Mart
from pipelines.marts.manifest import Manifest, MartPartitions, Partition


class KeptHours(NamedTuple):
    """Say what a mart has of the hours that the lake no longer has.

    ``kept`` counts those whose rows a former declaration made; ``null_columns`` are null in some of them. Of ``lost``
    hours the mart has no rows. ``former`` are the files that have them and cannot be read as rows of the mart.
    """

    kept: int
    null_columns: tuple[str, ...]
    lost: tuple[str, ...]
    former: tuple[Partition, ...]


class EarlierPartitions:
    """Read the partitions of the version before."""

    def __init__(self, lake: Lake, before: Manifest) -> None:
        self._lake = lake
        self._marts = before.marts
        self._files = {name: {one.span: one for one in made.files} for name, made in before.marts.items()}

    def of_span(self, mart: Mart, span: str) -> Partition | None:
        """Return the partition of a span."""
        return self._files.get(mart.name, {}).get(span)

    def of_hour(self, mart: Mart, hour: str) -> Path | None:
        """Return the file that has the rows of ``hour``, ``None`` if there is none whose rows mean the same."""
        made = self._marts.get(mart.name)
        if made is None or made.row_version != mart.row_version or hour in made.lost:
            return None
        found = next((one for name in (hour, hour[:10], hour[:7]) if (one := self.of_span(mart, name))), None)
        path = self._lake.root / found.key if found is not None else None
        return path if path is not None and path.exists() else None

    def rows_sql(self, mart: Mart, hours: Iterable[str]) -> list[str]:
        """Return SQL for the rows of ``hours``, one text for each file."""
        by_path: dict[Path, list[str]] = {}
        for hour in hours:
            if (path := self.of_hour(mart, hour)) is not None:
                by_path.setdefault(path, []).append(hour)
        found = []
        for path, held in by_path.items():
            lacking = self._lacking(mart, path)
            dimensions = {one.name: one.shortened for one in mart.dimensions}
            columns = ", ".join(
                f"CAST(NULL AS {kind}) AS {name}" if name in lacking else dimensions.get(name, name)
                for name, kind in mart.columns.items()
            )
            moments = ", ".join(f"'{moment_of(hour)}'::TIMESTAMPTZ" for hour in held)
            found.append(f"SELECT {columns} FROM read_parquet({_text(path)}) WHERE {TIME} IN ({moments})")
        return found

    def kept(self, mart: Mart, gone: Collection[str], unmade: Collection[str]) -> KeptHours:
        """Return what the mart has of the hours that are ``gone``; no file of this declaration has those ``unmade``."""
        made = self._marts.get(mart.name, MartPartitions(fingerprint=""))
        is_same = made.fingerprint == mart.fingerprint
        # The hours of years need not be looked up at each refresh.
        paths = {hour: self.of_hour(mart, hour) for hour in (unmade if is_same else gone)}
        lost = {hour for hour in unmade if paths[hour] is None}
        if is_same:
            lost |= set(made.lost).intersection(gone)
        former = made.former if lost else ()
        if lost and made.row_version != mart.row_version:
            former += made.files
        found = [] if is_same else [path for path in paths.values() if path is not None]
        lacking = {name for path in set(found) for name in self._lacking(mart, path)}
        columns = tuple(name for name in mart.columns if name in lacking)
        return KeptHours(len(found), columns, tuple(sorted(lost)), former)

    def _lacking(self, mart: Mart, path: Path) -> frozenset[str]:
        """Return the columns that a file does not have with the type of the declaration."""
        if self._marts[mart.name].fingerprint == mart.fingerprint:
            return frozenset()
        columns = _columns(path)
        return frozenset(name for name, kind in mart.columns.items() if columns.get(name) != kind)


@lru_cache(4096)
def _columns(path: Path) -> dict[str, str]:
    """Return the SQL type of each column of a file, which is never written again with others."""
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE FROM read_parquet({_text(path)}))")
        return dict(found.fetchall())


def _text(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
