"""Show the providers: uptime with and without the router, 429s, latency by hour and country, prices, share won."""

from functools import partial
from typing import Any

import polars as pl
import streamlit as st

from dashboards.access import ask, ask_rows, foot
from dashboards.analytics.lake_rows import LONGEST
from dashboards.charts.calendars import uptime_calendar
from dashboards.charts.comparisons import gains_and_losses
from dashboards.charts.matrices import matrix
from dashboards.charts.over_time import lines
from dashboards.colours import provider_colour
from dashboards.comparison import points, with_changes
from dashboards.controls import FEW, card, choose_comparison, choose_time_range, draw_chart, greyed, show_table
from dashboards.plain_text import plain
from dashboards.queries.freshness import freshness
from dashboards.queries.providers import served_models
from dashboards.queries.rankings import ranking
from dashboards.queries.reliability import (
    METERS,
    ROUTER,
    latency_by_country,
    latency_by_hour,
    price_changes,
    prices,
    rate_limits,
    rescued,
    uptimes,
)
from dashboards.queries.slices import MODEL, PROVIDER, Slice, by_window
from dashboards.request_list import RequestsOf
from dashboards.slice_controls import windows_of, with_asked
from dashboards.sources import observed_until
from dashboards.time_range import compared_ranges

ALL = "all models"
COUNTED = "Uptime leaves out 429s and the client's own errors."
SPEEDS = {"ttft": ("TTFT, median s", ".2f"), "throughput": ("Median tokens/s", ".0f")}

st.title("Providers")
time_range = choose_time_range(with_grain=True)
comparison = choose_comparison(time_range)
with st.sidebar:
    served = ask(served_models, time_range)
    model: str | None = str(
        st.selectbox("Model", with_asked([ALL, *served], "of-model"), key="of-model", bind="query-params")
    )
    speed = st.segmented_control("Latency", [*SPEEDS], default="ttft", key="speed", bind="query-params",
                                 required=True) or "ttft"  # fmt: skip
    meter = st.segmented_control("Price of", METERS, default="prompt", key="meter", bind="query-params",
                                 required=True) or "prompt"  # fmt: skip
model = None if model == ALL else model
found = ask(freshness)
assert found.first is not None and found.last is not None
as_of, grain, said = observed_until(found.last), time_range.grain, time_range.sentence()
of = model or "all models"
those = f"Requests for {of}"
framed = partial(card, requests=RequestsOf(time_range, (("model", model),) if model else ()))
up = ask(uptimes, model, time_range)
if up.is_empty():
    st.info(plain(f"No attempt for {of} from {said} says something about a provider. Choose another range or model."))
    foot(COUNTED)
    st.stop()

n = pl.col("requests")


def of_range(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the uptime of all periods together, most requests first."""
    summed = rows.group_by("name").agg((pl.col("value") * n).sum() / n.sum(), n.sum())
    return summed.sort(n, "name", descending=[True, False])


earlier = of_range(ask(uptimes, model, comparison.before)) if comparison.before else None
whole = with_changes(of_range(up), earlier, ["name"], {"value": "points"}, FEW)
order = [ROUTER, *(name for name in whole["name"].to_list() if name != ROUTER)]
best = whole.filter((pl.col("name") != ROUTER) & (n >= FEW)).sort("value", descending=True)
answered = whole.filter(pl.col("name") == ROUTER)
with st.container(horizontal=True):
    if not answered.is_empty():
        moved = None if earlier is None else answered["value_change"][0]
        st.metric(f"Requests answered by {ROUTER}", f"{answered['value'][0]:.2%}",
                  None if moved is None else points(moved / 100, 0), border=True, height="stretch")  # fmt: skip
    if not best.is_empty():
        st.metric("Best provider's uptime", f"{best['value'][0]:.2%}", best["name"][0], delta_color="off",
                  delta_arrow="off", border=True)  # fmt: skip
        st.metric("Worst provider's uptime", f"{best['value'][-1]:.2%}", best["name"][-1], delta_color="off",
                  delta_arrow="off", border=True)  # fmt: skip
framed(
    f"Uptime by {grain}, with and without {ROUTER}",
    f"{those}, {said} (UTC, weeks from Monday). A provider's row is the share of its attempts that succeeded, the "
    f"first row the share of requests that {ROUTER} answered, wherever. Cells of fewer than {FEW} are grey; "
    f"the running {grain} has a dashed border.",
    up,
    lambda: draw_chart(uptime_calendar(up, order, grain, as_of, FEW), alt=f"Uptime of providers by {grain}"),
)

points_column = st.column_config.NumberColumn("Change", format="%+.2f points")
columns: dict[str, Any] = {
    "provider": "Provider", "name": "Provider", "alone_change": points_column, "answered_change": points_column,
    "value": st.column_config.NumberColumn("Uptime", format="percent"), "value_change": points_column,
    "model": "Model", "meter": "Meter", "day": st.column_config.DateColumn("Day"),
    "requests": st.column_config.NumberColumn("n", format="localized", help=f"Requests; fewer than {FEW} are greyed"),
    "alone": st.column_config.NumberColumn("Without: first attempt succeeded", format="percent"),
    "answered": st.column_config.NumberColumn(f"With {ROUTER}: answered", format="percent"),
    "rescued": st.column_config.NumberColumn("Rescued requests", format="localized"),
    "before": st.column_config.NumberColumn("Before, USD/M", format="%.4f"),
    "after": st.column_config.NumberColumn("After, USD/M", format="%.4f"),
    "change": st.column_config.NumberColumn("Change", format="percent"),
}  # fmt: skip
framed(
    f"Uptime of the range, with and without {ROUTER}",
    f"{those}, {said} (UTC). n counts attempts, and requests for {ROUTER}; with fewer than {FEW} no change is "
    f"shown.{comparison.against}",
    whole,
    lambda: show_table(greyed(whole), column_config=columns, alt="Uptime of the range"),
)
saved = ask(rescued, model, time_range)
if not saved.is_empty():
    saved = with_changes(
        saved, ask(rescued, model, comparison.before) if comparison.before else None, ["provider"],
        {"alone": "points", "answered": "points"}, FEW,
    )  # fmt: skip
    framed(
        f"What {ROUTER} saved, by the provider tried first",
        f"{those}, {said} (UTC). Without: the first attempt "
        f"alone. With: the request in the end, after fallback, retries and hedging. 429s count as failures "
        f"here.{comparison.against}",
        saved,
        lambda: show_table(
            greyed(saved), column_config=columns | {"provider": "Tried first"},
            alt="Requests saved by fallback",
        ),
    )  # fmt: skip

limited = ask(rate_limits, model, time_range)
providers = sorted(limited["name"].drop_nulls().unique().to_list())
colours = [provider_colour(name) for name in providers]
framed(
    f"429s by {grain} and provider",
    f"Share of attempts that met a 429, {of}, {said} (UTC). The line to the running {grain} is dashed; points of fewer "
    f"than {FEW} attempts are hollow.",
    limited,
    lambda: draw_chart(
        lines(limited, providers, colours, "429s, share of attempts", grain, as_of, few=FEW),
        alt=f"Share of 429s by {grain} and provider",
    ),
)

label, number_format = SPEEDS[speed]
# What is typical of an hour of the day is so of late; hours of a year are many rows.
recent = time_range.last(LONGEST)
by_hour = ask(latency_by_hour, model, speed, recent)
if not by_hour.is_empty():
    framed(
        f"{label} by hour of day",
        f"{those}, {recent.sentence()}, at most {LONGEST.days} days, hours of UTC. Medians from histograms, to 1 %; "
        f"cells of fewer than {FEW} requests are grey.",
        by_hour,
        lambda: draw_chart(
            matrix(
                by_hour, "hour", "name", "value", x_order=range(24), y_order=order[1:], title=label,
                number_format=number_format, few=FEW, x_title="Hour of day, UTC",
            ),
            alt=f"{label} of providers by hour of day",
        ),
    )  # fmt: skip
with st.sidebar:
    compared = st.toggle("TTFT by country", key="countries", bind="query-params",
                         help=f"Reads single requests, of at most {LONGEST.days} days, which takes longer")  # fmt: skip
by_country = ask_rows(latency_by_country, *recent.moments, model, recent) if compared else None
if by_country is None:
    st.caption("*TTFT by country*, in the sidebar, compares the countries of clients from single requests.")
elif by_country.is_empty():
    st.caption(f"No request from {recent.sentence()} names the country of its client, so that none is compared.")
else:
    kept = by_country.group_by("country").agg(n.sum()).sort(n, "country", descending=[True, False])["country"].head(12)
    drawn = by_country.filter(pl.col("country").is_in(kept.to_list()))
    framed(
        "TTFT, median s, by country of the client",
        f"{those}, {recent.sentence()}, from single requests, at most {LONGEST.days} days; the twelve countries with "
        f"most requests. Cells of fewer than {FEW} requests are grey.",
        by_country,
        lambda: draw_chart(
            matrix(
                drawn, "country", "name", "value", x_order=kept.to_list(), y_order=order[1:], title="TTFT, median s",
                number_format=".2f", few=FEW,
            ),
            alt="Time to the first token of providers by country",
        ),
    )  # fmt: skip

paid = ask(prices, model, meter, time_range)
if not paid.is_empty():
    payees = sorted(paid["name"].unique().to_list())
    mix = "" if model else " Over all models it moves with what is asked for too: choose a model for its price."
    framed(
        f"Price of {meter} by {grain} and provider",
        f"Mean USD a million tokens charged, {of}, {said} (UTC).{mix}",
        paid.drop("requests"),
        lambda: draw_chart(
            lines(paid, payees, [provider_colour(name) for name in payees], "USD a million tokens", grain, as_of,
                  number_format="$.3~f"),
            alt=f"Price of {meter} by {grain} and provider",
        ),
    )  # fmt: skip
changed = ask(price_changes, model, time_range)
if not changed.is_empty():
    framed(
        "Changes of price",
        f"Days on which the mean charge for a unit differs from that of the day of use before by 0.1 % or more; "
        f" {of}, {said}, the 200 newest.",
        changed,
        lambda: show_table(changed, column_config=columns, alt="Changes of price"),
    )

windows = windows_of(compared_ranges(time_range, found.first.date())[0], found.last)
asked = Slice(PROVIDER, ((MODEL, model),) if model else ())
ranked = ranking(ask(by_window, asked, windows, 2), 2, FEW, "tokens")
if not ranked["change"].is_null().all():
    gained = ranked.with_columns(won=pl.col("change").clip(lower_bound=0), lost=(-pl.col("change")).clip(lower_bound=0))
    gained = gained.drop_nulls("change").sort(pl.col("change"), descending=True)
    framed(
        "Share of tokens won and lost",
        f"{those}, {windows.sentence()} (UTC) against {windows.sentence(1)}.",
        gained.select("name", "share", "change", "growth", "tokens", "requests"),
        lambda: draw_chart(
            gains_and_losses(gained, "name", "won", "lost", title="Change of share", number_format=".1%", shown=30),
            alt="Share of tokens that providers won and lost",
        ),
    )
foot(COUNTED)
