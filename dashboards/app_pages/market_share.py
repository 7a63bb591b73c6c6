"""Show the weekly tokens of each author."""

import streamlit as st

from dashboards.access import ask, foot
from dashboards.charts import weekly_stack
from dashboards.queries.freshness import freshness
from dashboards.queries.market import models, weekly_tokens

st.title("Market share")
with st.sidebar:
    shown = st.slider("Authors shown", 3, 12, 8, key="authors", bind="query-params")
    unit = st.segmented_control("Show", ["tokens", "share"], default="tokens", key="unit", bind="query-params")

weekly = ask(weekly_tokens, shown)
if weekly.is_empty():
    st.info("No request has been served yet.")
    st.stop()
ranked = ask(models)
with st.container(horizontal=True):
    st.metric("Requests", f"{ask(freshness).requests:,}", border=True)
    st.metric("Tokens", f"{ranked['tokens'].sum():,}", border=True)
    st.metric("Spent", f"${ranked['cost_usd'].sum():,.4f}", border=True)
    st.metric("Models in use", f"{len(ranked)}", border=True)
with st.container(border=True):
    st.markdown("**Tokens by week and author**")
    st.altair_chart(weekly_stack(weekly, as_share=unit == "share"))
foot("Prompt and completion tokens as the providers counted them; weeks begin on Monday, UTC.")
