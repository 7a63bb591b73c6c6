"""Draw matrices: a coloured cell for each pair of names, with its figure where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

LIGHT, DARK = "#e4edf6", "#14538a"
# Half transparent, so that what says little stands back on a dark page too.
FAINT, FAINT_TEXT = "rgba(138, 143, 152, 0.25)", "#7d838d"


def matrix(
    frame: pl.DataFrame,
    x: str,
    y: str,
    value: str,
    *,
    x_order: Sequence[Any],
    y_order: Sequence[Any],
    title: str,
    number_format: str = ".0%",
    few: int = 0,
    x_title: str | None = None,
    y_title: str | None = None,
) -> Any:
    """Draw ``value`` of each ``x`` and ``y``, a share of 1 unless ``number_format`` says otherwise.

    Cells of fewer than ``few`` requests are grey.
    """
    top = max(frame[value].to_list(), default=0) or 1
    # Turned where a name, of some 7 pixels a letter, is wider than its column.
    longest = max((len(str(one)) for one in x_order), default=0)
    long = longest > 6
    narrow = f"width < {len(x_order) * longest * 7}"
    labels = alt.Axis(labelAngle=0, labelOverlap="greedy") if not long else alt.Axis(
        labelLimit=150, labelOverlap=False, labelAngle=alt.ExprRef(f"{narrow} ? -40 : 0"),
        labelAlign=alt.ExprRef(f"{narrow} ? 'right' : 'center'"),
    )  # fmt: skip
    exact = ".1%" if number_format.endswith("%") else number_format
    base = alt.Chart(frame).encode(
        x=alt.X(f"{x}:N", sort=list(x_order), title=x_title, axis=labels),
        y=alt.Y(f"{y}:N", sort=list(y_order), title=y_title, axis=alt.Axis(labelLimit=190)),
        tooltip=[alt.Tooltip(x), alt.Tooltip(y), alt.Tooltip(f"{value}:Q", title=title, format=exact),
                 alt.Tooltip("requests:Q", title="n (requests)", format=",")],
    )  # fmt: skip
    enough = f"datum.requests >= {few}"
    cells = base.mark_rect(cornerRadius=2).encode(
        color=alt.condition(
            enough,
            alt.Color(
                f"{value}:Q", scale=alt.Scale(domain=[0, top], range=[LIGHT, DARK]), title=title,
                legend=alt.Legend(format=number_format, orient="bottom", gradientLength=200),
            ),
            alt.value(FAINT),
        )
    )  # fmt: skip
    text = base.mark_text(fontSize=11, opacity=alt.ExprRef(f"width < {len(x_order) * 30} ? 0 : 1")).encode(
        text=alt.Text(f"{value}:Q", format=number_format),
        color=alt.ColorValue(
            "#1d2b3a",
            condition=[
                {"test": f"datum.requests < {few}", "value": FAINT_TEXT},
                {"test": f"datum['{value}'] > {top * 0.5}", "value": "#ffffff"},
            ],
        ),
    )
    return alt.layer(cells, text, height=alt.Step(28))
