"""Read from the request log which policies served."""

from __future__ import annotations

from typing import NamedTuple

import duckdb

from data.lake import Lake
from data.record import lake_files
from data.record.lake_reader import requests_sql

SQL = """
WITH numbered AS (
    SELECT policy, policy_version, error_type, ttft_us, epoch(started_at) AS moment
    FROM ({requests})
)
SELECT policy, policy_version, count(*), min(moment), max(moment),
    avg(CASE WHEN error_type IS NULL THEN 1.0 ELSE 0.0 END),
    quantile_cont(ttft_us / 1e3, 0.5), quantile_cont(ttft_us / 1e3, 0.99), list(moment ORDER BY moment)
FROM numbered GROUP BY ALL ORDER BY min(moment)
"""


class Served(NamedTuple):
    """Requests of one policy version: how many, Unix seconds of each, share answered, TTFT in ms."""

    policy: str
    version: str
    requests: int
    first: float
    last: float
    success: float
    ttft_p50: float | None
    ttft_p99: float | None
    moments: list[float]

    def after(self, moment: float) -> float | None:
        """The first request at or after ``moment``."""
        return next((at for at in self.moments if at >= moment), None)


def served_by(lake: Lake) -> list[Served]:
    """Return who served, from the sealed log, in order of the first request."""
    sql = SQL.format(requests=requests_sql(file.path for file in lake_files.listing(lake).files))
    with duckdb.connect() as connection:
        rows = connection.execute(sql).fetchall()
    return [Served(str(row[0]), str(row[1]), *row[2:]) for row in rows]
