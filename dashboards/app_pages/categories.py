"""Show the ranking of models within a category."""

import polars as pl
import streamlit as st

from dashboards.access import ask, foot
from dashboards.charts import ranking
from dashboards.queries.categories import names, shares
from dashboards.sources import demo_badge, source_control

st.title("Categories")
source_control()
found = ask(names)
if not found:
    st.info("No request has been categorised yet: a sampled share of the traffic is, see PORTOLAN_CATEGORY_SHARE.")
    st.stop()
with st.sidebar:
    category = st.selectbox("Category", found, key="category", bind="query-params")

frame = ask(shares)
within = frame.filter(pl.col("category") == category)
left, right = st.columns(2)
with left, st.container(border=True):
    st.markdown(f"**Models in {category}**{demo_badge()}")
    st.altair_chart(ranking(within.head(12), "model"))
with right, st.container(border=True):
    st.markdown(f"**All categories**{demo_badge()}")
    total = frame.group_by("category").agg(pl.col("tokens").sum(), pl.col("requests").sum())
    total = total.with_columns(share=pl.col("tokens") / pl.col("tokens").sum()).sort("tokens", descending=True)
    st.altair_chart(ranking(total, "category"))
foot(f"Tokens of {frame['requests'].sum():,} requests of the sampled share, labelled by a classifier, not by people.")
