"""Derive rankings from the tokens of a range and of those before it: rank, share, their change, growth and trend."""

from __future__ import annotations

from typing import Literal

import polars as pl

from dashboards.queries.market import totals

Sort = Literal["tokens", "trending"]
SORTS: tuple[Sort, ...] = ("tokens", "trending")
# The trend is against the mean of so many ranges before.
TREND = 3


def ranking(rows: pl.DataFrame, windows: int, few: int, sort: Sort) -> pl.DataFrame:
    """Return ``rank, name, moved, share, change, tokens, growth, requests``, and ``excess`` when sorted by the trend.

    ``rows`` is what ``slices.by_window`` returns of so many ``windows``. ``moved`` is how many ranks a name rose;
    ``change`` is its share less that before. Both are null for a name that the range before does not have, and
    ``growth`` for one with fewer than ``few`` requests in either. ``excess`` is the tokens less their mean in the
    ranges before; names without any are left out.
    """
    now = totals(rows.filter(pl.col("window") == 0), "name").filter(pl.col("tokens") > 0)
    then = totals(rows.filter(pl.col("window") == 1), "name").filter(pl.col("tokens") > 0)
    then = then.select("name", rank_before="rank", share_before="share", tokens_before="tokens", n="requests")
    joined = now.join(then, on="name", how="left", maintain_order="left")
    enough = pl.min_horizontal("n", "requests") >= few
    made = joined.select(
        "rank", "name",
        (pl.col("rank_before") - pl.col("rank")).alias("moved"),
        "share", (pl.col("share") - pl.col("share_before")).alias("change"),
        "tokens", pl.when(enough).then(pl.col("tokens") / pl.col("tokens_before") - 1).alias("growth"),
        "requests",
    )  # fmt: skip
    if sort == "tokens":
        return made
    before = rows.filter(pl.col("window") > 0).group_by("name").agg(usual=pl.col("tokens").sum() / max(windows - 1, 1))
    trend = made.join(before, on="name", how="left", maintain_order="left")
    trend = trend.with_columns(excess=(pl.col("tokens") - pl.col("usual").fill_null(0)).round().cast(pl.Int64))
    return trend.drop("usual").filter(pl.col("excess") > 0).sort("excess", "name", descending=[True, False])


def leaders_by_value(rows: pl.DataFrame, shown: int) -> pl.DataFrame:
    """Return ``value, leader, leader_share, share, tokens, requests`` of the ``shown`` largest values.

    ``rows`` is what ``slices.crossed`` returns; ``share`` is of all values, ``leader_share`` of the value's tokens.
    """
    first = rows.sort("tokens", "name", descending=[True, False]).group_by("value", maintain_order=True).first()
    first = first.select("value", leader="name", first="tokens")
    summed = totals(rows, "value").rename({"name": "value"}).join(first, on="value", maintain_order="left")
    whole = pl.col("tokens") > 0
    return summed.head(shown).select(
        "value", "leader", pl.when(whole).then(pl.col("first") / pl.col("tokens")).alias("leader_share"),
        "share", "tokens", "requests",
    )  # fmt: skip


def shares_within(rows: pl.DataFrame, values: int, names: int) -> pl.DataFrame:
    """Return ``value, name, share, tokens, requests``: the largest names' shares of the largest values' tokens."""
    order = totals(rows, "value")["name"].head(values).to_list()
    kept = totals(rows, "name")["name"].head(names).to_list()
    whole = pl.col("tokens").sum().over("value")
    shared = rows.with_columns(share=pl.when(whole > 0).then(pl.col("tokens") / whole))
    found = shared.filter(pl.col("value").is_in(order) & pl.col("name").is_in(kept))
    place = pl.col("name").replace_strict(kept, list(range(len(kept))), return_dtype=pl.Int64)
    return found.sort(place, "value").select("value", "name", "share", "tokens", "requests").drop_nulls("share")
