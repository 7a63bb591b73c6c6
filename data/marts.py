"""Open the published mart read-only. No other module knows the file's name."""

from __future__ import annotations

import duckdb

from data.lake import Lake


class NoMart(Exception):
    """Report that no mart has been published yet."""


def open_mart(lake: Lake) -> duckdb.DuckDBPyConnection:
    """Connect to the current version. Close the connection, and open another to see a newer one. Raises ``NoMart``."""
    path = lake.current_mart()
    if path is None:
        raise NoMart("no mart has been published yet: run 'portolan refresh'")
    connection = duckdb.connect(str(path), read_only=True)
    connection.execute("SET TimeZone = 'UTC'")
    return connection
