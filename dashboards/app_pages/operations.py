"""Show how the installation works: requests a second, overhead, waits for the log, losses, freshness of marts."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import polars as pl
import streamlit as st

from dashboards.access import ask, foot
from dashboards.charts.hourly import hourly_lines
from dashboards.charts.matrices import matrix
from dashboards.charts.over_time import lines, stacked_amounts
from dashboards.colours import name_colour
from dashboards.comparison import growth
from dashboards.controls import FEW, card, choose_comparison, choose_time_range, draw_chart, show_table
from dashboards.installation import show_now
from dashboards.plain_text import plain
from dashboards.queries.freshness import freshness
from dashboards.queries.layers import largest
from dashboards.queries.operations import (
    BUSIEST,
    IN_LAKE,
    IN_MARTS,
    LEVELS,
    LONGEST_OF,
    MEAN,
    left_out,
    mart_files,
    overhead,
    refresh_table,
    set_aside,
    set_aside_ids,
    traffic,
    traffic_by_hour,
    waits_over_time,
)
from dashboards.queries.periods import Unit
from dashboards.request_list import RequestsOf
from dashboards.slice_controls import choose_filters
from dashboards.sources import chosen_source, lake, observed_until
from data.refreshes import KEPT, read_refreshes

COUNTED = "All requests; the router's overhead is the time of a request less that spent on providers' responses."
HOURLY_DAYS, MATRIX_DAYS = 7, 14
LEVEL_COLOURS = ["#7fb2de", "#1f6fb2", "#e08e1b"]

st.title("Operations")
live = chosen_source() != "demo"
if live:
    show_now(lake())
time_range = choose_time_range(with_grain=True, usual="7 days")
comparison = choose_comparison(time_range)
found = ask(freshness)
assert found.first is not None and found.last is not None
filters = choose_filters(("model", "provider"), comparison.windows)
with st.sidebar:
    few_days = time_range.end - time_range.begin <= timedelta(days=HOURLY_DAYS)
    hourly = st.toggle("By the hour", value=True, key="hourly", bind="query-params", disabled=not few_days,
                       help=f"Of ranges of up to {HOURLY_DAYS} days") and few_days  # fmt: skip
grain, as_of = time_range.grain, observed_until(found.last)
unit: Unit = "hour" if hourly else grain


def next_hour(moment: datetime) -> datetime:
    """Return the end of the hour of a moment."""
    return (moment + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)


last = found.last.replace(tzinfo=UTC)
clock = max(datetime.now(UTC), last) if live else last
begin, end = time_range.moments
begin = max(begin, next_hour(found.first.replace(tzinfo=UTC)) - timedelta(hours=1))
end = min(end, next_hour(clock))
said = f"{time_range.sentence()} (UTC, weeks from Monday){''.join(f', {name} {one}' for name, one in filters)}"
framed = partial(card, requests=RequestsOf(time_range, filters))


def draw(frame: pl.DataFrame, names: list[str], colours: list[str], title: str, number_format: str, few: int) -> Any:
    """Draw lines by the hour or by the grain."""
    alt = f"{title} by {unit}"
    if hourly:
        until = clock.replace(tzinfo=None)
        chart = hourly_lines(frame, names, colours, title, until, number_format=number_format, few=few)
    else:
        chart = lines(frame, names, colours, title, grain, as_of, number_format=number_format, few=few)
    return draw_chart(chart, alt=alt)


if end <= begin:
    st.info(f"There is no request from {plain(said)} yet. Choose another time range.")
    foot(COUNTED)
    st.stop()
hours = ask(traffic_by_hour, begin, end, filters)
n = int(hours["requests"].sum())
if not n:
    st.info(f"No request of {plain(said)}. Choose another time range, or leave a filter out.")
    foot(COUNTED)
    st.stop()

whole = dict(ask(overhead, None, begin, end, filters).select("name", "value").iter_rows())
earlier = comparison.before
before = int(ask(traffic_by_hour, earlier.begin, earlier.end, filters)["requests"].sum()) if earlier else 0
mean, busiest = n / (end - begin).total_seconds(), hours.select(pl.col("value").max()).item()
with st.container(horizontal=True):
    st.metric("Requests", f"{n:,}", growth(n, before), border=True, height="stretch",
              help="Against the same hours before")  # fmt: skip
    st.metric("Requests a second", f"{mean:,.3g}", f"{busiest:,.3g} in the busiest hour", delta_color="off",
              delta_arrow="off", border=True)  # fmt: skip
    if whole:
        said_of_others = f"p50 {whole['p50']:,.2f} ms, p95 {whole['p95']:,.2f} ms"
        st.metric("Overhead, p99", f"{whole['p99']:,.2f} ms", said_of_others, delta_color="off", delta_arrow="off",
                  border=True)  # fmt: skip

if hourly:
    rate, rate_names = hours.rename({"hour": "period"}), [MEAN]
else:
    rate, rate_names = ask(traffic, grain, begin, end, filters), [MEAN, BUSIEST]
framed(
    f"Requests a second by {unit}",
    f"{said}. The line to the running {unit} is dashed; points of fewer than {FEW} requests are hollow."
    + ("" if hourly else f" Mean over the {unit}, and the mean of its busiest hour."),
    rate,
    lambda: draw(rate, rate_names, ["#1f6fb2", "#e08e1b"], "Requests a second", ",.4~f", FEW),
)

took = ask(overhead, unit, begin, end, filters)
if took.is_empty():
    st.caption(f"No request of {plain(said)} was answered by a provider, so that there is no overhead to show.")
else:
    framed(
        f"Router's overhead by {unit}, ms",
        f"Time of answered requests less that spent on providers' responses, {said}. Quantiles from histograms, to "
        f"1 %. The line to the running {unit} is dashed; points of fewer than {FEW} requests are hollow.",
        took,
        lambda: draw(took, [*LEVELS], LEVEL_COLOURS, "Overhead, ms", ",.3~f", FEW),
    )

recent = hours.filter(pl.col("hour") >= (end - timedelta(days=MATRIX_DAYS)).replace(tzinfo=None))
by_day = recent.select(
    pl.col("hour").dt.hour().alias("hour of day"), pl.col("hour").dt.strftime("%a %d %b").alias("day"),
    "requests", date=pl.col("hour").dt.date(),
)  # fmt: skip
framed(
    "Requests by hour of day",
    f"The last {MATRIX_DAYS} days at most, {said}. Cells of fewer than {FEW} requests are grey; the last one has not "
    "ended.",
    by_day.select("date", "hour of day", "requests"),
    lambda: draw_chart(
        matrix(
            by_day, "hour of day", "day", "requests", x_order=range(24),
            y_order=by_day.sort("date")["day"].unique(maintain_order=True).to_list(), title="Requests",
            number_format=".3~s", few=FEW, x_title="Hour of day, UTC",
        ),
        alt="Requests by day and hour of day",
    ),
)  # fmt: skip

if live:
    # A range ends with the last request, but refreshes go on.
    last_day = clock.date() if time_range.end > found.last.date() else time_range.end - timedelta(days=1)
    known = read_refreshes(lake(), time_range.begin, last_day)
    of_days = f"{time_range.begin} to {last_day} (UTC)"
    waited = waits_over_time(known, unit)
    if waited.is_empty():
        st.caption(
            f"No refresh of {of_days} is recorded that added requests, so that no wait is known. "
            f"`portolan refresh` records its runs, of the last {KEPT.days} days."
        )
    else:
        names = [IN_LAKE, f"{IN_LAKE}, {LONGEST_OF}", IN_MARTS, f"{IN_MARTS}, {LONGEST_OF}"]
        card(
            f"Time until a request can be read by {unit}, s",
            f"From the arrival of a request until it is in the lake and in the published marts, {of_days}: the "
            "longest wait in a refresh, of which the median and the maximum are shown. Known of the last "
            f"{KEPT.days} days.",
            waited,
            lambda: draw(waited, names, ["#7fb2de", "#1f6fb2", "#e0b04a", "#c0562f"], "Seconds", ",.1~f", FEW),
            live=True,
        )

columns: dict[str, Any] = {
    "mart": "Mart", "description": "What it has", "newest": "Newest partition, UTC",
    "written_at": st.column_config.DatetimeColumn("Written, UTC", format="YYYY-MM-DD HH:mm:ss"),
    "rows": st.column_config.NumberColumn("Rows", format="localized"),
    "files": st.column_config.NumberColumn("Files", format="localized"),
    "mb": st.column_config.NumberColumn("MB", format="%.2f"),
    "at": st.column_config.DatetimeColumn("Began, UTC", format="YYYY-MM-DD HH:mm:ss"), "result": "Result",
    "seconds": st.column_config.NumberColumn("Seconds", format="%.1f"),
    "requests": st.column_config.NumberColumn("n", format="localized"),
    "lake_wait_s": st.column_config.NumberColumn("Until in the lake, s", format="%.1f"),
    "marts_wait_s": st.column_config.NumberColumn("Until in the marts, s", format="%.1f"),
    "said": "Failed steps and warnings", "generation_id": "Id", "reason": "Reason",
    "hour": st.column_config.DatetimeColumn("Hour, UTC", format="YYYY-MM-DD HH:mm"),
    "why": st.column_config.LinkColumn("Explanation", display_text="explain"),
}  # fmt: skip
aside = ask(set_aside, time_range)
if aside.is_empty():
    st.caption(f"No request of {time_range.sentence()} was set aside for breaking a rule of the marts.")
else:
    layers, ids = largest(aside, 8), ask(set_aside_ids, time_range)
    card(
        f"Requests set aside by {grain} and reason",
        f"{time_range.sentence()} (UTC), in the lake and in no mart, since they contradict a rule of the marts. The "
        f"running {grain} is hatched.",
        layers.select("period", "name", "requests"),
        lambda: draw_chart(
            stacked_amounts(layers, grain, as_of, name_colour, 0, title="Reason", y_title="Requests set aside",
                            number_format="~s"),
            alt=f"Requests set aside by {grain} and reason",
        ),
    )  # fmt: skip
    explained = ids.with_columns(why=pl.format(f"requests?id={{}}&data={chosen_source()}", "generation_id"))
    card(
        "Requests that were set aside",
        "The 200 newest. The last column leads to the page that says why the request went where it went.",
        ids,
        lambda: show_table(explained, column_config=columns, alt="Requests that were set aside"),
    )
files = ask(left_out)
if not files.is_empty():
    card("Files of the lake that cannot be read", "They are left out of all marts until they are repaired.", files,
         lambda: show_table(files, alt="Unreadable files"))  # fmt: skip

made = ask(mart_files).select(pl.exclude("description"), "description")
card(
    "Freshness of each mart",
    "A partition is an hour (2026-11-17T05), a day or a month; the newest is the last one with rows. All marts are "
    "published together; one whose requests have not changed is not written again.",
    made,
    lambda: show_table(made, column_config=columns, alt="Freshness of each mart"),
)
if live:
    runs = refresh_table(known[-200:])
    card(
        "Refreshes",
        f"The 200 newest of {of_days}, with their duration and result; n are the requests that were new to it.",
        runs,
        lambda: (
            st.caption("There is none: run `portolan refresh`, or choose another time range.")
            if runs.is_empty()
            else show_table(runs, column_config=columns, alt="Refreshes of the marts")
        ),
        live=True,
    )
else:
    st.caption("The synthetic market has no router, and is not refreshed: its log and its refreshes are not shown.")
foot(COUNTED)
