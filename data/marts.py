"""The published mart, read-only. Nothing else knows the file's name."""

from __future__ import annotations

import duckdb

from data.lake import Lake


class NoMart(Exception):
    """Nothing has been published yet."""


def open_mart(lake: Lake) -> duckdb.DuckDBPyConnection:
    """A connection to the current version. Close it; open again to see a newer one. Raises ``NoMart``."""
    path = lake.current_mart()
    if path is None:
        raise NoMart("no mart has been published yet: run 'portolan refresh'")
    connection = duckdb.connect(str(path), read_only=True)
    connection.execute("SET TimeZone = 'UTC'")
    return connection
