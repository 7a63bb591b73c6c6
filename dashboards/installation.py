"""Show the present state of the installation: its last refresh, and what its router's workers report of their log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from dashboards.controls import card, show_table
from dashboards.plain_text import plain
from dashboards.queries.operations import result, workers
from data.lake import Lake
from data.refreshes import Refresh, last_refresh
from data.worker_reports import WorkerReport, read_reports

# As of the router's own report on its workers.
SILENT_S = 15.0
_COLUMNS: dict[str, Any] = {
    "worker": "Worker", "state": "State",
    "written": st.column_config.NumberColumn("Records written", format="localized"),
    "waiting": st.column_config.NumberColumn("Waiting", format="localized", help="In memory, not on disk yet"),
    "lost": st.column_config.NumberColumn("Lost", format="localized",
                                          help="The queue was full, or the disk at shutdown"),
    "unlogged": st.column_config.NumberColumn("Unlogged", format="localized",
                                              help="Requests served while the log could not be written"),
    "failed_writes": st.column_config.NumberColumn("Failed writes", format="localized"),
    "unrecorded": st.column_config.NumberColumn("Refused unrecorded", format="localized",
                                                help="Without a known key, and too many to record each"),
}  # fmt: skip


def show_now(lake: Lake) -> None:
    """Show figures of the last refresh and of the log, and the table of the router's workers."""
    now = datetime.now(UTC)
    reports, latest = read_reports(lake), last_refresh(lake)
    with st.container(horizontal=True):
        _refresh_metrics(latest, now)
        _log_metrics([one for one, _ in reports])
    if latest is not None:
        for sentence in (*latest.failed, *latest.warnings):
            said = plain(sentence.replace("_", " "))
            st.markdown(f":{'orange' if latest.succeeded else 'red'}[Last refresh: {said}]")
    if not reports:
        st.caption("No router has reported from this data directory: none has run here since it was made.")
        return
    frame = workers(reports, now, SILENT_S)
    card(
        "Records of the router's workers",
        f"Counted by each worker since it began, as of {now:%Y-%m-%d %H:%M} UTC; /metrics of the router has the same "
        "sums. A lost record is a request that no mart has.",
        frame,
        lambda: show_table(frame, column_config=_COLUMNS, alt="Records of the router's workers"),
        live=True,
    )


def _refresh_metrics(latest: Refresh | None, now: datetime) -> None:
    if latest is None:
        st.metric("Last refresh", "none", "none is recorded", delta_color="off", delta_arrow="off", border=True,
                  help="`portolan refresh` records its runs; Dagster shows those of its own schedules")  # fmt: skip
        return
    minutes = (now - latest.began).total_seconds() / 60
    age = f"{minutes:.0f} min ago" if minutes < 120 else f"{minutes / 60:.0f} h ago"
    failed = "" if latest.succeeded else f": {', '.join(latest.failed)}"
    st.metric("Last refresh", "succeeded" if latest.succeeded else "failed", age, border=True, delta_arrow="off",
              delta_color="off" if latest.succeeded else "inverse", help=f"{result(latest)}{failed}")  # fmt: skip
    st.metric("It took", f"{latest.seconds:,.1f} s", result(latest), delta_color="off", delta_arrow="off", border=True)
    if latest.marts_wait_s is not None:
        st.metric("Until a request was in the marts", f"{latest.marts_wait_s:,.0f} s", f"n = {latest.requests:,}",
                  delta_color="off", delta_arrow="off", border=True,
                  help="The longest wait of the requests that the last refresh added")  # fmt: skip


def _log_metrics(reports: list[WorkerReport]) -> None:
    if not reports:
        return
    written, lost = (sum(getattr(one, name) for one in reports) for name in ("written", "dropped"))
    unlogged = sum(one.unlogged for one in reports)
    st.metric("Records lost", f"{lost:,}", f"of {written + lost:,}", delta_arrow="off", border=True,
              delta_color="inverse" if lost else "off", help="Since the router began")  # fmt: skip
    st.metric("Served unlogged", f"{unlogged:,}", "waited for the log" if unlogged else "none waited", border=True,
              delta_arrow="off", delta_color="inverse" if unlogged else "off",
              help="Requests served while the log could not be written; their records wait in memory")  # fmt: skip
