"""Draw lines by the hour, for ranges of a few days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import altair as alt
import polars as pl

from dashboards.charts.over_time import UTC, legend_below

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
    ended = drawn.filter(pl.col("period") + HOUR <= until)
    running = drawn.filter(pl.col("period") >= (ended["period"].max() or datetime.min))
    scale = alt.Scale(domain=list(names), range=list(colours))

    def chart(rows: pl.DataFrame) -> Any:
        return alt.Chart(rows).encode(
            x=alt.X("period:T", title=None, scale=UTC, axis=alt.Axis(format="%d %b %H:%M", tickCount=6,
                                                                     labelOverlap="greedy")),
            y=alt.Y("value:Q", title=y_title, axis=alt.Axis(format=number_format), scale=alt.Scale(zero=True)),
            color=alt.Color("name:N", title=None, scale=scale, legend=legend_below()),
            tooltip=[
                alt.Tooltip("from:N", title="From, UTC"), "name",
                alt.Tooltip("value:Q", title=y_title, format=number_format),
                alt.Tooltip("requests:Q", title="n (requests)", format=","),
            ],
        )  # fmt: skip

    points = (
        chart(drawn)
        .mark_point(filled=True, size=18)
        .encode(fillOpacity=alt.condition(f"datum.requests < {few}", alt.value(0), alt.value(1)))
    )
    whole, dashed = chart(ended).mark_line(), chart(running).mark_line(strokeDash=[4, 4])
    return (whole + dashed + points).properties(height=240 + 11 * max(len(names), 3))
