"""Show the learned policies of an installation: their lives, the report of one, and the steps that were taken."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl
import streamlit as st

from dashboards.charts.intervals import intervals
from dashboards.charts.timelines import lives as draw_lives
from dashboards.controls import FEW, card, draw_chart, show_table
from dashboards.defaults import follow_default
from dashboards.queries.policies import audit, compared_with, effects, lives, registry, segments, shifts, verdicts
from dashboards.slice_controls import with_asked
from data.lake import Lake

SHOWN = 20
_COLUMNS: dict[str, Any] = {
    "version": "Version", "state": "State", "since": "Since, UTC", "reason": "Why", "gate": "Gate",
    "outcome": "Outcome",
    "share": st.column_config.NumberColumn("Share of traffic", format="percent"),
    "decisions": st.column_config.NumberColumn("n (decisions)", format="localized"),
    "endpoint": "Endpoint", "before": st.column_config.NumberColumn("Before", format="percent"),
    "after": st.column_config.NumberColumn("After", format="percent"), "figure": "Figure",
    "value": st.column_config.NumberColumn("Value", format="%+.6f"),
    "low": st.column_config.NumberColumn("From, 95 %", format="%+.6f"),
    "high": st.column_config.NumberColumn("To, 95 %", format="%+.6f"),
    "at": "At, UTC", "who": "Who", "what": "What", "why": "Why", "by": "By", "name": "Of",
    "effective_samples": st.column_config.NumberColumn("Effective samples", format="%.0f"),
}  # fmt: skip


def show_policies(lake: Lake, begin: datetime, end: datetime) -> None:
    """Show the learned policies of ``lake``, with what happened to them from ``begin`` to ``end`` (UTC)."""
    known = registry(lake)
    if known.is_empty():
        st.info(
            "No policy has been trained yet: price shares serve. `portolan refresh` trains one when there are 200 "
            "attempts."
        )
        return
    _show_steps(lake, begin, end)
    _table(
        "Learned policies",
        "All versions, the newest first; the share is that of the canary. n are the decisions that it learned from.",
        known,
    )
    with st.sidebar:
        options = with_asked(known["version"].to_list(), "version")
        follow_default("version", options[0])
        version = str(st.selectbox("Report of", options, key="version", bind="query-params"))
    _show_report(lake, version)


def _show_steps(lake: Lake, begin: datetime, end: datetime) -> None:
    lived, steps = lives(lake, begin, end, SHOWN), audit(lake, begin, end)
    said = f"{begin:%Y-%m-%d} to {end:%Y-%m-%d %H:%M} UTC"
    if lived.is_empty():
        st.caption(f"No learned policy was there from {said}. Choose another time range.")
        return
    # Not weeks in which there was none.
    first = max(begin, lived.select(pl.col("begin").min()).item())
    card(
        "Promotions over time",
        f"The states of the {SHOWN} newest versions, {said}. Each step is a dot, which says why it was taken; a state "
        "that goes on has a dashed border. Who is rejected, retired or rolled back serves no request.",
        lived,
        lambda: draw_chart(draw_lives(lived, first, end), alt="States of the learned policies over time"),
        live=True,
    )
    _table("Steps taken: what was promoted or refused, and why", f"{said}, the newest first.", steps)


def _show_report(lake: Lake, version: str) -> None:
    _table(
        f"Gates of {version}",
        "Each gate passes, fails or finds too little evidence; one that fails rejects the version.",
        verdicts(lake, version),
    )
    against = compared_with(lake, version)
    parts = segments(lake, version)
    judged = parts.drop_nulls("lift").with_columns(
        who=pl.when(pl.col("by") == "all").then(pl.lit("all requests")).otherwise(pl.col("name"))
    )
    if not judged.is_empty():
        card(
            f"For whom {version} is better or worse",
            f"Lift against {against}, millionths of a dollar a request, more is better; doubly robust, with 95 % "
            "intervals, from decisions that it has not learned from.",
            judged,
            lambda: draw_chart(
                intervals(judged, "who", "lift", "low", "high", "decisions", title="Lift, µUSD a request",
                          number_format="+,.0f", few=FEW),
                alt=f"Lifts of {version} with their intervals",
            ),
            live=True,
        )  # fmt: skip
    refused = parts.filter(pl.col("lift").is_null())
    if not refused.is_empty():
        _table(
            "Not estimated, for the log cannot tell",
            f"Parts of the traffic for which no lift against {against} is estimated, and why.",
            refused.select("by", "name", "decisions", "effective_samples", "reason"),
        )
    figures, changes = effects(lake, version), shifts(lake, version)
    if not figures.is_empty():
        _table(
            "By how much",
            "What the gates stand on: USD a request; lift_success is a share of first attempts, ratios are of TTFT. "
            "G3 is simulation. The same report is report.html in the policy's folder.",
            figures,
        )
    if not changes.is_empty():
        _table("What changes", "Share of first attempts where the endpoint was a candidate.", changes)


def _table(title: str, definition: str, frame: pl.DataFrame) -> None:
    card(
        title, definition, frame,
        lambda: show_table(_few_greyed(frame), column_config=_COLUMNS, alt=title), live=True,
    )  # fmt: skip


def _few_greyed(frame: pl.DataFrame) -> Any:
    """Return the frame for a table; rows that stand on fewer than ``FEW`` decisions are grey."""
    if "decisions" not in frame.columns:
        return frame
    few = (frame["decisions"].fill_null(0) < FEW).to_list()
    return frame.to_pandas().style.apply(
        lambda row: ["color: #9a9a9a" if few[row.name] else ""] * len(row), axis=1
    )  # fmt: skip
