"""Show which requests failed: kinds of errors over time, what rose in the last day, and at which provider and model."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import polars as pl
import streamlit as st

from dashboards.access import ask, foot
from dashboards.charts.over_time import stacked_amounts
from dashboards.colours import name_colour
from dashboards.comparison import growth, points
from dashboards.controls import FEW, card, choose_comparison, choose_time_range, draw_chart, greyed, show_table
from dashboards.queries.errors import DAYS_BEFORE, all_requests, failures, kinds, risen
from dashboards.queries.freshness import freshness
from dashboards.queries.layers import largest
from dashboards.request_list import RequestsOf
from dashboards.sources import chosen_source, observed_until

st.title("Errors")
time_range = choose_time_range(with_grain=True)
comparison = choose_comparison(time_range)
found = ask(freshness)
assert found.last is not None
as_of = observed_until(found.last)
framed = partial(card, requests=RequestsOf(time_range, (("status", "failed"),)))
rows, requests = ask(failures, time_range), ask(all_requests, time_range)
if rows.is_empty():
    st.info(f"No request failed from {time_range.sentence()}: {requests:,} were answered. Choose another time range.")
    foot("Requests that ended with an error, whoever caused it.")
    st.stop()

failed, where = int(rows["value"].sum()), ask(kinds, time_range)
failed_before, share_before = None, None
if comparison.before is not None:
    before, requests_before = ask(kinds, comparison.before), ask(all_requests, comparison.before)
    failed_before = int(before["requests"].sum())
    share_before = failed_before / requests_before if requests_before >= FEW else None
    then = before.rename({"requests": "failed_before"})
    where = where.join(then, on=["error", "provider", "model"], how="left", nulls_equal=True, maintain_order="left")
    where = where.with_columns(pl.col("failed_before").fill_null(0))
with st.container(horizontal=True):
    st.metric("Failed", f"{failed:,}", growth(failed, failed_before), "inverse", border=True, height="stretch")
    st.metric("Share of requests", f"{failed / requests:.2%}", points(failed / requests, share_before), "inverse",
              help=f"Of {requests:,} requests", border=True, height="stretch")  # fmt: skip

last = found.last.replace(tzinfo=UTC)
until = last if chosen_source() == "demo" else datetime.now(UTC)
until = min((until + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0), time_range.moments[1])
rose = ask(risen, until, FEW).with_columns(pl.col("change") * 100)
columns: dict[str, Any] = {
    "error": "Error",
    "share": st.column_config.NumberColumn("Share of requests", format="percent", help="Of the last 24 hours"),
    "share_before": st.column_config.NumberColumn("Share before", format="percent"),
    "change": st.column_config.NumberColumn("Change", format="%+.2f points"),
    "failed_before": st.column_config.NumberColumn("Failed before", format="localized"),
    "failed": st.column_config.NumberColumn("Failed", format="localized"),
    "requests": st.column_config.NumberColumn("n", format="localized", help="All requests of the last 24 hours"),
    "provider": "Provider",
    "model": "Model",
}
framed(
    "What rose in the last 24 hours",
    f"Up to {until:%Y-%m-%d %H:%M} UTC, against the {DAYS_BEFORE} days before. Those that rose most come first; "
    f"what fell has a minus. With fewer than {FEW} requests no change is shown.",
    rose,
    lambda: show_table(greyed(rose), column_config=columns, alt="Errors that rose"),
)

layers = largest(rows, 8)
framed(
    f"Failed requests by {time_range.grain} and error",
    f"{time_range.sentence()} (UTC, weeks from Monday). The running {time_range.grain} is hatched.",
    layers.select("period", "name", "value", "requests"),
    lambda: draw_chart(
        stacked_amounts(
            layers, time_range.grain, as_of, name_colour, 0, title="Error", y_title="Failed requests",
            number_format="~s",
        ),
        alt=f"Failed requests by {time_range.grain} and error",
    ),
)  # fmt: skip

where = where.head(200)
framed(
    "Where they failed",
    f"{time_range.sentence()}, the 200 most frequent. No provider is named where none served.{comparison.against}",
    where,
    lambda: show_table(where, column_config=columns | {"requests": "Failed"}, alt="Errors by provider and model"),
)
foot("Requests that ended with an error, whoever caused it.")
