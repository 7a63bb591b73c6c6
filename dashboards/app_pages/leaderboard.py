"""Show the ranking of models by tokens."""

import streamlit as st

from dashboards.access import ask, foot
from dashboards.queries.market import models
from dashboards.sources import demo_badge, source_control

st.title("Leaderboard")
source_control()
st.markdown(demo_badge())
ranked = ask(models)
if ranked.is_empty():
    st.info("No request has been served yet.")
    st.stop()
st.dataframe(
    ranked.with_row_index("rank", offset=1),
    hide_index=True,
    column_config={
        "rank": st.column_config.NumberColumn("#", width="small"),
        "model": "Model",
        "author": "Author",
        "tokens": st.column_config.NumberColumn("Tokens", format="localized"),
        "requests": st.column_config.NumberColumn("Requests", format="localized"),
        "share": st.column_config.ProgressColumn("Share of tokens", format="percent", min_value=0, max_value=1),
        "cost_usd": st.column_config.NumberColumn("Spent, USD", format="%.4f"),
        "success": st.column_config.NumberColumn("Answered", format="percent"),
    },
)
foot("Tokens over all weeks; answered is the share of requests that ended well, cancelled ones left out.")
