"""Open the published mart read-only. No other module knows the file's name."""

from __future__ import annotations

import duckdb

from data.lake import Lake

# Views name their Parquet files relative to this DuckDB variable, so that the data folder may be moved.
MARTS_VARIABLE = "marts"


class NoMart(Exception):
    """Report that no mart has been published yet."""


def open_mart(lake: Lake) -> duckdb.DuckDBPyConnection:
    """Connect to the current version. Close the connection, and open another to see a newer one. Raises ``NoMart``."""
    path = lake.current_mart()
    if path is None:
        raise NoMart("no mart has been published yet: run 'portolan refresh'")
    connection = duckdb.connect(str(path), read_only=True)
    folder = str(lake.marts.resolve()).replace("'", "''")
    connection.execute(f"SET TimeZone = 'UTC'; SET VARIABLE {MARTS_VARIABLE} = '{folder}'")
    return connection
