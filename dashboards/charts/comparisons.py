"""Compare names side by side: bars and ranges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt
import polars as pl

from dashboards.charts.over_time import paler


def quantile_ranges(frame: pl.DataFrame) -> Any:
    """Draw the TTFT of each provider: a line from median to 99th percentile, dots at 50, 90 and 99."""
    kept = frame.drop_nulls("ttft_p50")
    order = kept.sort("ttft_p50")["provider"].to_list()
    base = alt.Chart(kept).encode(y=alt.Y("provider:N", sort=order, title=None))
    line = base.mark_rule(color="#8a8f98", strokeWidth=2).encode(
        x=alt.X("ttft_p50:Q", title="Seconds to the first token"), x2=alt.X2("ttft_p99:Q")
    )
    long = kept.unpivot(
        ["ttft_p50", "ttft_p90", "ttft_p99"], index="provider", variable_name="quantile", value_name="seconds"
    ).with_columns(pl.col("quantile").str.replace("ttft_p", "p"))
    dots = (
        alt.Chart(long)
        .mark_point(filled=True, size=90, opacity=1)
        .encode(
            y=alt.Y("provider:N", sort=order, title=None),
            x=alt.X("seconds:Q"),
            color=alt.Color("quantile:N", title="Percentile"),
            tooltip=[alt.Tooltip("provider"), alt.Tooltip("quantile"), alt.Tooltip("seconds:Q", format=".2f")],
        )
    )
    return alt.layer(line, dots, height=alt.Step(30))


def bars(frame: pl.DataFrame, label: str, value: str, colour: Callable[[str], str], few: int, *, x_title: str) -> Any:
    """Draw a bar of ``value`` (a share of 1) for each ``label``, in the frame's order.

    Each has its own colour; those of fewer than ``few`` requests are pale.
    """
    names = frame[label].to_list()
    base = alt.Chart(frame).encode(
        x=alt.X(f"{value}:Q", title=x_title, axis=alt.Axis(format="%")),
        y=alt.Y(f"{label}:N", sort=names, title=None, axis=alt.Axis(labelLimit=230)),
        tooltip=[
            alt.Tooltip(label),
            alt.Tooltip(f"{value}:Q", title=x_title, format=".1%"),
            alt.Tooltip("requests:Q", title="n (requests)", format=","),
        ],
    )
    bar = base.mark_bar().encode(
        color=alt.Color(
            f"{label}:N", legend=None, scale=alt.Scale(domain=names, range=[colour(name) for name in names])
        ),
        opacity=alt.OpacityValue(1.0, condition=paler(few, 0.45)),
    )
    text = base.mark_text(align="left", dx=4, color="#8a8f98").encode(text=alt.Text(f"{value}:Q", format=".1%"))
    return alt.layer(bar, text, height=alt.Step(24))


def gains_and_losses(
    frame: pl.DataFrame, label: str, won: str, lost: str, *, title: str, number_format: str = ",d", shown: int = 12
) -> Any:
    """Draw for each ``label`` what was won to the right and what was lost to the left, in the frame's order."""
    kept = frame.head(shown)
    long = pl.concat(
        [
            kept.select(label, value=pl.col(won), kind=pl.lit("won"), amount=pl.col(won)),
            kept.select(label, value=-pl.col(lost), kind=pl.lit("lost"), amount=pl.col(lost)),
        ]
    )
    return (
        alt.Chart(long)
        .mark_bar()
        .encode(
            x=alt.X("value:Q", title=title, axis=alt.Axis(format=number_format)),
            y=alt.Y(f"{label}:N", sort=kept[label].to_list(), title=None, axis=alt.Axis(labelLimit=230)),
            color=alt.Color(
                "kind:N",
                title=None,
                scale=alt.Scale(domain=["won", "lost"], range=["#3d8168", "#c0562f"]),
                legend=alt.Legend(orient="bottom"),
            ),
            tooltip=[
                alt.Tooltip(label),
                alt.Tooltip("kind"),
                alt.Tooltip("amount:Q", title=title, format=number_format),
            ],
        )
        .properties(height=alt.Step(24))
    )
