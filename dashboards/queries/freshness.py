"""Query the sources of a mart: the number of requests and their time range."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import duckdb


class Freshness(NamedTuple):
    """Number of requests, and the arrival of the first and the last of them (UTC), ``None`` in an empty mart."""

    requests: int
    first: datetime | None
    last: datetime | None

    def sentence(self) -> str:
        """Return a sentence for the caption of a page."""
        if self.first is None or self.last is None:
            return "No request has been sealed yet."
        return f"From {self.requests:,} requests, {self.first:%Y-%m-%d %H:%M} to {self.last:%Y-%m-%d %H:%M} UTC."


def freshness(mart: duckdb.DuckDBPyConnection) -> Freshness:
    row = mart.execute(
        "SELECT requests, CAST(first_started_at AS TIMESTAMP), CAST(last_started_at AS TIMESTAMP) FROM summary"
    ).fetchone()
    assert row is not None
    return Freshness(*row)
