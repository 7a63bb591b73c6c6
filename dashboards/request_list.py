"""List the single requests behind a chart, and show why a chosen one went where it went."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, NamedTuple

import polars as pl
import streamlit as st

from dashboards.access import ask_rows
from dashboards.analytics.lake_rows import LONGEST
from dashboards.plain_text import plain
from dashboards.queries.requests import MOST, explanation, moments_of, newest, record
from dashboards.sources import chosen_source, lake
from dashboards.time_range import TimeRange
from data.catalogue.configured import configured_catalogue

_COLUMNS: dict[str, Any] = {
    "id": "Id", "time": st.column_config.DatetimeColumn("Time, UTC", format="YYYY-MM-DD HH:mm:ss"), "model": "Model",
    "provider": "Provider", "status": "Status", "error": "Error", "attempts": "Attempts",
    "tokens": st.column_config.NumberColumn("Tokens", format="localized"),
    "ttft_s": st.column_config.NumberColumn("TTFT, s", format="%.3f"),
    "started_s": st.column_config.NumberColumn("Started, s", format="%.3f"),
    "seconds": st.column_config.NumberColumn("Seconds", format="%.3f"),
    "cost_usd": st.column_config.NumberColumn("USD", format="%.6f"),
    "endpoint": "Endpoint", "probability": st.column_config.NumberColumn("Probability", format="%.4f"),
    "score": st.column_config.NumberColumn("Score", format="%.4f"), "excluded": "Why it was excluded",
    "reason": "Why it was tried",
}  # fmt: skip


class RequestsOf(NamedTuple):
    """Name the requests that a chart counts: those of its days that its filters keep."""

    time_range: TimeRange
    filters: tuple[tuple[str, str], ...] = ()

    @property
    def recent(self) -> TimeRange:
        """Return the last days of the range, as many as single requests are read of."""
        return self.time_range.last(LONGEST)


def list_requests(of: RequestsOf, name: str) -> None:
    """List the newest requests in a table named ``name``; below it, explain the one that is chosen."""
    rows = newest_requests(of)
    chosen = request_table(rows, f"{name}-requests", of)
    if chosen is not None:
        explain_request(chosen, of)
        address = f"requests?id={chosen}&data={chosen_source()}"
        st.caption(f"Address of this explanation: [{address}]({address})")


def newest_requests(of: RequestsOf) -> pl.DataFrame:
    """Return the newest requests; more days are read only as long as there are too few."""
    first, end = of.recent.moments
    for days in (1, 4, LONGEST.days):
        begin = max(first, end - timedelta(days=days))
        rows = ask_rows(newest, begin, end, of.filters, begin, end)
        if rows.height >= MOST or begin == first:
            break
    return rows


def request_table(
    rows: pl.DataFrame, key: str, of: RequestsOf, on_select: Literal["rerun"] | Callable[[], None] = "rerun"
) -> str | None:
    """Show requests as a table with CSV; return the id of the chosen one."""
    said = ", ".join(f"{field} {value}" for field, value in of.filters)
    words = f"{of.recent.sentence()} (UTC){f', {said}' if said else ''}, at most {LONGEST.days} days"
    if rows.is_empty():
        st.caption(f"No request of {plain(words)}. Choose another time range, or leave a filter out.")
        return None
    event: Any = st.dataframe(rows, hide_index=True, placeholder="–", column_config=_COLUMNS, key=key,
                              on_select=on_select, selection_mode="single-row", alt="Single requests")  # fmt: skip
    st.caption(f"The newest requests, {MOST} at most, of {plain(words)}. Choose one to see why it went where it went.")
    st.download_button("CSV", rows.write_csv(), f"requests-{chosen_source()}.csv", "text/csv", key=f"{key}-csv",
                       icon=":material/download:")  # fmt: skip
    picked = event.selection.rows
    return str(rows["id"][picked[0]]) if picked and picked[0] < rows.height else None


def put_id(table: str, ids: list[str]) -> None:
    """Put the id of the row that was chosen in ``table`` into the address, as ``id``."""
    picked = st.session_state[table].selection.rows
    st.session_state["id"] = ids[picked[0]] if picked else ""


def explain_request(generation_id: str, of: RequestsOf) -> None:
    """Show why a request went where it went: a summary, the endpoints with their chances, and the attempts."""
    begin, end = moments_of(generation_id) or of.recent.moments
    found = ask_rows(record, begin, end, generation_id)
    if found is None:
        st.info(
            f"No request has the id {plain(generation_id)} from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}. "
            "One that has just been served is in the lake once its log is sealed."
        )
        return
    names = {slug: one.name for slug, one in configured_catalogue(lake()).providers.items()}
    said = explanation(found, names)
    st.markdown(f"**Why {plain(generation_id)} went where it went**")
    st.markdown(plain(said.summary))
    st.caption(plain(said.decision))
    for title, frame in (("Endpoints", said.endpoints), ("Attempts", said.attempts)):
        if not frame.is_empty():
            st.markdown(f"{title}")
            st.dataframe(frame, hide_index=True, placeholder="–", column_config=_COLUMNS, alt=f"{title} of the request")
