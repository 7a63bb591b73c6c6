"""Show what requests cost: by key, app, user, model or provider, what caches, routing and a switch save, a forecast."""

from decimal import Decimal
from functools import partial
from typing import Any

import polars as pl
import streamlit as st

from dashboards.access import ask, foot
from dashboards.charts.over_time import stacked_amounts
from dashboards.colours import model_colour, name_colour
from dashboards.comparison import growth, with_changes
from dashboards.controls import FEW, card, choose_comparison, choose_time_range, draw_chart, greyed, show_table
from dashboards.defaults import follow_default
from dashboards.plain_text import plain
from dashboards.queries.costs import (
    PACE_DAYS,
    PAYERS,
    cache_savings,
    forecast,
    payers,
    routing_gain,
    spend,
    switch,
)
from dashboards.queries.freshness import freshness
from dashboards.queries.layers import largest
from dashboards.request_list import RequestsOf
from dashboards.slice_controls import ANY, with_asked
from dashboards.sources import demo_badge, observed_until


def usd(value: float) -> str:
    """Return an amount with its cents, and a smaller one than a cent with two digits that say something."""
    return f"${value:,.2f}" if abs(value) >= 0.01 or not value else f"${Decimal(f'{value:.1e}'):f}"


st.title("Cost")
time_range = choose_time_range(with_grain=True)
comparison = choose_comparison(time_range)
with st.sidebar:
    by = st.segmented_control("Cost by", [*PAYERS], default="model", key="payer", bind="query-params", required=True)
    shown = st.slider("Names shown", 3, 15, 10, key="shown", bind="query-params")
by = by or "model"
found = ask(freshness)
assert found.last is not None
as_of = observed_until(found.last)
rows = ask(spend, time_range, by)
if not rows["value"].sum():
    st.info(f"Nothing was spent from {time_range.sentence()}. Choose another time range.")
    foot("Cost of all requests, in USD.")
    st.stop()

paid = ask(payers, time_range, by)
with st.sidebar:
    names = with_asked([ANY, *paid["name"].drop_nulls().to_list()], f"only-{by}")
    only = st.selectbox(f"Only this {by}", names, key=f"only-{by}", bind="query-params") or ANY
short = f"{only[:12]}…" if by in ("key", "user") else only
framed = partial(card, requests=RequestsOf(time_range))
of_one = partial(card, requests=RequestsOf(time_range, () if only == ANY else ((by, only),)))
if only != ANY:
    rows = rows.filter(pl.col("name") == only)
    if rows.is_empty():
        st.info(
            f"No request of the {by} {plain(short)} from {time_range.sentence()}. Choose another one, or a longer "
            "range."
        )
        foot("Cost of all requests, in USD.")
        st.stop()

ahead, cached = ask(forecast, as_of), ask(cache_savings, time_range)
gain, explored = ask(routing_gain, time_range)
before = comparison.before
earlier = ask(payers, before, by) if before else None
of_only = pl.lit(value=True) if only == ANY else pl.col("name") == only
spent_before = None if earlier is None else float(earlier.filter(of_only)["usd"].sum())
cached_before = ask(cache_savings, before) if before else None
gain_before, explored_before = ask(routing_gain, before) if before else (None, None)
with st.container(horizontal=True):
    for label, value, then, said in (
        (
            "Spent" if only == ANY else f"Spent by {plain(short)}",
            float(rows["value"].sum()),
            spent_before,
            f"{rows['requests'].sum():,} requests, {time_range.sentence()}",
        ),
        ("This month so far", ahead.so_far, None, f"{as_of:%B %Y}, up to the last request"),
        (
            "This month, at this pace",
            ahead.month,
            None,
            f"If each day left costs as the last {PACE_DAYS} that have ended did",
        ),
        (
            "Saved by prompt caches",
            cached,
            cached_before,
            "Cached tokens at the price of uncached ones, less what they cost",
        ),
        (
            "Saved by routing",
            gain,
            gain_before,
            "At the mean list price of the eligible endpoints, less that of the one that served",
        ),
        ("Spent on exploring", explored, explored_before, "Where the first endpoint was not the most probable one"),
    ):
        st.metric(label, usd(value), growth(value, then), "off", help=said, border=True, height="stretch")

layers = largest(rows, shown)
of_one(
    f"Cost by {time_range.grain} and {by}" if only == ANY else f"Cost of {short} by {time_range.grain}",
    f"USD, {time_range.sentence()} (UTC, weeks from Monday). The running {time_range.grain} is hatched; layers of "
    f"fewer than {FEW} requests are pale.",
    layers.select("period", "name", "value", "requests"),
    lambda: draw_chart(
        stacked_amounts(
            layers, time_range.grain, as_of, model_colour if by == "model" else name_colour, FEW,
            title=by.title(), y_title="USD", number_format="$,.4~r",
        ),
        alt=f"Cost by {time_range.grain} and {by}",
    ),
)  # fmt: skip

dear = with_changes(paid, earlier, ["name"], {"usd": "growth", "share": "points"}, FEW).head(100)
columns: dict[str, Any] = {
    "name": by.title(),
    "usd": st.column_config.NumberColumn("USD", format="%.4f"),
    "usd_change": st.column_config.NumberColumn("Growth", format="percent"),
    "share": st.column_config.ProgressColumn("Share", format="percent", min_value=0, max_value=1),
    "share_change": st.column_config.NumberColumn("Change of share", format="%+.1f points"),
    "requests": st.column_config.NumberColumn("n", format="localized", help=f"Requests; fewer than {FEW} are greyed"),
    "usd_per_request": st.column_config.NumberColumn("USD a request", format="%.6f"),
}
framed(
    f"Cost by {by}",
    f"{time_range.sentence()}, the hundred dearest. Keys and users are shown by their hashes, as the log has "
    f"them.{comparison.against}",
    dear,
    lambda: show_table(greyed(dear), column_config=columns, alt=f"Cost by {by}"),
)

priced = [name for name in ask(payers, time_range, "model")["name"].to_list() if name is not None]
if len(priced) > 1:
    with st.container(border=True, key="switch-card"):
        st.markdown(f"**What a switch would save**{demo_badge()}")
        left, right = st.columns(2)
        follow_default("from", priced[0])
        old = left.selectbox("From", with_asked(priced, "from"), key="from", bind="query-params")
        others = [name for name in with_asked(priced, "to") if name != old]
        follow_default("to", others[0])
        new = right.selectbox("To", others, key="to", bind="query-params")
        costs = ask(switch, time_range, old or priced[0], new or others[0])
        if costs is None:
            st.info(
                f"There are no priced requests of both {plain(old)} and {plain(new)} from {time_range.sentence()}. "
                "Choose other models or another time range."
            )
        else:
            now, then = costs
            saved = f"{1 - then / now:+.0%} saved" if now else None
            st.metric(f"{plain(old)} cost", usd(now), border=True)
            st.metric(f"The same tokens at {plain(new)}", usd(then), saved, border=True)
        st.caption(
            f"{time_range.sentence()}. Prompt and completion tokens of the one model at the mean price that the other "
            "had then. Another model may write more or fewer tokens."
        )
foot("Cost of all requests, in USD.")
