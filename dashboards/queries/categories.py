"""Which model leads in which category."""

from __future__ import annotations

import duckdb
import polars as pl


def names(mart: duckdb.DuckDBPyConnection) -> list[str]:
    """Categories that the mart has seen, by tokens."""
    sql = "SELECT category FROM categories_weekly GROUP BY category ORDER BY sum(tokens) DESC, category"
    return [name for (name,) in mart.execute(sql).fetchall()]


def shares(mart: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """``category, model, tokens, requests, share``: share of the category's tokens."""
    return mart.sql(
        """
        SELECT category, model, CAST(sum(tokens) AS BIGINT) AS tokens, CAST(sum(requests) AS BIGINT) AS requests,
            sum(tokens) / nullif(sum(sum(tokens)) OVER (PARTITION BY category), 0) AS share
        FROM categories_weekly GROUP BY category, model ORDER BY category, tokens DESC, model
        """
    ).pl()
