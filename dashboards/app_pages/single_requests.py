"""List single requests under filters, newest first, and explain one of them."""

from functools import partial

import streamlit as st

from dashboards.access import ask, foot
from dashboards.controls import choose_time_range
from dashboards.queries.errors import kinds
from dashboards.queries.freshness import freshness
from dashboards.queries.requests import STATUSES
from dashboards.request_list import RequestsOf, explain_request, newest_requests, put_id, request_table
from dashboards.slice_controls import ANY, choose_filters, windows_of, with_asked

FIELDS = ("model", "provider", "app", "category", "tag", "language", "code", "modality", "context", "tools")
TABLE = "requests"


st.title("Requests")
time_range = choose_time_range(usual="30 days")
found = ask(freshness)
assert found.last is not None
every = RequestsOf(time_range)
with st.sidebar:
    status = st.segmented_control("Status", [ANY, *STATUSES], default=ANY, key="status", bind="query-params",
                                  required=True) or ANY  # fmt: skip
    errors = sorted(ask(kinds, every.recent)["error"].unique().to_list())
    error = st.selectbox("Error", with_asked([ANY, *errors], "error"), key="error", bind="query-params")
filters = choose_filters(FIELDS, windows_of(every.recent, found.last))
with st.sidebar:
    key = st.text_input("API key, by its hash", key="key", bind="query-params").strip()
chosen = tuple((name, value) for name, value in (("status", status), ("error", error)) if value not in (ANY, None))
of = RequestsOf(time_range, (*chosen, *filters, *([("key", key)] if key else [])))

wanted = st.text_input("Explain the request with the id", key="id", bind="query-params", placeholder="gen-…").strip()
if wanted:
    with st.container(border=True, key="explanation-card"):
        explain_request(wanted, of)
rows = newest_requests(of)
with st.container(border=True):
    request_table(rows, TABLE, of, partial(put_id, TABLE, rows["id"].to_list()))
foot("Single requests of the lake.")
