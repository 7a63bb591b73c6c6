"""Compute quantiles of many histograms at once, as ``data.histogram.quantile`` does of one."""

from __future__ import annotations

import polars as pl

from data.histogram import BASE


def medians(rows: pl.DataFrame, key: str, per_unit: float) -> pl.DataFrame:
    """Return the ``quantiles`` of one half."""
    return quantiles(rows, key, per_unit, 0.5)


def quantiles(rows: pl.DataFrame, key: str, per_unit: float, level: float) -> pl.DataFrame:
    """Return ``<key>, name, value, requests`` of histograms given as ``<key>, name, bucket, n``, in order.

    ``value`` is the quantile at ``level``, of which ``per_unit`` are a unit; ``requests`` is the number of
    measurements.
    """
    over = [key, "name"]
    summed = rows.sort(*over, "bucket").with_columns(
        seen=pl.col("n").cum_sum().over(over), requests=pl.col("n").sum().over(over)
    )
    reached = summed.filter(pl.col("seen") >= pl.col("requests") * level).group_by(over, maintain_order=True).first()
    value = (pl.lit(BASE).pow(pl.col("bucket") + 0.5) / per_unit).alias("value")
    return reached.select(key, "name", value, "requests")
