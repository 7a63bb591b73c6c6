"""Query the ranking of models within categories."""

from __future__ import annotations

import duckdb
import polars as pl


def names(mart: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the categories in the mart, most tokens first."""
    sql = "SELECT category FROM categories_weekly GROUP BY category ORDER BY sum(tokens) DESC, category"
    return [name for (name,) in mart.execute(sql).fetchall()]


def shares(mart: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return ``category, model, tokens, requests, share``; ``share`` is of the category's tokens."""
    return mart.sql(
        """
        SELECT category, model, CAST(sum(tokens) AS BIGINT) AS tokens, CAST(sum(requests) AS BIGINT) AS requests,
            sum(tokens) / nullif(sum(sum(tokens)) OVER (PARTITION BY category), 0) AS share
        FROM categories_weekly GROUP BY category, model ORDER BY category, tokens DESC, model
        """
    ).pl()
