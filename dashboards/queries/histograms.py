"""Compute medians of many histograms at once, as ``data.histogram.quantile`` does of one."""

from __future__ import annotations

import polars as pl

from data.histogram import BASE


def medians(rows: pl.DataFrame, key: str, per_unit: float) -> pl.DataFrame:
    """Return ``<key>, name, value, requests`` of histograms given as ``<key>, name, bucket, n``, in order.

    ``value`` is the median, of which ``per_unit`` are a unit; ``requests`` is the number of measurements.
    """
    over = [key, "name"]
    summed = rows.sort(*over, "bucket").with_columns(
        seen=pl.col("n").cum_sum().over(over), requests=pl.col("n").sum().over(over)
    )
    middle = summed.filter(pl.col("seen") * 2 >= pl.col("requests")).group_by(over, maintain_order=True).first()
    value = (pl.lit(BASE).pow(pl.col("bucket") + 0.5) / per_unit).alias("value")
    return middle.select(key, "name", value, "requests")
