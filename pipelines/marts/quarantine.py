"""Set aside the requests that no mart may count, so that one of them does not keep all others from being published.

They stay in the lake as they are. The mart ``quarantine_hourly`` names each with the reason. Requests of hours that are
still to come are in no partition: they are counted when their time has come.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from data.lake import Lake
from data.record import lake_files
from data.record.lake_files import LakeFile
from data.record.origin import HOUR_FORMAT, moment_of
from pipelines.marts.manifest import FutureRequests

TABLE = "quarantined"
# A clock that is wrong by less is none of the reasons for which requests are set aside.
TOLERANCE = timedelta(hours=1)
SAMPLES = 10
_HOUR = "date_trunc('hour', started_at)"


class RowRule(NamedTuple):
    """State what must hold of each request: the reason otherwise, a sentence, SQL that is true of a wrong one, advice.

    ``wrong`` names columns of the record; it is empty for the rule about duplicates.
    """

    reason: str
    sentence: str
    wrong: str
    advice: str


_REPAIR = "Find what wrote the file, and write it again without the fault; its hours are then made again."
# The first rule that a request breaks is its reason.
ROW_RULES = (
    RowRule(
        "without_id",
        "every request has a generation id",
        "generation_id IS NULL OR generation_id = ''",
        _REPAIR,
    ),
    RowRule(
        "other_hour",
        "the id of a request of this router tells the hour of its arrival",
        "source IS NULL AND coalesce(TRY_CAST(split_part(generation_id, '-', 2) AS BIGINT), -1) // 3600 "
        "<> CAST(floor(epoch(started_at) / 3600) AS BIGINT)",
        "Ids are compared within an hour alone, so such a request might count twice. Requests that this router has not "
        "logged belong into the lake by portolan import.",
    ),
    RowRule(
        "negative",
        "no figure of a request is negative",
        "least(prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, duration_us, ttft_us, cost_nano, "
        "cost_prompt_nano, cost_cached_nano, cost_completion_nano, cost_fees_nano) < 0",
        _REPAIR,
    ),
    RowRule(
        "cost_parts",
        "the parts of a cost sum to the whole",
        "cost_nano <> cost_prompt_nano + cost_cached_nano + cost_completion_nano + coalesce(cost_fees_nano, 0)",
        _REPAIR,
    ),
    RowRule(
        "charges",
        "charges sum to the cost",
        "charges IS NOT NULL AND coalesce(list_sum([charge.nano FOR charge IN charges]), 0) <> cost_nano",
        _REPAIR,
    ),
    RowRule(
        "duplicate",
        "generation ids are unique within an hour",
        "",
        "One of the requests with the same id is counted. If a file was copied within lake/requests, delete the copy.",
    ),
)
# The first of several requests with the same id by these columns is counted.
DUPLICATES_ORDER = (
    "started_at", "model", "provider", "status", "error_type", "finish_reason", "prompt_tokens", "completion_tokens",
    "cost_nano", "duration_us", "key_hash", "user_hash", "session_id", "app",
)  # fmt: skip
FUTURE_SENTENCE = "no request is from the future"
FUTURE_ADVICE = "Set the clock of the machine that logged them. They are counted when their time has come."


def set_aside(connection: duckdb.DuckDBPyConnection) -> None:
    """Move the wrong rows of the table ``requests`` to the table ``quarantined``, which is made.

    Which of several rows with the same id stays depends on what they hold alone, not on the files that hold them, nor
    on which other columns were read.
    """
    order = ", ".join(DUPLICATES_ORDER)
    cases = " ".join(f"WHEN {rule.wrong} THEN '{rule.reason}'" for rule in ROW_RULES if rule.wrong)
    # In one transaction a row keeps its ``rowid`` although others are deleted.
    connection.execute("BEGIN")
    connection.execute(
        f"CREATE TEMP TABLE {TABLE} AS SELECT row, started_at, generation_id, reason FROM "
        f"(SELECT rowid AS row, started_at, generation_id, CASE {cases} END AS reason FROM requests) "
        "WHERE reason IS NOT NULL"
    )
    _delete(connection)
    connection.execute(
        f"CREATE TEMP TABLE repeated AS SELECT {_HOUR} AS hour, generation_id FROM requests "
        "GROUP BY 1, 2 HAVING count(*) > 1"
    )
    if connection.execute("SELECT 1 FROM repeated LIMIT 1").fetchone():
        connection.execute(
            f"INSERT INTO {TABLE} SELECT row, started_at, generation_id, 'duplicate' FROM (SELECT requests.rowid AS "
            f"row, started_at, generation_id, row_number() OVER (PARTITION BY {_HOUR}, generation_id "
            f"ORDER BY {order}, md5(CAST(requests AS VARCHAR))) AS place FROM requests "
            f"WHERE ({_HOUR}, generation_id) IN (SELECT (hour, generation_id) FROM repeated)) WHERE place > 1"
        )
        _delete(connection)
    connection.execute("COMMIT")


def _delete(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(f"DELETE FROM requests WHERE rowid IN (SELECT row FROM {TABLE})")


def first_future_hour(now: datetime) -> str:
    """Return the first hour whose requests are set aside at ``now``."""
    return (now + TOLERANCE + timedelta(hours=1)).strftime(HOUR_FORMAT)


def future_requests(lake: Lake, files: Iterable[LakeFile], first: str) -> FutureRequests:
    """Count the requests that arrived in the hour ``first`` or later."""
    held = [file.path for file in files if any(hour >= first for hour in file.origin.hours)]
    arrived = pc.field("started_at") >= pa.scalar(moment_of(first))
    table = lake_files.read(lake, held, ["started_at", "generation_id"], arrived).table
    if not len(table):
        return FutureRequests()
    ordered = table.sort_by([("started_at", "ascending"), ("generation_id", "ascending")])
    found = [
        (moment.isoformat(), str(name))
        for moment, name in zip(*(column.to_pylist() for column in ordered.slice(0, SAMPLES).columns), strict=True)
    ]
    last = ordered["started_at"][-1].as_py().strftime(HOUR_FORMAT)
    return FutureRequests(requests=len(table), last_hour=last, samples=tuple(found))
