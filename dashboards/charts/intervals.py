"""Draw estimates with their intervals, side by side and over time."""

from __future__ import annotations

from datetime import date
from typing import Any

import altair as alt
import polars as pl

from dashboards.charts.over_time import UTC, legend_below, paler, time_axis
from dashboards.time_range import Grain, period_end

WORDS = {"better": "#0a7d3c", "unclear": "#b58900", "worse": "#b3261e"}
_WORD: Any = alt.Color(
    "word:N", title=None, legend=legend_below(), scale=alt.Scale(domain=[*WORDS], range=[*WORDS.values()])
)


def intervals(
    frame: pl.DataFrame,
    label: str,
    value: str,
    low: str,
    high: str,
    n: str,
    *,
    title: str,
    number_format: str,
    few: int,
) -> Any:
    """Draw ``value`` of each ``label`` with its interval in the frame's order, coloured by the column ``word``.

    The dots of fewer than ``few`` in the column ``n`` are hollow. One without an interval has none.
    """
    order = frame[label].to_list()
    y = alt.Y(f"{label}:N", sort=order, title=None, axis=alt.Axis(labelLimit=280))
    line = (
        alt.Chart(frame.drop_nulls(low))
        .mark_rule(strokeWidth=2)
        .encode(y=y, x=alt.X(f"{low}:Q"), x2=alt.X2(f"{high}:Q"), color=_WORD)
    )
    dot = (
        alt.Chart(frame)
        .mark_point(filled=True, size=80, opacity=1)
        .encode(
            x=alt.X(f"{value}:Q", title=title, axis=alt.Axis(format=number_format)),
            y=y,
            color=_WORD,
            fillOpacity=alt.FillOpacityValue(1, condition=paler(few, 0, n)),
            tooltip=[
                alt.Tooltip(label),
                *_tips(value, low, high, number_format),
                alt.Tooltip(f"{n}:Q", title="n", format=","),
            ],
        )
    )
    return alt.layer(_zero("x"), line, dot, height=alt.Step(26))


def intervals_over_time(
    frame: pl.DataFrame, value: str, grain: Grain, as_of: date, *, title: str, number_format: str, few: int
) -> Any:
    """Draw ``value`` of each period with its interval ``<value>_low`` to ``<value>_high``, coloured by ``word``.

    The interval of a period that has not ended on the day ``as_of`` is dashed; dots of fewer than ``few`` requests are
    hollow.
    """
    low, high = f"{value}_low", f"{value}_high"
    drawn = frame.with_columns(pl.col("period").dt.strftime("%Y-%m-%d").alias("from"))
    ended = pl.col("period").map_elements(lambda day: period_end(day, grain) <= as_of, pl.Boolean)
    x = alt.X("period:T", title=None, scale=UTC, axis=time_axis(frame, grain, 6))
    line = alt.Chart(drawn).mark_line(color="#8a8f98", strokeWidth=1, opacity=0.6).encode(x=x, y=alt.Y(f"{value}:Q"))

    def rules(rows: pl.DataFrame, dash: list[int]) -> Any:
        chart = alt.Chart(rows.drop_nulls(low)).mark_rule(strokeWidth=2, strokeDash=dash)
        return chart.encode(x=x, y=alt.Y(f"{low}:Q"), y2=alt.Y2(f"{high}:Q"), color=_WORD)

    dots = (
        alt.Chart(drawn)
        .mark_point(filled=True, size=50, opacity=1)
        .encode(
            x=x,
            y=alt.Y(f"{value}:Q", title=title, axis=alt.Axis(format=number_format)),
            color=_WORD,
            fillOpacity=alt.FillOpacityValue(1, condition=paler(few, 0)),
            tooltip=[
                alt.Tooltip("from:N", title="From"), *_tips(value, low, high, number_format),
                alt.Tooltip("requests:Q", title="n (requests)", format=","),
            ],
        )
    )  # fmt: skip
    whole, dashed = rules(drawn.filter(ended), [1, 0]), rules(drawn.filter(~ended), [4, 4])
    return alt.layer(_zero("y"), line, whole, dashed, dots, height=320)


def _tips(value: str, low: str, high: str, number_format: str) -> list[Any]:
    named = ((value, value.capitalize()), (low, "From, 95 %"), (high, "To, 95 %"))
    return [alt.Tooltip(f"{name}:Q", title=title, format=number_format) for name, title in named]


def _zero(axis: str) -> Any:
    return alt.Chart(pl.DataFrame({"zero": [0.0]})).mark_rule(strokeDash=[4, 4], color="#8a8f98").encode(
        **{axis: alt.X("zero:Q") if axis == "x" else alt.Y("zero:Q")}
    )  # fmt: skip
