"""Show the ranking of models within a category."""

import polars as pl
import streamlit as st

from dashboards.access import ask, foot
from dashboards.charts.comparisons import ranking
from dashboards.controls import card, choose_time_range
from dashboards.queries.categories import shares, whole

st.title("Categories")
time_range = choose_time_range()
frame = ask(shares, time_range)
total = whole(frame)
if frame.is_empty():
    st.info(
        f"No request from {time_range.sentence()} has been categorised: a sampled share of the traffic is, see "
        "PORTOLAN_CATEGORY_SHARE. Choose another time range, or wait."
    )
    foot("Categories are those of a sampled share.")
    st.stop()
with st.sidebar:
    category = str(st.selectbox("Category", total["category"].to_list(), key="category", bind="query-params"))

within = frame.filter(pl.col("category") == category).head(12)
left, right = st.columns(2)
with left:
    card(
        f"Models in {category}",
        f"Share of the category's tokens, {time_range.sentence()}.",
        within,
        lambda: st.altair_chart(ranking(within, "model"), alt=f"Models in {category} by tokens"),
    )
with right:
    card(
        "All categories",
        f"Share of all categorised tokens, {time_range.sentence()}.",
        total,
        lambda: st.altair_chart(ranking(total, "category"), alt="Categories by tokens"),
    )
foot(f"Tokens of {frame['requests'].sum():,} requests of the sampled share, labelled by a classifier, not by people.")
