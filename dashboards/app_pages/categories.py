"""Show what requests are about: shares of categories, tags and languages over time, who leads each since when,
price against use, and what each author is used for."""

from functools import partial
from typing import Any

import polars as pl
import streamlit as st

from dashboards.access import ask, foot
from dashboards.charts.matrices import matrix
from dashboards.charts.over_time import stacked_shares
from dashboards.charts.scatter import price_against_use
from dashboards.colours import author_colour, model_colour, name_colour
from dashboards.controls import FEW, card, choose_comparison, choose_time_range, draw_chart, greyed, show_table
from dashboards.defaults import follow_default
from dashboards.plain_text import plain
from dashboards.queries.categories import leads, prices, profiles, with_author
from dashboards.queries.freshness import freshness
from dashboards.queries.market import shares, totals
from dashboards.queries.rankings import ranking
from dashboards.queries.slices import FIELDS, MODEL, Slice, by_window, history
from dashboards.request_list import RequestsOf
from dashboards.slice_controls import value_name, with_asked
from dashboards.sources import observed_until

OF = ("category", "tag", "language", "code")
COUNTED = "Tokens of the labelled sample of requests, labelled by a classifier, not by people."

st.title("Categories")
time_range = choose_time_range(with_grain=True)
comparison = choose_comparison(time_range)
with st.sidebar:
    of = st.segmented_control("What", OF, default=OF[0], format_func=lambda name: FIELDS[name].label, key="of",
                              bind="query-params", required=True) or OF[0]  # fmt: skip
    by = st.segmented_control("Leaders are", ["model", "author"], default="model", key="leaders", bind="query-params",
                              required=True) or "model"  # fmt: skip
    shown = st.slider("Names shown", 3, 15, 10, key="shown", bind="query-params")
found = ask(freshness)
assert found.last is not None
as_of, label, grain = observed_until(found.last), FIELDS[of].label, time_range.grain
windows = comparison.windows
rows = with_author(ask(history, Slice(MODEL, across=of), grain, windows.begin, windows.end))
if not rows["tokens"].sum():
    st.info(
        f"No request from {time_range.sentence()} has a known {label.lower()}: a sampled share of the traffic is "
        "labelled, see PORTOLAN_CATEGORY_SHARE. Choose another time range, or wait."
    )
    foot(COUNTED)
    st.stop()
codes = {value_name(of, one): one for one in rows["value"].unique().to_list()}
rows = rows.with_columns(pl.col("value").map_elements(partial(value_name, of), pl.String))
order = totals(rows, "value")["name"].to_list()
with st.sidebar:
    named = [value_name(of, one) for one in with_asked([codes[name] for name in order], of)]
    follow_default(of, named[0])
    chosen = str(st.selectbox(f"{label} in detail", named, key=of, bind="query-params"))
framed = partial(card, requests=RequestsOf(time_range))
of_value = partial(card, requests=RequestsOf(time_range, ((of, codes.get(chosen, chosen)),)))

layers = shares(rows, "value", shown)
framed(
    f"Share of tokens by {grain} and {label.lower()}",
    f"Share of the labelled tokens, {time_range.sentence()} (UTC, weeks from Monday). The running {grain} is hatched; "
    f"layers of fewer than {FEW} requests are pale.",
    layers.select("period", "name", "share", "tokens", "requests"),
    lambda: draw_chart(
        stacked_shares(layers, grain, as_of, name_colour, FEW, as_share=True, title=label),
        alt=f"Shares of {label.lower()} by {grain}",
    ),
)

columns: dict[str, Any] = {
    "value": label, "leader": "Leader", "before": "Led before",
    "since": st.column_config.TextColumn("Since", help=f"Begin of the first {grain} of an unbroken run"),
    "share": st.column_config.ProgressColumn(f"Its share, last {grain}", format="percent", min_value=0, max_value=1),
    "part": st.column_config.NumberColumn("Share of tokens", format="percent",
                                          help=f"Of all tokens with a known {label.lower()}"),
    "change": st.column_config.NumberColumn("Change of share", format="%+.1f points"),
    "growth": st.column_config.NumberColumn("Growth of tokens", format="percent"),
    "tokens": st.column_config.NumberColumn("Tokens", format="compact"),
    "requests": st.column_config.NumberColumn("n", format="localized", help=f"Requests; fewer than {FEW} are greyed"),
}  # fmt: skip
count = 1 if comparison.before is None else 2
parts = ranking(ask(by_window, Slice(of), windows, count), count, FEW, "tokens").with_columns(pl.col("change") * 100)
parts = parts.select(
    "growth", "change", part="share", value=pl.col("name").map_elements(partial(value_name, of), pl.String)
)
led = leads(rows, by, grain, as_of, FEW).join(parts, on="value", how="left", maintain_order="left").select(
    "value", "leader", "since", "share", "before", "part", *(["change", "growth"] if count == 2 else []), "tokens",
    "requests",
)  # fmt: skip
framed(
    f"Who leads each {label.lower()}, and since when",
    f"Most tokens in the last {grain} that has ended, and the first {grain} of its unbroken lead since "
    f"{time_range.begin}; {grain}s in which it has fewer than {FEW} requests are passed over. Tokens and n are those "
    f"of the range.{comparison.against}",
    led,
    lambda: show_table(greyed(led), column_config=columns, alt=f"Leaders of each {label.lower()}"),
)

within = rows.filter(pl.col("value") == chosen)
colour = model_colour if by == "model" else author_colour
if within.is_empty():
    st.info(
        f"No request from {time_range.sentence()} is labelled {plain(chosen)}. Choose another one, or another time "
        "range."
    )
    foot(COUNTED)
    st.stop()
inside = shares(within, by, shown)
of_value(
    f"Share of {chosen} by {grain} and {by}",
    f"Share of the tokens labelled {chosen}, {time_range.sentence()} (UTC). Layers of fewer than {FEW} requests are "
    "pale.",
    inside.select("period", "name", "share", "tokens", "requests"),
    lambda: draw_chart(
        stacked_shares(inside, grain, as_of, colour, FEW, as_share=True, title=by.title()),
        alt=f"Shares of {by}s in {chosen} by {grain}",
    ),
)

priced = prices(within)
of_value(
    f"Price against use in {chosen}",
    f"What a million tokens really cost, {time_range.sentence()}, against tokens, both on logarithmic axes; dashed "
    f"lines are medians. Models of fewer than {FEW} requests are pale; those without cost are left out.",
    priced,
    lambda: draw_chart(
        price_against_use(priced, author_colour, FEW), alt=f"Price of models against their tokens in {chosen}"
    ),
)
mixed = profiles(rows, 12, 12)
framed(
    f"What authors are used for, by {label.lower()}",
    f"Share of each author's labelled tokens, {time_range.sentence()}; the twelve largest of both. Cells of fewer "
    f"than {FEW} requests are grey.",
    mixed,
    lambda: draw_chart(
        matrix(
            mixed, "value", "author", "share", x_order=[name for name in order if name in set(mixed["value"])],
            y_order=mixed["author"].unique(maintain_order=True).to_list(), title="Share of the author's tokens",
            few=FEW,
        ),
        alt=f"Mix of {label.lower()} by author",
    ),
)  # fmt: skip
foot(COUNTED)
