"""Open a database of DuckDB in memory, for queries over files."""

from __future__ import annotations

import duckdb

from data.lake import Lake


def open_scratch(lake: Lake) -> duckdb.DuckDBPyConnection:
    """Return a connection in UTC. What does not fit into memory goes to the data directory.

    DuckDB's default is a folder in the working directory, which may be read-only or anybody's.
    """
    connection = duckdb.connect(config={"temp_directory": str(lake.spill)})
    connection.execute("SET TimeZone = 'UTC'")
    return connection
