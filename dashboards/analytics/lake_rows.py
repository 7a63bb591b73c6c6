"""Open the rows of the lake with the columns that analytics queries name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import duckdb

from dashboards.analytics.problems import BadQuestion
from data.lake import Lake
from data.record.charges import WEB_SEARCH
from data.record.lake_files import find_damaged, listing
from data.record.lake_reader import requests_sql
from data.scratch_database import open_scratch

T = TypeVar("T")
# A question that no mart answers reads every row of its time range.
LONGEST = timedelta(days=31)
# The attempt that served a stream, as in the mart of latencies: output tokens a second, first token to last.
_COLUMNS = """
    SELECT *, started_at AS hour, 1 AS requests, ttft_us / 1e3 AS latency_ms,
        coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0) AS tokens,
        coalesce(tools, 0) > 0 AS offers_tools,
        CAST(response_cache = 'hit' AS INTEGER) AS response_hits,
        list_sum(list_transform(list_filter(charges, c -> c.meter = '{meter}'), c -> c.nano)) AS web_search_nano,
        CASE
            WHEN prompt_tokens IS NULL THEN NULL
            WHEN prompt_tokens <= 1000 THEN '1K'
            WHEN prompt_tokens <= 10000 THEN '10K'
            WHEN prompt_tokens <= 100000 THEN '100K'
            WHEN prompt_tokens <= 1000000 THEN '1M'
            ELSE '10M'
        END AS context_bucket,
        CASE WHEN stream AND status = 200 AND error_type IS NULL AND NOT cancelled AND completion_tokens > 1 THEN
            completion_tokens * 1e6 / nullif(list_last(list_transform(list_filter(attempts,
                a -> a.error_type IS NULL AND a.ttft_us > 0 AND a.duration_us > a.ttft_us),
                a -> a.duration_us - a.ttft_us)), 0)
        END AS tokens_per_s
    FROM ({rows})
"""


def open_rows(lakes: Sequence[Lake], begin: datetime, end: datetime) -> duckdb.DuckDBPyConnection:
    """Return a connection whose view ``lake_rows`` has what may have arrived at ``lakes`` from ``begin`` to ``end``.

    Raises ``BadQuestion`` for more than ``LONGEST``.
    """
    if end - begin > LONGEST:
        raise BadQuestion(
            f"These metrics and dimensions together are in no mart, so that requests are read one by one: ask for at "
            f"most {LONGEST.days} days, or leave a dimension out"
        )
    files = [path for lake in lakes for path in _files(lake, begin, end)]
    connection = open_scratch(lakes[0])
    connection.execute(f"CREATE VIEW lake_rows AS {_COLUMNS.format(rows=requests_sql(files), meter=WEB_SEARCH)}")
    return connection


def query_rows(
    lakes: Sequence[Lake], begin: datetime, end: datetime, query: Callable[[duckdb.DuckDBPyConnection], T]
) -> T:
    """Return what ``query`` returns of such a connection.

    Runs it once more without the files that turn out to be damaged, or that a compaction has replaced meanwhile.
    """
    files = [(lake, _files(lake, begin, end)) for lake in lakes]
    try:
        with closing(open_rows(lakes, begin, end)) as connection:
            return query(connection)
    except (duckdb.InvalidInputException, duckdb.IOException):
        if not [one for lake, paths in files for one in find_damaged(lake, paths)]:
            raise
    with closing(open_rows(lakes, begin, end)) as connection:
        return query(connection)


def _files(lake: Lake, begin: datetime, end: datetime) -> list[Path]:
    """Return the files that may have requests from ``begin`` to ``end``."""
    files = []
    day = begin.date()
    while day <= end.date():
        found = listing(lake, day.isoformat()).files
        files += [one.path for one in found if one.first is None or (one.first < end and (one.last or end) >= begin)]
        day += timedelta(days=1)
    return files
