"""Show the ranking of models by tokens."""

from typing import Any

import streamlit as st

from dashboards.access import ask, foot
from dashboards.controls import card, choose_time_range, greyed
from dashboards.queries.market import models

st.title("Leaderboard")
time_range = choose_time_range()
ranked = ask(models, time_range).with_row_index("rank", offset=1)
if ranked.is_empty():
    st.info(f"No request was served from {time_range.sentence()}. Choose another time range.")
    st.stop()
columns: dict[str, Any] = {
    "rank": st.column_config.NumberColumn("#", width="small"),
    "model": "Model",
    "author": "Author",
    "tokens": st.column_config.NumberColumn("Tokens", format="localized"),
    "requests": st.column_config.NumberColumn("Requests", format="localized"),
    "share": st.column_config.ProgressColumn("Share of tokens", format="percent", min_value=0, max_value=1),
    "cost_usd": st.column_config.NumberColumn("Spent, USD", format="%.4f"),
    "success": st.column_config.NumberColumn("Answered", format="percent"),
}
card(
    "Models by tokens",
    f"{time_range.sentence()}. Answered is the share of requests that ended well, cancelled ones left out.",
    ranked,
    lambda: st.dataframe(greyed(ranked), hide_index=True, column_config=columns, alt="Models by tokens"),
)
foot("Prompt and completion tokens as the providers counted them.")
