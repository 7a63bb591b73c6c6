"""Show the controls that pages share, bound to the URL, and the frame around a chart: title, definition, table, CSV."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import altair as alt
import polars as pl
import streamlit as st

from dashboards.access import ask
from dashboards.charts.images import png, renders
from dashboards.charts.specifications import specification
from dashboards.comparison import Comparison
from dashboards.defaults import follow_default
from dashboards.plain_text import plain
from dashboards.queries.freshness import freshness
from dashboards.request_list import RequestsOf, list_requests
from dashboards.slice_controls import windows_of
from dashboards.sources import chosen_source, demo_badge, source_control
from dashboards.time_range import CUSTOM, GRAINS, PRESETS, TimeRange, range_of

# A figure from fewer requests says little, and is greyed.
FEW = 20
USUAL = "52 weeks"


def choose_time_range(*, with_grain: bool = False, usual: str = USUAL) -> TimeRange:
    """Show data, range and, if wanted, grain in the sidebar; return the range.

    Ends the page with a sentence if there are no data. Ranges end with the last request, so that data that are not
    refreshed are shown too.
    """
    source_control()
    found = ask(freshness)
    if found.first is None or found.last is None:
        st.info("No request has been served yet. Send one, or run `portolan demo-data` for a synthetic market.")
        st.stop()
    first, last = found.first.date(), found.last.date()
    with st.sidebar:
        preset = st.selectbox("Time range", [*PRESETS, CUSTOM], index=list(PRESETS).index(usual), key="range",
                              bind="query-params")  # fmt: skip
        chosen: Any = ()
        if preset == CUSTOM:
            usual_days = (max(first, date(last.year, 1, 1)), last)
            follow_default("days", usual_days)
            chosen = st.date_input("Days", usual_days, key="days", bind="query-params")
        grain = PRESETS.get(preset, (None, "week"))[1] if with_grain else "day"
        if with_grain:
            wanted = st.segmented_control("By", ["auto", *GRAINS], default="auto", key="grain", bind="query-params",
                                          required=True)  # fmt: skip
            grain = next((one for one in GRAINS if one == wanted), grain)
    return range_of(preset, grain, first, last, tuple(chosen or ()))


def choose_comparison(time_range: TimeRange) -> Comparison:
    """Show the switch that compares with the range before, and what is compared with what."""
    found = ask(freshness)
    assert found.first is not None and found.last is not None
    with st.sidebar:
        wanted = st.toggle("Compare to the range before", value=True, key="compare", bind="query-params")
        made = Comparison(windows_of(time_range, found.last), wanted, found.first)
        if made.sentence:
            st.caption(made.sentence)
    return made


def card(
    title: str,
    definition: str,
    frame: pl.DataFrame,
    draw: Callable[[], object],
    *,
    requests: RequestsOf | None = None,
    live: bool = False,
) -> None:
    """Frame a chart: its title, whether its data are synthetic, the chart, its definition, and its rows as a table.

    ``draw`` shows the chart; one that it returns can be downloaded as PNG.

    ``requests`` are those that it counts, which are listed one by one when asked for. One that is ``live`` has no
    synthetic data, whatever the page shows.
    """
    source = "live" if live else chosen_source()
    name = re.sub(r"\W+", "-", title.lower()).strip("-")
    with st.container(border=True, key=f"{name}-card"):
        st.markdown(f"**{plain(title)}**{'' if live else demo_badge()}")
        drawn = draw()
        chart = drawn if isinstance(drawn, alt.TopLevelMixin) and renders() else None
        st.caption(plain(definition))
        label = "Table and CSV" if chart is None else "Table, CSV and PNG"
        with st.expander(label, icon=":material/table_rows:", key=f"{name}-table", on_change="rerun") as table:
            if table.open:
                show_table(greyed(frame), alt=f"Rows of the chart {title}")
                file = f"{name}-{source}"
                with st.container(horizontal=True):
                    st.download_button("CSV", frame.write_csv(), f"{file}.csv", "text/csv", key=f"{name}-csv",
                                       icon=":material/download:")  # fmt: skip
                    if chart is not None:
                        # Rendered when it is clicked.
                        st.download_button("PNG", partial(png, chart, title, definition), f"{file}.png", "image/png",
                                           key=f"{name}-png", icon=":material/image:")  # fmt: skip
        if requests is not None:
            with st.expander(
                "Requests", icon=":material/receipt_long:", key=f"{name}-drill", on_change="rerun"
            ) as drill:
                if drill.open:
                    list_requests(requests, name)


def draw_chart(chart: Any, *, alt: str) -> Any:
    """Show a chart that ``alt`` describes, and return it, so that its card can render it as an image."""
    st.vega_lite_chart(specification(chart), alt=alt)
    return chart


def show_table(frame: Any, *, alt: str, column_config: Any = None) -> Any:
    """Show the rows of a chart, or those of a table that has no chart, with a dash for what is not known."""
    return st.dataframe(frame, hide_index=True, placeholder="–", column_config=column_config, alt=alt)


def greyed(frame: pl.DataFrame, n: str = "requests") -> Any:
    """Return the frame for a table; rows that stand on fewer than ``FEW`` of ``n`` are grey."""
    if n not in frame.columns:
        return frame
    few = (frame[n] < FEW).to_list()

    def style(row: Any) -> list[str]:
        return ["color: #9a9a9a" if few[row.name] else ""] * len(row)

    # A styled table would show the time of a day too.
    frame = frame.with_columns(pl.selectors.date().dt.strftime("%Y-%m-%d"))
    return frame.to_pandas().style.apply(style, axis=1)
