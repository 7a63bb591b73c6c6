"""Draw the lives of versions: a row for each, with the states that it was in and the moments at which they began."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import altair as alt
import polars as pl

from dashboards.charts.over_time import legend_below

STATES = {
    "candidate": "#b0b7bf",
    "shadow": "#6b7280",
    "canary": "#e0b04a",
    "champion": "#0a7d3c",
    "retired": "#5a93b8",
    "rejected": "#b3261e",
    "rolled back": "#7a1f6b",
}


def lives(frame: pl.DataFrame, begin: datetime, end: datetime) -> Any:
    """Draw ``version, state, begin, end, why`` from ``begin`` to ``end`` (UTC), rows in the frame's order.

    A state that lasted is a bar from its begin to its end, and each begin is a dot. A bar that goes on has a dashed
    border.
    """
    order = frame["version"].unique(maintain_order=True).to_list()
    drawn = frame.with_columns(
        pl.col("begin").dt.strftime("%Y-%m-%d %H:%M").alias("since"),
        pl.col("begin").clip(lower_bound=begin).alias("shown"),
    )
    x = alt.X("shown:T", title="UTC", scale=alt.Scale(type="utc", domain=[_moment(begin), _moment(end)]))
    y = alt.Y("version:N", sort=order, title=None, axis=alt.Axis(labelLimit=220), scale=alt.Scale(paddingInner=0.4))
    colour = alt.Color(
        "state:N", title=None, scale=alt.Scale(domain=[*STATES], range=[*STATES.values()]), legend=legend_below()
    )
    tooltip = [
        alt.Tooltip("version"),
        alt.Tooltip("state"),
        alt.Tooltip("since:N", title="Since, UTC"),
        alt.Tooltip("why:N", title="Why"),
    ]
    lasted = alt.Chart(drawn.drop_nulls("end"))
    bars = lasted.mark_bar(opacity=0.8).encode(x=x, x2=alt.X2("end:T"), y=y, color=colour, tooltip=tooltip)
    running = alt.Chart(drawn.filter(pl.col("end") >= end)).mark_bar(
        filled=False, stroke="#8a8f98", strokeDash=[3, 3], strokeWidth=1
    ).encode(x=x, x2=alt.X2("end:T"), y=y)  # fmt: skip
    steps = drawn.filter(pl.col("begin") >= begin)
    dots = alt.Chart(steps).mark_point(filled=True, size=70, opacity=1).encode(
        x=x, y=y, color=colour, tooltip=tooltip
    )  # fmt: skip
    return alt.layer(bars, running, dots, height=alt.Step(28))


def _moment(moment: datetime) -> Any:
    return alt.DateTime(
        year=moment.year, month=moment.month, date=moment.day, hours=moment.hour, minutes=moment.minute, utc=True
    )
