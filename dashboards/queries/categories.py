"""Derive shares, leads, prices and profiles from the tokens of each category, tag or language over time."""

from __future__ import annotations

from datetime import date

import polars as pl

from dashboards.queries.market import totals
from dashboards.time_range import Grain, period_end

PER_MILLION = 1e6


def with_author(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of models with ``author``, and with ``model`` for ``name``."""
    return rows.rename({"name": "model"}).with_columns(author=pl.col("model").str.split("/").list.first())


def leads(rows: pl.DataFrame, by: str, grain: Grain, as_of: date, few: int) -> pl.DataFrame:
    """Return ``value, leader, since, share, before, tokens, requests`` of each value, most tokens first.

    The leader is who had most tokens of the last period that had ended on the day ``as_of``, and has led ``since``
    the begin of the first period of an unbroken run; ``before`` led before. Periods in which a value has fewer than
    ``few`` requests are passed over. ``share`` is of the last period's tokens; the sums are those of all periods.
    """
    ended = rows.filter(pl.col("period").map_elements(lambda day: period_end(day, grain) <= as_of, pl.Boolean))
    named = ended.group_by("value", "period", by).agg(pl.col("tokens", "requests").sum())
    over = ["value", "period"]
    named = named.with_columns(whole=pl.col("tokens").sum().over(over), n=pl.col("requests").sum().over(over))
    first = named.filter((pl.col("n") >= few) & (pl.col("whole") > 0)).sort("tokens", by, descending=[True, False])
    first = first.group_by(over).first().sort("value", "period")
    made = []
    for (value,), group in first.group_by("value", maintain_order=True):
        leaders, periods = group[by].to_list(), group["period"].to_list()
        begin = next((n for n in range(len(leaders), 0, -1) if leaders[n - 1] != leaders[-1]), 0)
        made.append((value, leaders[-1], periods[begin], group["tokens"][-1] / group["whole"][-1],
                     leaders[begin - 1] if begin else None))  # fmt: skip
    schema = {"value": pl.String, "leader": pl.String, "since": pl.Date, "share": pl.Float64, "before": pl.String}
    sums = totals(rows, "value").select("tokens", "requests", value="name")
    found = pl.DataFrame(made, schema=schema, orient="row").join(sums, on="value")
    return found.sort("tokens", "value", descending=[True, False])


def prices(rows: pl.DataFrame) -> pl.DataFrame:
    """Return ``model, author, usd_per_million, tokens, requests`` of models that cost something, most tokens first."""
    summed = rows.group_by("model", "author").agg(pl.col("tokens", "requests", "cost_usd").sum())
    paid = summed.filter((pl.col("tokens") > 0) & (pl.col("cost_usd") > 0))
    made = paid.with_columns(usd_per_million=pl.col("cost_usd") / pl.col("tokens") * PER_MILLION)
    return made.sort("tokens", "model", descending=[True, False]).select(
        "model", "author", "usd_per_million", "tokens", "requests"
    )


def profiles(rows: pl.DataFrame, authors: int, values: int) -> pl.DataFrame:
    """Return ``author, value, share, tokens, requests``: the mix of each of the largest authors, largest first.

    Values beyond the ``values`` largest are left out; shares are of all tokens of the author.
    """
    kept = totals(rows, "author")["name"].head(authors).to_list()
    order = totals(rows, "value")["name"].head(values).to_list()
    mixed = rows.group_by("author", "value").agg(pl.col("tokens", "requests").sum())
    whole = pl.col("tokens").sum().over("author")
    mixed = mixed.with_columns(share=pl.when(whole > 0).then(pl.col("tokens") / whole)).drop_nulls("share")
    found = mixed.filter(pl.col("author").is_in(kept) & pl.col("value").is_in(order))
    places = [pl.col(name).replace_strict(listed, list(range(len(listed))), return_dtype=pl.Int64)
              for name, listed in (("author", kept), ("value", order))]  # fmt: skip
    return found.sort(*places).select("author", "value", "share", "tokens", "requests")
