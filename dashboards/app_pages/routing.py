"""Show what routing did: who decided and what served, what that gained, what exploring cost, and who was promoted."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import polars as pl
import streamlit as st

from dashboards.access import ask, foot
from dashboards.charts.intervals import intervals, intervals_over_time
from dashboards.charts.matrices import matrix
from dashboards.charts.over_time import lines, stacked_amounts
from dashboards.colours import model_colour, policy_colour
from dashboards.comparison import growth, points
from dashboards.controls import FEW, card, choose_comparison, choose_time_range, draw_chart, greyed, show_table
from dashboards.plain_text import plain
from dashboards.policy_report import show_policies
from dashboards.queries.freshness import freshness
from dashboards.queries.layers import UNNAMED, largest
from dashboards.queries.routing import (
    ATTEMPTS,
    FEWEST_BLOCKS,
    PER,
    RANKS,
    UNRANKED,
    UNSERVED,
    By,
    Kept,
    gains,
    gains_over_time,
    names,
    ranks,
    served,
    shares,
    sums,
    worded,
)
from dashboards.request_list import RequestsOf, explain_request, newest_requests
from dashboards.slice_controls import ANY, with_asked
from dashboards.sources import chosen_source, demo_badge, lake, observed_until
from dashboards.time_range import TimeRange

COUNTED = "What was decided for each request, and what became of it."
BYS: tuple[By, ...] = ("policy", "version", "model")
FIGURES = {
    "gain": "What the choice of the endpoint saved",
    "exploration": "What exploring cost",
    "net": "The saving less hedged requests",
}
LIST_PRICE = "at list prices, against the mean of the endpoints that were eligible"
EXPLAINED = {
    "gain": f"Tokens of served requests {LIST_PRICE}. What exploring cost is already in it.",
    "exploration": "Tokens of requests whose first endpoint was not a most probable one, at its list price, less those "
    "at the most probable one's.",
    "net": f"Tokens of served requests {LIST_PRICE}, less the estimated cost of hedged requests that lost.",
}
DECISION = "decision-of-one-request"

st.title("Routing")
time_range = choose_time_range(with_grain=True)
comparison = choose_comparison(time_range)
found = ask(freshness)
assert found.first is not None and found.last is not None
with st.sidebar:
    by: By = st.segmented_control("Share by", BYS, default="policy", key="by", bind="query-params",
                                  required=True) or "policy"  # fmt: skip
    figure = st.segmented_control("Gain", [*FIGURES], default="gain", key="gain", bind="query-params",
                                  required=True) or "gain"  # fmt: skip
    policy = st.selectbox("Policy", with_asked([ANY, *ask(names, time_range, "policy")], "policy"), key="policy",
                          bind="query-params")  # fmt: skip
    model = st.selectbox("Model", with_asked([ANY, *ask(names, time_range, "model")], "model"), key="model",
                         bind="query-params")  # fmt: skip
kept = Kept(None if policy == ANY else policy, None if model == ANY else model)
as_of, grain = observed_until(found.last), time_range.grain
said = f"{time_range.sentence()} (UTC, weeks from Monday){''.join(f', {name} {one}' for name, one in kept.filters)}"
of_all = RequestsOf(time_range, kept.filters)
framed = partial(card, requests=of_all)
rows = ask(served, time_range, by, kept)
if rows.is_empty():
    st.info(f"No request of {plain(said)}. Choose another time range, or leave a filter out.")
    foot(COUNTED)
    st.stop()

now, earlier = ask(sums, *time_range.moments, kept), comparison.before
before = ask(sums, earlier.begin, earlier.end, kept) if earlier else None
before = before if before and before["requests"] else None
n = now["requests"]


def grown(name: str) -> str | None:
    """Return by how much a figure has changed since the range before."""
    return growth(now[name], before[name]) if before else None


choices = points(now["choices"] / n, before["choices"] / before["requests"]) if before else None
with st.container(horizontal=True):
    for label, value, delta, help_text in (
        ("Requests", f"{n:,}", grown("requests"), None),
        ("With a choice", f"{now['choices'] / n:.1%}", choices, "Two or more endpoints were eligible"),
        ("Saved by the choice", f"${now['gain_nano'] / 1e9:,.2f}", grown("gain_nano"), EXPLAINED["gain"]),
        (
            "Spent on exploring",
            f"${now['exploration_nano'] / 1e9:,.2f}",
            grown("exploration_nano"),
            EXPLAINED["exploration"],
        ),
        ("Rescued by fallback", f"{now['rescued']:,}", grown("rescued"), "Answered although the first attempt failed"),
    ):
        st.metric(label, value, delta, delta_color="off", help=help_text, border=True, height="stretch")

colour = model_colour if by == "model" else policy_colour
whole = pl.col("value").sum().over("period")
layers = largest(rows, 10).with_columns(value=pl.col("value") / whole)
framed(
    f"Share of requests by {grain} and {by}",
    f"Shares of all requests, {said}. The running {grain} is hatched; layers of fewer than {FEW} requests are pale.",
    layers.select("period", "name", share="value", requests="requests"),
    lambda: draw_chart(
        stacked_amounts(layers, grain, as_of, colour, FEW, title=by.title(), y_title="Share of requests",
                        number_format=".1~%"),
        alt=f"Share of requests by {grain} and {by}",
    ),
)  # fmt: skip

placed = ask(ranks, time_range, kept)
rank_order = [one for one in (*RANKS, UNRANKED, UNSERVED) if one in placed["rank"].to_list()]
attempt_order = [one for one in (*ATTEMPTS, UNSERVED) if one in placed["attempt"].to_list()]
framed(
    "Which endpoint served, and at which attempt",
    f"Share of all requests, {said}. The 1st of the eligible endpoints is the most probable one; a fallback is a later "
    f"attempt. Cells of fewer than {FEW} requests are grey.",
    placed,
    lambda: draw_chart(
        matrix(placed, "attempt", "rank", "share", x_order=attempt_order, y_order=rank_order, title="Share of requests",
               number_format=".1%", few=FEW, y_title="Endpoint by probability"),
        alt="Rank of the endpoint that served by attempt",
    ),
)  # fmt: skip

parts = ask(shares, time_range, kept)
part_names = ["rescued", "explored", "hedged"]
card(
    f"Fallback, exploration and hedging by {grain}",
    f"Shares of all requests, {said}. Rescued: answered although the first attempt failed. Explored: the first "
    f"endpoint was not a most probable one. The line to the running {grain} is dashed; points of fewer than {FEW} "
    "requests are hollow. The list below has the requests that fallback rescued.",
    parts,
    lambda: draw_chart(
        lines(parts, part_names, ["#1f6fb2", "#e08e1b", "#7a5195"], "Share of requests", grain, as_of, few=FEW),
        alt=f"Shares of requests that were rescued, explored and hedged by {grain}",
    ),
    requests=RequestsOf(time_range, (*kept.filters, ("status", "rescued by fallback"))),
)  # fmt: skip

if not now["choices"]:
    st.info(f"No request of {plain(said)} had two eligible endpoints, so that routing could neither gain nor explore.")
else:
    blocks = f"Intervals of 95 % from hours, or from days in ranges of four weeks and more, at least {FEWEST_BLOCKS}."
    choice = "that explored" if figure == "exploration" else "of several endpoints"
    framed = partial(card, requests=RequestsOf(time_range, (*kept.filters, ("choice", choice))))
    gained = worded(ask(gains, time_range, by, kept).with_columns(pl.col("name").fill_null(UNNAMED)).head(20), figure)
    framed(
        f"{FIGURES[figure]}, by {by}",
        f"USD per {PER:,} requests, {said}. {EXPLAINED[figure]} {blocks} Dots of fewer than {FEW} requests are hollow.",
        gained,
        lambda: draw_chart(
            intervals(gained, "name", figure, f"{figure}_low", f"{figure}_high", "requests",
                      title=f"USD per {PER:,} requests", number_format="$,.4~f", few=FEW),
            alt=f"{FIGURES[figure]} by {by}, with intervals",
        ),
    )  # fmt: skip
    over_time = worded(ask(gains_over_time, time_range, kept), figure)
    framed(
        f"{FIGURES[figure]}, by {grain}",
        f"USD per {PER:,} requests, {said}. {EXPLAINED[figure]} Intervals of 95 % from hours, in months from days, at "
        f"least {FEWEST_BLOCKS}; that of the running {grain} is dashed.",
        over_time,
        lambda: draw_chart(
            intervals_over_time(over_time, figure, grain, as_of, title=f"USD per {PER:,} requests",
                                number_format="$,.4~f", few=FEW),
            alt=f"{FIGURES[figure]} by {grain}, with intervals",
        ),
    )  # fmt: skip
    columns: dict[str, Any] = {
        "name": by.title(),
        "requests": st.column_config.NumberColumn("n", format="localized", help=f"Requests; under {FEW} are greyed"),
        "choices": st.column_config.NumberColumn("With a choice", format="localized"),
        "explored": st.column_config.NumberColumn("Explored", format="localized"),
    } | {name: st.column_config.NumberColumn(f"{name.capitalize()}, USD", format="%.4f", help=EXPLAINED[name])
         for name in FIGURES}  # fmt: skip
    ledger = gained.select("name", "requests", "choices", "explored", *FIGURES)
    framed(
        f"Gain and cost of exploration by {by}",
        f"USD per {PER:,} requests, {said}, the 20 with most requests.",
        ledger,
        lambda: show_table(greyed(ledger), column_config=columns, alt=f"Gain and cost of exploration by {by}"),
    )

with st.container(border=True):
    st.markdown(f"**One decision explained**{demo_badge()}")
    st.caption(f"The newest request of {plain(said)} for which several endpoints were eligible.")
    with st.expander("Explain it", icon=":material/receipt_long:", key=DECISION, on_change="rerun") as opened:
        if opened.open:
            newest = newest_requests(RequestsOf(time_range, (*kept.filters, ("choice", "of several endpoints"))))
            if newest.is_empty():
                st.caption("There is none. Choose another time range, or leave a filter out.")
            else:
                one, day = newest["id"][0], newest["time"][0].date()
                explain_request(one, RequestsOf(TimeRange(day, day + timedelta(days=1), "day")))
                address = f"requests?id={one}&data={chosen_source()}"
                st.caption(f"Address of this explanation: [{address}]({address})")

st.subheader("Learned policies")
if chosen_source() == "demo":
    st.caption("No policy learns from the synthetic market. Choose live data to see those of this installation.")
else:
    begin, end = time_range.moments
    # Steps are taken after the last request too, which ends a range.
    show_policies(lake(), begin, max(end, datetime.now(UTC)) if end.date() > found.last.date() else end)
foot(COUNTED)
