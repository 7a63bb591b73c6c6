"""Query the ranking of models within categories."""

from __future__ import annotations

import duckdb
import polars as pl

from dashboards.queries.market import totals
from dashboards.time_range import TimeRange


def shares(mart: duckdb.DuckDBPyConnection, time_range: TimeRange) -> pl.DataFrame:
    """Return ``category, model, tokens, requests, share``; ``share`` is of the category's tokens in the range."""
    return mart.execute(
        """
        SELECT category, model, CAST(sum(tokens) AS BIGINT) AS tokens, CAST(sum(requests) AS BIGINT) AS requests,
            sum(tokens) / nullif(sum(sum(tokens)) OVER (PARTITION BY category), 0) AS share
        FROM categories_hourly WHERE hour >= ? AND hour < ?
        GROUP BY category, model ORDER BY category, tokens DESC, model
        """,
        [time_range.begin, time_range.end],
    ).pl()


def whole(frame: pl.DataFrame) -> pl.DataFrame:
    """Return ``category, tokens, requests, share`` of the rows of ``shares``, most tokens first."""
    return totals(frame, "category").rename({"name": "category"}).drop("rank")
