"""Open published marts read-only. No other module knows the file's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import duckdb

from data.lake import Lake
from data.scratch_database import open_scratch

# Views name their Parquet files relative to this DuckDB variable, so that the data folder may be moved.
MARTS_VARIABLE = "marts"
Period = Literal["day", "week", "month"]
# Marts have so many digits of a user's hash, 48 bits: of a million users two have the same in one of 500 cases. The
# lake has all digits.
USER_DIGITS = 12
_SUFFIXES: dict[Period, str] = {"day": "daily", "week": "weekly", "month": "monthly"}
# Marts with so many rows that each version also has them by longer periods, the shortest first, for long ranges.
COARSER: dict[str, tuple[Period, ...]] = {
    "caches_hourly": ("day",),
    "charges_hourly": ("day",),
    "keys_hourly": ("day", "month"),
    "latency_hourly": ("day", "month"),
    "outcomes_hourly": ("day",),
    "tags_hourly": ("day",),
    "uptime_hourly": ("day",),
    "usage_hourly": ("day", "month"),
    "users_hourly": ("week", "month"),
}


class NoMart(Exception):
    """Report that no mart has been published yet."""


def coarser_view(mart: str, period: Period) -> str:
    """Return the name of the view of a mart's rows by ``period``. Its columns are the mart's.

    ``hour`` is when the period began. For days of a month that has not ended it is the day, or the hour if the mart has
    no rows by day, and for rows that have just come the hour itself.
    """
    return f"{mart.removesuffix('_hourly')}_{_SUFFIXES[period]}"


def open_mart(lake: Lake) -> duckdb.DuckDBPyConnection:
    """Connect to the current version. Close the connection, and open another to see a newer one. Raises ``NoMart``."""
    path = lake.current_mart()
    if path is None:
        raise NoMart("no mart has been published yet: run 'portolan refresh'")
    connection = duckdb.connect(str(path), read_only=True)
    connection.execute(f"SET TimeZone = 'UTC'; SET VARIABLE {MARTS_VARIABLE} = {_folder(lake)}")
    return connection


def open_marts(lakes: Sequence[Lake]) -> duckdb.DuckDBPyConnection:
    """Connect to the marts of several lakes as if they were one: rows of all, and roll-ups over the rows of all.

    Raises ``NoMart`` if a lake has none.
    """
    if len(lakes) == 1:
        return open_mart(lakes[0])
    selects: dict[str, list[str]] = {}
    rollups: dict[str, str] = {}
    for lake in lakes:
        with open_mart(lake) as mart:
            rollups.update(mart.execute("SELECT name, sql FROM rollups").fetchall())
            views = mart.execute("SELECT view_name, sql FROM duckdb_views() WHERE NOT internal").fetchall()
        for name, sql in views:
            if name not in rollups:
                select = sql.partition(" AS ")[2].rstrip().rstrip(";")
                selects.setdefault(name, []).append(select.replace(f"getvariable('{MARTS_VARIABLE}')", _folder(lake)))
    connection = open_scratch(lakes[0])
    for name, found in selects.items():
        connection.execute(f"CREATE VIEW {name} AS {' UNION ALL BY NAME '.join(found)}")
    for name, sql in rollups.items():
        connection.execute(f"CREATE VIEW {name} AS {sql}")
    return connection


def _folder(lake: Lake) -> str:
    return "'" + str(lake.marts.resolve()).replace("'", "''") + "'"
