"""Compare the providers of one model."""

import streamlit as st

from dashboards.access import ask, foot
from dashboards.charts.comparisons import quantile_ranges
from dashboards.controls import card, choose_time_range
from dashboards.queries.offers import offers
from dashboards.queries.providers import served_models, side_by_side
from dashboards.sources import lake
from data.catalogue.configured import configured_catalogue

st.title("Providers of a model")
time_range = choose_time_range()
served = ask(served_models, time_range)
if not served:
    st.info(f"No request was served from {time_range.sentence()}. Choose another time range.")
    st.stop()
with st.sidebar:
    model = st.selectbox("Model", served, key="model", bind="query-params")

frame = ask(side_by_side, model, time_range)
card(
    f"Time to the first token, {model}",
    f"{time_range.sentence()}. TTFT is the client's, retries included. Percentiles from histograms, to 1 %.",
    frame,
    lambda: st.altair_chart(quantile_ranges(frame), alt=f"Time to the first token of the providers of {model}"),
)
st.dataframe(
    frame.join(offers(model, configured_catalogue(lake())), on="provider", how="left", maintain_order="left"),
    hide_index=True,
    column_config={
        "provider": "Provider",
        "attempts": st.column_config.NumberColumn("Attempts", format="localized"),
        "uptime": st.column_config.NumberColumn("Uptime", format="percent"),
        "rate_limited": st.column_config.NumberColumn("429s", format="percent"),
        "ttft_p50": st.column_config.NumberColumn("TTFT p50, s", format="%.2f"),
        "ttft_p90": st.column_config.NumberColumn("p90, s", format="%.2f"),
        "ttft_p99": st.column_config.NumberColumn("p99, s", format="%.2f"),
        "throughput_p50": st.column_config.NumberColumn("Tokens/s p50", format="%.0f"),
        "prompt_usd": st.column_config.NumberColumn("In, $/M", format="%.2f"),
        "completion_usd": st.column_config.NumberColumn("Out, $/M", format="%.2f"),
        "processed_in": "Processed in",
    },
)
foot(
    "Uptime leaves out 429s and the client's own errors. "
    "List price of the cheapest offer, and the countries or areas where it is processed, as far as they are known."
)
