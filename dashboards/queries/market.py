"""Query market shares over time."""

from __future__ import annotations

import duckdb
import polars as pl

REST = "others"


def weekly_tokens(mart: duckdb.DuckDBPyConnection, authors: int) -> pl.DataFrame:
    """Return ``week, author, tokens, share`` of the largest ``authors``; the remaining ones together are ``others``."""
    return mart.sql(
        f"""
        WITH largest AS (
            SELECT author FROM market_share_weekly GROUP BY author
            ORDER BY sum(tokens) DESC, author LIMIT {int(authors)}
        ),
        named AS (
            SELECT week, tokens, CASE WHEN author IN (FROM largest) THEN author ELSE '{REST}' END AS author
            FROM market_share_weekly
        )
        SELECT week, author, CAST(sum(tokens) AS BIGINT) AS tokens,
            CAST(sum(tokens) AS DOUBLE) / nullif(sum(sum(tokens)) OVER (PARTITION BY week), 0) AS share
        FROM named GROUP BY week, author ORDER BY week, tokens DESC, author
        """
    ).pl()


def models(mart: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return ``model, author, tokens, requests, share, cost_usd, success`` over all weeks, most tokens first."""
    return mart.sql(
        """
        SELECT model, author,
            CAST(sum(prompt_tokens + completion_tokens) AS BIGINT) AS tokens,
            CAST(sum(requests) AS BIGINT) AS requests,
            sum(prompt_tokens + completion_tokens) / nullif(sum(sum(prompt_tokens + completion_tokens)) OVER (), 0)
                AS share,
            sum(cost_nano) / 1e9 AS cost_usd,
            sum(succeeded) / nullif(sum(requests) - sum(cancelled), 0) AS success
        FROM usage_hourly WHERE model IS NOT NULL
        GROUP BY model, author ORDER BY tokens DESC, model
        """
    ).pl()
