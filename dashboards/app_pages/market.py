"""Show who has which share of the market since when: shares, leaders, new and fading models, weights, concentration."""

from functools import partial
from typing import Any

import polars as pl
import streamlit as st

from dashboards.access import ask, foot
from dashboards.charts.over_time import lines, stacked_shares
from dashboards.colours import GREY, author_colour, model_colour
from dashboards.comparison import growth
from dashboards.controls import FEW, card, choose_comparison, choose_time_range, draw_chart, greyed, show_table
from dashboards.plain_text import plain
from dashboards.queries.categories import with_author
from dashboards.queries.freshness import freshness
from dashboards.queries.market import (
    concentration,
    fading,
    first_days,
    history,
    leaders,
    newcomers,
    shares,
    totals,
    weights,
)  # fmt: skip
from dashboards.queries.slices import MODEL, Slice, by_window
from dashboards.request_list import RequestsOf
from dashboards.slice_controls import windows_of
from dashboards.sources import observed_until
from dashboards.time_range import compared_ranges

st.title("Market")
time_range = choose_time_range(with_grain=True)
comparison = choose_comparison(time_range)
with st.sidebar:
    by = st.segmented_control(
        "Share of", ["author", "model"], default="author", key="by", bind="query-params", required=True
    )
    unit = st.segmented_control(
        "Show", ["share", "tokens"], default="share", key="unit", bind="query-params", required=True
    )
    shown = st.slider("Names shown", 3, 15, 10, key="shown", bind="query-params")

by = by or "author"
found = ask(freshness)
assert found.first is not None and found.last is not None
as_of = observed_until(found.last)
rows = ask(history, time_range)
framed = partial(card, requests=RequestsOf(time_range))
recent, earlier = compared_ranges(time_range, found.first.date())
windows = windows_of(recent, found.last)
both = with_author(ask(by_window, Slice(MODEL), windows, 2))
now, before = both.filter(pl.col("window") == 0), both.filter(pl.col("window") == 1)
if not rows["tokens"].sum():
    st.info(
        f"No request from {time_range.sentence()} was answered: {rows['requests'].sum():,} requests failed, "
        "and there are no tokens to share. Choose another time range, or see the page Errors."
    )
    foot("Prompt and completion tokens as the providers counted them.")
    st.stop()

with st.container(horizontal=True):
    for label, figure in (
        ("Tokens", pl.sum("tokens")),
        ("Requests", pl.sum("requests")),
        ("Models", pl.n_unique("model")),
    ):
        value = rows.select(figure).item()
        then = None if comparison.before is None else before.select(figure).item()
        st.metric(label, f"{value:,}", growth(value, then), border=True, height="stretch")
    first = totals(rows, by)
    said = f"{first['share'][0]:.1%} of tokens"
    st.metric(f"Largest {by}", plain(str(first["name"][0])), said, delta_color="off", delta_arrow="off", border=True)

layers = shares(rows, by, shown)
colour = author_colour if by == "author" else model_colour
framed(
    f"{'Share of tokens' if unit == 'share' else 'Tokens'} by {time_range.grain} and {by}",
    f"Prompt and completion tokens as the providers counted them, {time_range.sentence()} (UTC, weeks from Monday). "
    f"The running {time_range.grain} is hatched; layers of fewer than {FEW} requests are pale.",
    layers.select("period", "name", "share", "tokens", "requests"),
    lambda: draw_chart(
        stacked_shares(layers, time_range.grain, as_of, colour, FEW, as_share=unit == "share", title=by.title()),
        alt=f"Stacked {unit} of the largest {by}s by {time_range.grain}",
    ),
)

signed = st.column_config.NumberColumn("Change of share", format="%+.1f points")
columns: dict[str, Any] = {
    "rank": st.column_config.NumberColumn("#", width=45), "name": by.title(),
    "share": st.column_config.NumberColumn("Share", format="percent"), "change": signed,
    "tokens": st.column_config.NumberColumn("Tokens", format="compact"),
    "growth": st.column_config.NumberColumn("Growth of tokens", format="percent"),
    "requests": st.column_config.NumberColumn("n", format="localized", help=f"Requests; fewer than {FEW} are greyed"),
    "first_day": "Since",
    "share_before": st.column_config.NumberColumn("Share before", format="percent"),
}  # fmt: skip
ranked = leaders(now, before, by, FEW).head(shown).with_columns(pl.col("change") * 100)
if not comparison.wanted:
    ranked = ranked.drop("change", "growth")
framed(
    f"Leaders by {by}",
    f"{windows.sentence()} (UTC){f', against {windows.sentence(1)}' if comparison.wanted else ''}.",
    ranked,
    lambda: show_table(greyed(ranked), column_config=columns, alt=f"Leaders by {by}"),
)  # fmt: skip

of_models = columns | {"name": "Model"}
left, right = st.columns(2)
with left:
    new = newcomers(now, ask(first_days), recent, found.first.date()).head(shown)
    framed(
        "New models",
        f"Models that first had tokens in {recent.sentence()}.",
        new,
        lambda: (
            st.caption("There is none: each model had tokens before.")
            if new.is_empty()
            else show_table(greyed(new.drop("tokens")), column_config=of_models, alt="Models that are new")
        ),
    )
with right:
    lost = fading(now, before).head(shown)
    framed(
        "Fading models",
        f"Models whose share of {recent.sentence()} is less than half of that of {earlier.sentence()}.",
        lost,
        lambda: (
            st.caption("There is none: each model has kept more than half of its share.")
            if lost.is_empty()
            else show_table(greyed(lost.drop("tokens")), column_config=of_models, alt="Models that lose share")
        ),
    )

left, right = st.columns(2)
with left:
    split = shares(weights(rows), "weights", 3).with_columns(value="share")
    framed(
        "Open against closed weights", "Share of tokens of models whose weights are public, by the catalogue.",
        split.select("period", "name", "share", "tokens", "requests"),
        lambda: draw_chart(
            lines(split, ["open", "closed", "unknown"], ["#3d8168", "#c0562f", GREY], "Share of tokens",
                  time_range.grain, as_of),
            alt="Shares of open and closed weights over time",
        ),
    )  # fmt: skip
with right:
    dense = concentration(rows, by)
    measured = dense.unpivot(["index", "first", "three"], index=["period", "requests"], variable_name="name")
    named = measured.with_columns(
        pl.col("name").replace({"index": "Herfindahl index", "first": "largest", "three": "largest three"})
    )
    framed(
        f"Concentration by {by}",
        "The Herfindahl index is the sum of squared shares: 100 % is one name alone, 10 % is as ten equal ones.",
        dense,
        lambda: draw_chart(
            lines(named, ["Herfindahl index", "largest", "largest three"], ["#7a5195", "#d9a441", "#5a93b8"],
                  "Concentration", time_range.grain, as_of),
            alt="Concentration over time",
        ),
    )  # fmt: skip
foot("Tokens of all requests with a model.")
