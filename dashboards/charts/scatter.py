"""Draw names by two amounts on logarithmic axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import altair as alt
import polars as pl

from dashboards.charts.over_time import legend_below, paler

LABELLED = 8


def price_against_use(frame: pl.DataFrame, colour: Callable[[str], str], few: int) -> Any:
    """Draw a point for each model: USD a million tokens against tokens, in its author's colour.

    Dashed lines are the medians of both. The models with most tokens are named; those of fewer than ``few`` requests
    are pale. ``frame`` is that of ``queries.categories.prices``.
    """
    authors = frame["author"].unique(maintain_order=True).to_list()
    drawn = frame.with_columns(
        label=pl.when(pl.int_range(pl.len()) < LABELLED)
        .then(pl.col("model").str.split("/").list.last())
        .otherwise(pl.lit(""))
    )
    base = alt.Chart(drawn).encode(
        x=alt.X("usd_per_million:Q", title="USD a million tokens, caches included", scale=alt.Scale(type="log"),
                axis=alt.Axis(format="$~g", grid=False, labelOverlap="greedy")),
        y=alt.Y("tokens:Q", title="Tokens", scale=alt.Scale(type="log"),
                axis=alt.Axis(format="~s", grid=False, labelOverlap="greedy")),
        opacity=alt.OpacityValue(1.0, condition=paler(few, 0.4)),
        tooltip=[
            alt.Tooltip("model"), alt.Tooltip("usd_per_million:Q", title="USD a million tokens", format="$,.3f"),
            alt.Tooltip("tokens:Q", title="Tokens", format=","),
            alt.Tooltip("requests:Q", title="n (requests)", format=","),
        ],
    )  # fmt: skip
    points = base.mark_point(filled=True, size=110).encode(
        color=alt.Color(
            "author:N", title="Author", scale=alt.Scale(domain=authors, range=[colour(name) for name in authors]),
            legend=legend_below(),
        )
    )  # fmt: skip
    # On a narrow screen names would lie over each other; points say theirs when they are touched.
    size = alt.ExprRef("width < 450 ? 0 : 11")
    text = base.mark_text(align="left", dx=8, fontSize=size, color="#8a8f98").encode(text=alt.Text("label:N"))
    middle = drawn.select(pl.col("usd_per_million", "tokens").median())
    rules = alt.Chart(middle).mark_rule(strokeDash=[4, 4], color="#8a8f98")
    return (rules.encode(x=alt.X("usd_per_million:Q")) + rules.encode(y=alt.Y("tokens:Q")) + points + text).properties(
        height=420
    )
