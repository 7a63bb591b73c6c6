"""Query market shares over time, and derive leaders, newcomers and concentration from them."""

from __future__ import annotations

from datetime import date

import duckdb
import polars as pl

from dashboards.queries.layers import folded
from dashboards.queries.periods import rows_between
from dashboards.time_range import GRAINS, Grain, Span, TimeRange
from data.catalogue import load_catalogue

TABLES: dict[Grain, str] = {"day": "market_share_daily", "week": "market_share_weekly", "month": "market_share_monthly"}


def history(mart: duckdb.DuckDBPyConnection, time_range: TimeRange) -> pl.DataFrame:
    """Return ``period, author, model, tokens, requests`` of the range by its grain, in order."""
    assert time_range.grain in GRAINS
    return mart.execute(
        f"""
        SELECT {time_range.grain} AS period, author, model, tokens, requests
        FROM {TABLES[time_range.grain]} WHERE {time_range.grain} >= ? AND {time_range.grain} < ?
        ORDER BY period, author, model
        """,
        [time_range.begin, time_range.end],
    ).pl()


def first_days(mart: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Return ``model, first_day``: when each model first had tokens."""
    sql = "SELECT model, min(day) AS first_day FROM market_share_daily WHERE tokens > 0 GROUP BY model ORDER BY model"
    return mart.execute(sql).pl()


def models(mart: duckdb.DuckDBPyConnection, time_range: Span) -> pl.DataFrame:
    """Return ``model, author, tokens, requests, share, cost_usd, success`` of the range, most tokens first."""
    return mart.execute(
        f"""
        SELECT model, author,
            CAST(sum(prompt_tokens + completion_tokens) AS BIGINT) AS tokens,
            CAST(sum(requests) AS BIGINT) AS requests,
            sum(prompt_tokens + completion_tokens) / nullif(sum(sum(prompt_tokens + completion_tokens)) OVER (), 0)
                AS share,
            sum(cost_nano) / 1e9 AS cost_usd,
            sum(succeeded) / nullif(sum(requests) - sum(cancelled), 0) AS success
        FROM {rows_between("usage_hourly", time_range.begin, time_range.end)} WHERE model IS NOT NULL
        GROUP BY model, author ORDER BY tokens DESC, model
        """
    ).pl()


def shares(rows: pl.DataFrame, by: str, shown: int) -> pl.DataFrame:
    """Return ``period, name, tokens, requests, share, base, place`` of the ``shown`` largest; the rest are ``others``.

    ``place`` is the order of layers, the largest over all periods first and ``others`` last, the same in each period;
    ``base`` is the share of the layers before.
    """
    order = [name for name in totals(rows, by)["name"].to_list() if name is not None][:shown]
    placed = folded(rows.rename({by: "name"}), order, "tokens")
    return placed.with_columns(share=_share(pl.col("tokens").sum().over("period"))).with_columns(
        base=pl.col("share").cum_sum().over("period") - pl.col("share")
    )


def totals(rows: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return ``name, tokens, requests, share, rank`` of all periods together, most tokens first."""
    made = rows.group_by(pl.col(by).alias("name")).agg(pl.col("tokens", "requests").sum())
    made = made.sort("tokens", "name", descending=[True, False])
    return made.with_columns(share=_share(pl.col("tokens").sum()), rank=pl.int_range(1, pl.len() + 1))


def _share(whole: pl.Expr) -> pl.Expr:
    """Return the share of the tokens in ``whole``, null where that is 0."""
    return pl.when(whole > 0).then(pl.col("tokens") / whole)


def leaders(rows: pl.DataFrame, before: pl.DataFrame, by: str, few: int) -> pl.DataFrame:
    """Return ``rank, name, share, change, tokens, growth, requests``.

    ``change`` is the share less that of the range before, ``growth`` the change of tokens over those before; both are
    null for a name that the range before does not have, and growth for one with fewer than ``few`` requests then.
    """
    then = totals(before, by).select("name", share_before="share", tokens_before="tokens", n="requests")
    joined = totals(rows, by).join(then, on="name", how="left", maintain_order="left")
    known = (pl.col("tokens_before") > 0) & (pl.col("n") >= few)
    return joined.select(
        "rank", "name", "share",
        (pl.col("share") - pl.col("share_before")).alias("change"),
        "tokens",
        pl.when(known).then(pl.col("tokens") / pl.col("tokens_before") - 1).alias("growth"),
        "requests",
    )  # fmt: skip


def newcomers(rows: pl.DataFrame, first: pl.DataFrame, time_range: TimeRange, data_begin: date) -> pl.DataFrame:
    """Return ``name, first_day, share, tokens, requests`` of models that first had tokens in the range.

    A model of the first day of all data may be older than the data, and is left out.
    """
    new = first.filter((pl.col("first_day") >= time_range.begin) & (pl.col("first_day") > data_begin))
    found = totals(rows, "model").join(new, left_on="name", right_on="model")
    return found.sort("tokens", "name", descending=[True, False]).select(
        "name", "first_day", "share", "tokens", "requests"
    )


def fading(rows: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Return ``name, share_before, share, tokens, requests`` of models that lost more than half of their share."""
    now = totals(rows, "model").select("name", "share", "tokens", "requests")
    then = totals(before, "model").select("name", share_before="share")
    joined = then.join(now, on="name", how="left").with_columns(pl.col("share", "tokens", "requests").fill_null(0))
    lost = joined.filter((pl.col("share_before") > 0) & (pl.col("share") < pl.col("share_before") / 2))
    return lost.sort(pl.col("share") - pl.col("share_before"), "name").select(
        "name", "share_before", "share", "tokens", "requests"
    )


def weights(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with ``weights``: open, closed, or unknown for a model that the catalogue does not have."""
    known = load_catalogue().models
    names = rows["model"].unique().to_list()
    words = {
        name: "unknown" if name not in known else "open" if known[name].open_weights else "closed" for name in names
    }
    return rows.with_columns(weights=pl.col("model").replace_strict(words, default="unknown", return_dtype=pl.String))


def concentration(rows: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return ``period, index, first, three, requests``: the Herfindahl index (the sum of squared shares, 0 to 1), the
    share of the largest, and of the largest three."""
    named = (
        rows.group_by("period", by)
        .agg(pl.col("tokens", "requests").sum())
        .sort("period", "tokens", descending=[False, True])
    )
    total = pl.col("tokens").sum().over("period")
    shared = named.with_columns(share=pl.when(total > 0).then(pl.col("tokens") / total)).drop_nulls("share")
    return (
        shared.group_by("period", maintain_order=True)
        .agg(
            (pl.col("share") ** 2).sum().alias("index"),
            pl.col("share").first().alias("first"),
            pl.col("share").head(3).sum().alias("three"),
            pl.col("requests").sum(),
        )
        .sort("period")
    )
