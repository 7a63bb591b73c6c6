"""Publish a version: one small DuckDB file of views over the partition files and of roll-ups that pages read most."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from data.lake import Lake
from data.marts import COARSER, MARTS_VARIABLE, coarser_view
from data.storage.local import fsync_folder
from pipelines.marts.catalogue import MARTS
from pipelines.marts.checking import judge, number
from pipelines.marts.coarser import coarser_key, coarser_keys, make_coarser
from pipelines.marts.declaration import Mart
from pipelines.marts.manifest import Manifest, encode_manifest, manifest_path, read_candidate, read_manifest_of
from pipelines.marts.rollups import VIEW_CHECKS, VIEWS

KEPT_VERSIONS = 3
# Each column of a stored roll-up takes blocks of its own; the default is sixteen times as much, for a few kB.
BLOCK_BYTES = 16 * 1024
# A file that no version names, made by a run that died, is removed when it is this old.
ABANDONED_S = 3600.0
# Of each mart: its partition files, the newest partition that has rows, and when a file was last written (UTC).
MART_FILES = (
    "mart VARCHAR", "description VARCHAR", "files BIGINT", "rows BIGINT", "bytes BIGINT", "newest VARCHAR",
    "written_at TIMESTAMP",
)  # fmt: skip


def write_version(lake: Lake, manifest: Manifest, path: Path) -> dict[str, int]:
    """Write the DuckDB file of a version to ``path``; return the rows of stored roll-ups. Raises ``CheckFailed``."""
    path.unlink(missing_ok=True)
    make_coarser(lake, manifest)
    with duckdb.connect(str(path), config={"default_block_size": BLOCK_BYTES}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET VARIABLE {MARTS_VARIABLE} = {_text(str(lake.marts))}")
        for mart in MARTS:
            files = manifest.marts[mart.name].files if mart.name in manifest.marts else ()
            _view(connection, mart.name, mart, [one.key for one in files], mart.description)
            for period in COARSER.get(mart.name, ()):
                keys = [coarser_key(mart.name, period, one) for one in files]
                _view(connection, coarser_view(mart.name, period), mart, keys, f"{mart.description} By {period}.")
        connection.execute("CREATE TABLE rollups (name VARCHAR, sql VARCHAR)")
        for view in VIEWS:
            sql = view.published_sql
            connection.execute("INSERT INTO rollups VALUES (?, ?)", [view.name, sql])
            kind = "TABLE" if view.stored else "VIEW"
            connection.execute(f"CREATE {kind} {view.name} AS {sql}")
            connection.execute(f"COMMENT ON {kind} {view.name} IS {_text(view.description)}")
        # Views, so that ``data.marts.open_marts`` joins those of several lakes.
        _list(connection, "unreadable", ("file VARCHAR", "reason VARCHAR"), manifest.left_out)
        _list(connection, "mart_files", MART_FILES, (_files_of(lake, manifest, mart) for mart in MARTS))
        judge(connection, VIEW_CHECKS)
        return {view.name: number(connection, f"SELECT count(*) FROM {view.name}") for view in VIEWS if view.stored}


def _view(connection: duckdb.DuckDBPyConnection, name: str, mart: Mart, keys: Sequence[str], description: str) -> None:
    """Create a view over files with the columns of ``mart``."""
    columns = ", ".join(f"CAST(NULL AS {kind}) AS {column}" for column, kind in mart.columns.items())
    listed = ", ".join(f"getvariable('{MARTS_VARIABLE}') || {_text('/' + key.removeprefix('marts/'))}" for key in keys)
    rows = f"SELECT * FROM read_parquet([{listed}])" if keys else f"SELECT {columns} WHERE false"
    connection.execute(f"CREATE VIEW {name} AS {rows}")
    connection.execute(f"COMMENT ON VIEW {name} IS {_text(description)}")


def _files_of(lake: Lake, manifest: Manifest, mart: Mart) -> tuple[str | int | None, ...]:
    """Return the row of ``mart_files`` for a mart."""
    files = manifest.marts[mart.name].files if mart.name in manifest.marts else ()
    written = [path.stat().st_mtime for path in (lake.root / one.key for one in files) if path.exists()]
    newest = max((one.span for one in files if one.rows), default=None)
    moment = datetime.fromtimestamp(max(written), UTC).strftime("%Y-%m-%d %H:%M:%S") if written else None
    return (mart.name, mart.description, len(files), sum(one.rows for one in files), sum(one.bytes for one in files),
            newest, moment)  # fmt: skip


def _list(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Sequence[str], rows: Iterable[Sequence[str | int | None]]
) -> None:
    """Create a view of ``rows``; each of ``columns`` is a name and its SQL type."""
    parts = [one.rpartition(" ") for one in columns]
    values = ["(" + ", ".join(map(_literal, row)) + ")" for row in rows]
    source = f"(VALUES {', '.join(values)})" if values else f"(SELECT {', '.join(['NULL'] * len(columns))} WHERE false)"
    casts = ", ".join(f"CAST({column} AS {kind}) AS {column}" for column, _, kind in parts)
    named = ", ".join(column for column, _, _ in parts)
    connection.execute(f"CREATE VIEW {name} AS SELECT {casts} FROM {source} AS listed({named})")


def _literal(value: str | int | None) -> str:
    return "NULL" if value is None else str(value) if isinstance(value, int) else _text(value)


def publish(lake: Lake, manifest: Manifest, path: Path) -> Path:
    """Give the DuckDB file at ``path`` its name and move the pointer to it; return the new path."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    target = lake.marts / f"marts-{moment}.duckdb"
    lake.storage.put(lake.key(manifest_path(target)), encode_manifest(manifest))
    os.replace(path, target)
    fsync_folder(lake.marts)
    lake.publish_mart(target)
    return target


def remove_old_versions(lake: Lake, kept: int = KEPT_VERSIONS, abandoned_s: float = ABANDONED_S) -> list[Path]:
    """Remove all but the last ``kept`` versions, and the partition files that none of these names.

    Partition files younger than ``abandoned_s`` stay: a reader may be about to open them.
    """
    current = lake.current_mart()
    versions = sorted(lake.marts.glob("marts-*.duckdb"))
    stay = [path for path in versions if path in versions[-kept:] or path == current]
    removed = [path for path in versions if path not in stay]
    removed += [path for path in lake.marts.glob("marts-*.json") if path.with_suffix(".duckdb") not in stay]
    kept_manifests = [*(read_manifest_of(lake, path) for path in stay), read_candidate(lake) or Manifest()]
    named = {one.key for kept in kept_manifests for made in kept.marts.values() for one in (*made.files, *made.former)}
    named = named.union(*map(coarser_keys, kept_manifests))
    removed += [path for path in _partition_files(lake) if lake.key(path) not in named and _age(path) >= abandoned_s]
    for path in removed:
        lake.storage.delete(lake.key(path))
    return removed


def _partition_files(lake: Lake) -> Iterable[Path]:
    return lake.marts.glob("*/*.parquet")


def _age(path: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime
    return 0.0


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
