"""Fold the rows of a chart to its largest names and the others, in one order over all periods."""

from __future__ import annotations

import polars as pl

from dashboards.colours import REST

UNNAMED = "none named"


def largest(rows: pl.DataFrame, shown: int) -> pl.DataFrame:
    """Return ``period, name, value, requests, place`` of the ``shown`` names with most of ``value``, and ``others``.

    ``rows`` has ``period, name, value, requests``. ``place`` is the order of layers, the same in each period.
    """
    named = rows.with_columns(pl.col("name").fill_null(UNNAMED))
    totals = named.group_by("name").agg(pl.col("value").sum()).sort("value", "name", descending=[True, False])
    order = totals.filter(pl.col("value") > 0)["name"].head(shown).to_list()
    return folded(named, order, "value").filter(pl.col("value") > 0)


def folded(rows: pl.DataFrame, order: list[str], amount: str) -> pl.DataFrame:
    """Return ``period, name, <amount>, requests, place``: the names of ``order`` in that order, then the others."""
    places = pl.DataFrame(
        {"name": [*order, REST], "place": list(range(len(order) + 1))}, schema_overrides={"place": pl.Int64}
    )
    named = rows.with_columns(pl.when(pl.col("name").is_in(order)).then("name").otherwise(pl.lit(REST)).alias("name"))
    summed = named.group_by("period", "name").agg(pl.col(amount, "requests").sum())
    return summed.join(places, on="name").sort("period", "place")
