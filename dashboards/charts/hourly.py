"""Draw lines by the hour, for ranges of a few days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import altair as alt
import polars as pl

from dashboards.charts.over_time import dashed_lines

HOUR = timedelta(hours=1)


def hourly_lines(
    frame: pl.DataFrame,
    names: Sequence[str],
    colours: Sequence[str],
    y_title: str,
    until: datetime,
    *,
    number_format: str,
    few: int = 0,
) -> Any:
    """Draw a line for each of ``names``, dashed to the hour that has not ended at ``until`` (UTC, without a zone).

    ``frame`` has ``period, name, value, requests``, where a period is an hour. Points of fewer than ``few`` requests
    are hollow.
    """
    drawn = frame.with_columns(pl.col("period").dt.strftime("%Y-%m-%d %H:%M").alias("from"))
    last = max((hour for hour in frame["period"].unique() if hour + HOUR <= until), default=datetime.min)
    axis = alt.Axis(format="%d %b %H:%M", tickCount=6, labelOverlap="greedy")
    return dashed_lines(drawn, last, names, colours, y_title, axis, number_format=number_format, few=few,
                        from_title="From, UTC", point_size=18)  # fmt: skip
