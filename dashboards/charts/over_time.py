"""Draw amounts and shares over time: stacked bars and lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import altair as alt
import polars as pl

from dashboards.time_range import Grain, period_end

HATCHES = 16
GAP = 0.06
# Days are those of UTC, wherever the browser is.
UTC = alt.Scale(type="utc")


def stacked_shares(
    frame: pl.DataFrame,
    grain: Grain,
    as_of: date,
    colour: Callable[[str], str],
    few: int,
    *,
    as_share: bool,
    title: str,
) -> Any:
    """Draw bars as wide as their period, layers in the order of ``place``; the running period is hatched.

    Layers that stand on fewer than ``few`` requests are pale. ``frame`` is that of ``queries.market.shares``.
    """
    if as_share:
        drawn = frame.with_columns(low=pl.col("base"), high=pl.col("base") + pl.col("share"))
        y_axis = alt.Y("low:Q", title="Share of tokens", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    else:
        drawn = _stacked(frame, "tokens")
        y_axis = alt.Y("low:Q", title="Tokens", axis=alt.Axis(format="~s"))
    tooltip = [
        alt.Tooltip("share:Q", title="Share", format=".1%"),
        alt.Tooltip("tokens:Q", title="Tokens", format=","),
    ]
    return _bars(drawn, grain, as_of, colour, few, y_axis, title, tooltip)


def stacked_amounts(
    frame: pl.DataFrame,
    grain: Grain,
    as_of: date,
    colour: Callable[[str], str],
    few: int,
    *,
    title: str,
    y_title: str,
    number_format: str,
) -> Any:
    """Draw the same of the column ``value``. ``frame`` is that of ``queries.layers.largest``."""
    y_axis = alt.Y("low:Q", title=y_title, axis=alt.Axis(format=number_format))
    tooltip = [alt.Tooltip("value:Q", title=y_title, format=number_format)]
    return _bars(_stacked(frame, "value"), grain, as_of, colour, few, y_axis, title, tooltip)


def _stacked(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    high = pl.col(column).cum_sum().over("period")
    return frame.with_columns(low=high - pl.col(column), high=high)


def _bars(
    frame: pl.DataFrame,
    grain: Grain,
    as_of: date,
    colour: Callable[[str], str],
    few: int,
    y_axis: Any,
    title: str,
    tooltip: Sequence[Any],
) -> Any:
    drawn = with_ends(frame, grain)
    names = drawn.sort("place")["name"].unique(maintain_order=True).to_list()
    bars = (
        alt.Chart(drawn.drop("period", "end", "place", "base", strict=False))
        .mark_rect()
        .encode(
            x=alt.X("begin:T", title=None, scale=UTC, axis=time_axis(drawn, grain, 12)),
            x2=alt.X2("stop:T"),
            y=y_axis,
            y2=alt.Y2("high:Q"),
            color=alt.Color(
                "name:N", title=title, sort=names,
                scale=alt.Scale(domain=names, range=[colour(name) for name in names]),
                legend=legend_below(names),
            ),
            opacity=alt.OpacityValue(1.0, condition=paler(few, 0.45)),
            tooltip=[
                alt.Tooltip("from:N", title="From"), alt.Tooltip("name:N", title=title), *tooltip,
                alt.Tooltip("requests:Q", title="n (requests)", format=","),
            ],
        )
    )  # fmt: skip
    return alt.layer(bars, _hatching(drawn, grain, as_of), height=420)


def lines(
    frame: pl.DataFrame,
    names: Sequence[str],
    colours: Sequence[str],
    y_title: str,
    grain: Grain,
    as_of: date,
    *,
    number_format: str = ".1%",
    few: int = 0,
    from_zero: bool = True,
) -> Any:
    """Draw a line for each of ``names`` over time, dashed to the running period.

    ``frame`` has ``period, name, value, requests``; values are shares, unless ``number_format`` says otherwise. Points
    of fewer than ``few`` requests are hollow.
    """
    last = max((day for day in frame["period"].unique() if period_end(day, grain) <= as_of), default=date.min)
    return dashed_lines(frame.with_columns(_FROM), last, names, colours, y_title, time_axis(frame, grain, 6),
                        number_format=number_format, few=few, from_zero=from_zero)  # fmt: skip


def dashed_lines(
    frame: pl.DataFrame,
    last: date,
    names: Sequence[str],
    colours: Sequence[str],
    y_title: str,
    axis: Any,
    *,
    number_format: str,
    few: int,
    from_zero: bool = True,
    from_title: str = "From",
    point_size: int = 26,
) -> Any:
    """Draw a line for each of ``names``: whole up to the period ``last``, dashed after it, with a point for each row.

    The column ``from`` of ``frame`` is the period in words.
    """
    scale = alt.Scale(domain=list(names), range=list(colours))
    # An axis from 0 to 0 has labels that mean nothing.
    y_scale = alt.Scale(zero=from_zero) if frame["value"].max() else alt.Scale(domain=[0, 1])
    axis_format = "%" if number_format.endswith("%") and from_zero else number_format
    # The browser gets the rows once, and each layer filters them.
    side = (pl.col("period") >= last).cast(pl.Int8) + (pl.col("period") > last).cast(pl.Int8)
    drawn = alt.Chart(frame.select("period", "name", "value", "requests", "from", side=side)).encode(
        x=alt.X("period:T", title=None, scale=UTC, axis=axis),
        y=alt.Y("value:Q", title=y_title, axis=alt.Axis(format=axis_format), scale=y_scale),
        color=alt.Color("name:N", title=None, scale=scale, legend=legend_below(names)),
    )
    points = drawn.mark_point(filled=True, size=point_size).encode(
        fillOpacity=alt.FillOpacityValue(1, condition=paler(few, 0)),
        tooltip=[
            alt.Tooltip("from:N", title=from_title), alt.Tooltip("name"),
            alt.Tooltip("value:Q", title=y_title, format=number_format),
            alt.Tooltip("requests:Q", title="n (requests)", format=","),
        ],
    )  # fmt: skip
    whole = drawn.mark_line().transform_filter("datum.side < 2")
    dashed = drawn.mark_line(strokeDash=[4, 4]).transform_filter("datum.side > 0")
    # The legend takes its rows from the height, two names in each on a narrow screen.
    return alt.layer(whole, dashed, points, height=240 + 11 * max(len(names), 3))


def legend_below(names: Sequence[str] = ()) -> Any:
    """Return a legend of ``names`` below the chart, with as many columns as its width has room for, at most four.

    On a narrow screen models are named without their authors, which their colours tell, and where that is still too
    long for two columns there is one.
    """
    longest = max((len(name.rpartition("/")[2]) for name in names), default=0)
    columns = f"max(width < 2 * {26 + 6 * longest} ? 1 : 2, min(4, floor(width / 180)))"
    return alt.Legend(
        orient="bottom",
        columns=alt.ExprRef(columns),
        labelLimit=alt.ExprRef(f"width / {columns} - 26"),
        labelExpr="width < 360 ? slice(datum.label, lastindexof(datum.label, '/') + 1) : datum.label",
    )


def paler(few: int, opacity: float, n: str = "requests") -> Any:
    """Return the condition that gives ``opacity`` to what stands on fewer than ``few`` in the column ``n``."""
    return {"test": f"datum['{n}'] < {few}", "value": opacity}


_FROM = pl.col("period").dt.strftime("%Y-%m-%d").alias("from")
_FORMATS: dict[Grain, str] = {"day": "%d %b", "week": "%d %b %y", "month": "%b %Y"}


def time_axis(frame: pl.DataFrame, grain: Grain, most: int) -> Any:
    """Return a time axis that names the begin of at most ``most`` periods, the last of them among these."""
    periods = frame["period"].unique().sort(descending=True).to_list()
    named = periods[:: -(-len(periods) // most)] if periods else []
    values = [alt.DateTime(year=day.year, month=day.month, date=day.day, utc=True) for day in named]
    return alt.Axis(format=_FORMATS[grain], values=values, labelOverlap="greedy")


def with_ends(frame: pl.DataFrame, grain: Grain) -> pl.DataFrame:
    """Return the frame with ``begin`` and ``stop`` of each bar, which leaves a gap before the next."""
    ends = [period_end(day, grain) for day in frame["period"].to_list()]
    begin = pl.col("period").cast(pl.Datetime("ms"))
    made = frame.with_columns(_FROM, begin=begin, end=pl.Series(ends, dtype=pl.Date).cast(pl.Datetime("ms")))
    return made.with_columns(stop=pl.col("end") - (pl.col("end") - pl.col("begin")) * GAP)


def _hatching(drawn: pl.DataFrame, grain: Grain, as_of: date) -> Any:
    """Draw diagonal lines over the last period if it has not ended on the day ``as_of``."""
    begin = drawn["period"].max()
    rows: list[dict[str, Any]] = []
    if isinstance(begin, date) and period_end(begin, grain) > as_of:
        last = drawn.filter(pl.col("period") == begin)
        top, left, right = last["high"].to_list()[-1], last["begin"][0], last["stop"][0]
        step = float(top) / HATCHES
        rows = [{"begin": left, "stop": right, "low": step * n, "high": step * (n + 1)} for n in range(HATCHES)]
    kinds: Any = {"begin": pl.Datetime("ms"), "stop": pl.Datetime("ms"), "low": pl.Float64, "high": pl.Float64}
    return alt.Chart(pl.DataFrame(rows, schema=kinds)).mark_rule(color="#ffffff", strokeWidth=2, opacity=0.75).encode(
        x=alt.X("begin:T", scale=UTC), x2=alt.X2("stop:T"), y=alt.Y("low:Q"), y2=alt.Y2("high:Q")
    )  # fmt: skip
