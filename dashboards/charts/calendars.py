"""Draw calendars of uptime: a cell for each name and period, coloured by how much of the time it answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import altair as alt
import polars as pl

from dashboards.charts.matrices import FAINT
from dashboards.charts.over_time import UTC, legend_below, time_axis, with_ends
from dashboards.time_range import Grain, period_end

BANDS = {
    "≥ 99.9 %": (0.999, "#14538a"),
    "≥ 99 %": (0.99, "#5a93b8"),
    "≥ 95 %": (0.95, "#e0b04a"),
    "< 95 %": (0.0, "#c0562f"),
}


def uptime_calendar(frame: pl.DataFrame, names: Sequence[str], grain: Grain, as_of: date, few: int) -> Any:
    """Draw ``value`` of each period for ``names``, top down; cells of fewer than ``few`` requests are grey.

    ``frame`` has ``period, name, value, requests``. A period that has not ended on the day ``as_of`` has a dashed
    border.
    """
    found = f"n < {few}"
    word: Any = pl.when(pl.col("requests") < few).then(pl.lit(found))
    for name, (least, _) in BANDS.items():
        word = word.when(pl.col("value") >= least).then(pl.lit(name))
    drawn = with_ends(frame, grain).with_columns(word=word.otherwise(pl.lit("< 95 %")))
    running = drawn.filter(pl.col("period").map_elements(lambda day: period_end(day, grain) > as_of, pl.Boolean))
    base = {
        "x": alt.X("begin:T", title=None, scale=UTC, axis=time_axis(drawn, grain, 12)),
        "x2": alt.X2("stop:T"),
        "y": alt.Y(
            "name:N", sort=list(names), title=None, scale=alt.Scale(paddingInner=0.1), axis=alt.Axis(labelLimit=160)
        ),
    }
    cells = (
        alt.Chart(drawn.drop("period", "end"))
        .mark_rect()
        .encode(
            **base,
            color=alt.Color(
                "word:N",
                title="Uptime",
                legend=legend_below(),
                scale=alt.Scale(domain=[*BANDS, found], range=[*(colour for _, colour in BANDS.values()), FAINT]),
            ),
            tooltip=[
                alt.Tooltip("from:N", title="From"),
                alt.Tooltip("name:N", title="Who"),
                alt.Tooltip("value:Q", title="Uptime", format=".2%"),
                alt.Tooltip("requests:Q", title="n", format=","),
            ],
        )
    )
    border = alt.Chart(running).mark_rect(filled=False, stroke="#8a8f98", strokeDash=[2, 2]).encode(**base)
    return alt.layer(cells, border, height=alt.Step(26))
