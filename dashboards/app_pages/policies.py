"""Show the serving policies, the changes that each challenger would make, and the audit log."""

import streamlit as st

from dashboards.charts.comparisons import lifts
from dashboards.queries.policies import audit, compared_with, effects, registry, segments, shifts, verdicts
from dashboards.sources import lake

st.title("Selection policies")
found = lake()
known = registry(found)
if known.is_empty():
    st.info(
        "No policy has been trained yet: price shares serve. `portolan refresh` trains one when there are 200 attempts."
    )
    st.stop()
with st.sidebar:
    version = str(st.selectbox("Report of", known["version"].to_list(), key="version", bind="query-params"))

share = st.column_config.NumberColumn("Share of traffic", format="percent")
st.dataframe(known, hide_index=True, column_config={"share": share, "decisions": "Learned from"})
st.subheader(f"Report of {version}")
st.dataframe(verdicts(found, version), hide_index=True)
parts = segments(found, version)
judged = parts.drop_nulls("lift")
if not judged.is_empty():
    with st.container(border=True):
        st.markdown("**For whom it is better or worse**, millionths of a dollar a request, 95 % intervals")
        st.altair_chart(lifts(judged))
refused = parts.filter(parts["lift"].is_null())
if not refused.is_empty():
    st.caption("Not estimated, for the log cannot tell:")
    st.dataframe(refused.select("by", "name", "decisions", "effective_samples", "reason"), hide_index=True)
figures = effects(found, version)
if not figures.is_empty():
    st.markdown(
        "**By how much**: what the gates stand on, USD a request (success: share of first attempts; ratios: of TTFT)"
    )
    exact = st.column_config.NumberColumn(format="%+.6f")
    st.dataframe(figures, hide_index=True, column_config=dict.fromkeys(("value", "low", "high"), exact))
changes = shifts(found, version)
if not changes.is_empty():
    st.markdown("**What changes**: share of first attempts where the endpoint was a candidate")
    percent = st.column_config.NumberColumn(format="percent")
    st.dataframe(changes, hide_index=True, column_config={"before": percent, "after": percent})
st.subheader("Steps taken")
st.dataframe(audit(found), hide_index=True)
st.caption(
    f"Lifts are against {compared_with(found, version)}, doubly robust, from decisions that the policy has not learned "
    "from. G3 is simulation. The same report is report.html in the policy's folder."
)
