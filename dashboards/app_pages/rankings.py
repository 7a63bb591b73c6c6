"""Show the ranking of models, authors or apps: of all requests, or of those of a category, a language or a size."""

from functools import partial
from typing import Any

import polars as pl
import streamlit as st

from dashboards.access import ask, foot
from dashboards.charts.comparisons import bars
from dashboards.charts.matrices import matrix
from dashboards.charts.over_time import stacked_shares
from dashboards.colours import author_colour, model_colour, name_colour
from dashboards.comparison import growth
from dashboards.controls import FEW, card, choose_comparison, choose_time_range, draw_chart, greyed, show_table
from dashboards.defaults import follow_default
from dashboards.plain_text import plain
from dashboards.queries.freshness import freshness
from dashboards.queries.market import shares
from dashboards.queries.rankings import SORTS, TREND, leaders_by_value, ranking, shares_within
from dashboards.queries.slices import APP, AUTHOR, FIELDS, LAKE, MODEL, Slice, by_period, by_window, crossed
from dashboards.request_list import RequestsOf
from dashboards.slice_controls import (
    ask_slice,
    choose_filters,
    source_sentence,
    too_long_sentence,
    value_name,
)
from dashboards.sources import observed_until

FILTERS = ("category", "tag", "language", "code", "modality", "context", "tools")


def with_arrows(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with the change of rank as an arrow and a number."""
    if "moved" not in frame.columns:
        return frame
    size = pl.col("moved").abs().cast(pl.String)
    words = pl.when(pl.col("moved") > 0).then(pl.lit("▲ ") + size).when(pl.col("moved") < 0).then(pl.lit("▼ ") + size)
    return frame.with_columns(moved=words.when(pl.col("moved") == 0).then(pl.lit("=")).otherwise(pl.lit("new")))


COUNTED = "Prompt and completion tokens as the providers counted them."

st.title("Rankings")
time_range = choose_time_range(with_grain=True, usual="7 days")
comparison = choose_comparison(time_range)
windows = comparison.windows
with st.sidebar:
    by = st.segmented_control("Rank", [MODEL, AUTHOR, APP], default=MODEL, key="rank", bind="query-params",
                              required=True) or MODEL  # fmt: skip
    sort = st.segmented_control("Order by", SORTS, default="tokens", key="sort", bind="query-params", required=True,
                                help=f"trending: most tokens beyond the mean of the {TREND} ranges before",
                                ) or "tokens"  # fmt: skip
    shown = st.slider("Names shown", 3, 25, 15, key="ranked", bind="query-params")
found = ask(freshness)
assert found.first is not None and found.last is not None
asked = Slice(by, choose_filters(FILTERS, windows))
framed = partial(card, requests=RequestsOf(time_range, asked.filters))
wanted = TREND + 1 if sort == "trending" else 2
reach = [n for n in range(wanted) if comparison.reaches(n)]
if asked.source == LAKE:
    # Single requests are read of the range alone, so that a page does not read more than it shows.
    reach = reach[:1]
count = max(len(reach), 1)
rows = ask_slice(by_window, asked, windows.begin, windows.end, windows, count)
if rows is None:
    st.info(too_long_sentence(asked))
    foot(COUNTED)
    st.stop()
ranked = ranking(rows, count, FEW, sort).head(shown).with_columns(pl.col("change") * 100)
if "excess" in ranked.columns:
    ranked = ranked.select("rank", "name", "excess", pl.exclude("rank", "name", "excess"))
where = f" with {asked.sentence()}" if asked.filters else ""
if ranked.is_empty():
    now = rows.filter(pl.col("window") == 0)
    failed = 0 if now["tokens"].sum() else now["requests"].sum()
    st.info(
        f"No request{plain(where)} from {windows.sentence()} was answered"
        f"{' more often than before' if sort == 'trending' else ''}"
        f"{f': {failed:,} requests failed, see the page Errors' if failed else ''}. "
        "Choose another time range, or leave a filter out."
    )
    foot(COUNTED)
    st.stop()

now, before = rows.filter(pl.col("window") == 0), rows.filter(pl.col("window") == 1)
compare = comparison.wanted and count > 1
with st.container(horizontal=True):
    for label, figure in (
        ("Tokens", pl.sum("tokens")), ("Requests", pl.sum("requests")), (f"{by.title()}s", pl.n_unique("name")),
    ):  # fmt: skip
        value, then = now.select(figure).item(), before.select(figure).item() if compare else None
        st.metric(label, f"{value:,}", growth(value, then), border=True, height="stretch")
    st.metric("First", plain(str(ranked["name"][0])), f"{ranked['share'][0]:.1%} of tokens", delta_color="off",
              delta_arrow="off", border=True)  # fmt: skip

columns: dict[str, Any] = {
    "rank": st.column_config.NumberColumn("#", width=45),
    "moved": st.column_config.TextColumn("Moved", help="How many ranks it rose or fell"),
    "name": by.title(), "value": FIELDS["category"].label,
    "share": st.column_config.ProgressColumn("Share of tokens", format="percent", min_value=0, max_value=1),
    "change": st.column_config.NumberColumn("Change of share", format="%+.1f points"),
    "growth": st.column_config.NumberColumn("Growth of tokens", format="percent"),
    "tokens": st.column_config.NumberColumn("Tokens", format="compact"),
    "excess": st.column_config.NumberColumn("More than usual", format="compact"),
    "requests": st.column_config.NumberColumn("n", format="localized", help=f"Requests; fewer than {FEW} are greyed"),
    "leader": "Leader",
    "leader_share": st.column_config.NumberColumn("Its share", format="percent"),
}  # fmt: skip
against = f", against {windows.sentence(1)}" if compare else ""
if not compare:
    ranked = ranked.drop("moved", "change", "growth")
basis = source_sentence(asked)
usual = f" More than usual: tokens beyond the mean of the {count - 1} ranges before." if sort == "trending" else ""
title = f"{by.title()}s by {'tokens' if sort == 'tokens' else 'trend'}{where}"
framed(
    title,
    f"{windows.sentence()} (UTC){against}. Shares are of the tokens{where}.{usual}{basis}",
    ranked,
    lambda: show_table(greyed(with_arrows(ranked)), column_config=columns, alt=title),
)

colour = {MODEL: model_colour, AUTHOR: author_colour}.get(by, name_colour)
framed(
    f"Share of tokens by {by}{where}",
    f"{windows.sentence()} (UTC). Bars of fewer than {FEW} requests are pale.{basis}",
    ranked,
    lambda: draw_chart(bars(ranked, "name", "share", colour, FEW, x_title="Share of tokens"), alt=f"Shares of {by}s"),
)

periods = ask_slice(by_period, asked, windows.begin, windows.end, time_range.grain, windows.begin, windows.end)
if periods is not None and periods["period"].n_unique() > 1:
    layers = shares(periods, "name", min(shown, 12))
    as_of = observed_until(found.last)
    framed(
        f"Share of tokens by {time_range.grain} and {by}{where}",
        f"{time_range.sentence()} (UTC, weeks from Monday). The running {time_range.grain} is hatched; layers of fewer "
        f"than {FEW} requests are pale.{basis}",
        layers.select("period", "name", "share", "tokens", "requests"),
        lambda: draw_chart(
            stacked_shares(layers, time_range.grain, as_of, colour, FEW, as_share=True, title=by.title()),
            alt=f"Shares of {by}s by {time_range.grain}",
        ),
    )

with st.container(border=True):
    free = [name for name in FILTERS if name not in dict(asked.filters)] or ["category"]
    free.sort(key=lambda name: asked._replace(across=name).source == LAKE)
    follow_default("across", free[0])
    across = st.segmented_control(
        "Who leads in each", free, default=free[0], format_func=lambda name: FIELDS[name].label, key="across",
        bind="query-params", required=True,
    ) or free[0]  # fmt: skip
    cross = asked._replace(across=across)
    rows = ask_slice(crossed, cross, windows.begin, windows.end, windows.begin, windows.end)
    if rows is None:
        st.info(too_long_sentence(cross))
    elif rows.is_empty():
        st.info(f"No request{plain(where)} has a {FIELDS[across].label.lower()} that is known.")
if rows is not None and not rows.is_empty():
    rows = rows.with_columns(pl.col("value").map_elements(partial(value_name, across), pl.String))
    label, cross_basis = FIELDS[across].label, source_sentence(cross)
    led = leaders_by_value(rows, 20)
    columns["value"] = label
    framed(
        f"Leaders by {label.lower()}{where}",
        f"{windows.sentence()} (UTC), the 20 largest. A leader has most tokens; the last share is the value's "
        f"own.{cross_basis}",
        led,
        lambda: show_table(greyed(led), column_config=columns, alt=f"Leaders by {label.lower()}"),
    )
    within = shares_within(rows, 12, 8)
    framed(
        f"Share of each {label.lower()} by {by}{where}",
        f"Share of the tokens in each {label.lower()}, {windows.sentence()} (UTC); the eight largest {by}s. Cells of "
        f"fewer than {FEW} requests are grey.{cross_basis}",
        within,
        lambda: draw_chart(
            matrix(
                within, "name", "value", "share", x_order=within["name"].unique(maintain_order=True).to_list(),
                y_order=led["value"].to_list(), title="Share of tokens", few=FEW,
            ),
            alt=f"Shares of {by}s in each {label.lower()}",
        ),
    )  # fmt: skip
foot(COUNTED)
