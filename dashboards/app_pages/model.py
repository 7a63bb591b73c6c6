"""Show one model: its providers side by side and over time, how many of its users stay, and where they move."""

from functools import partial
from typing import Any, Literal

import polars as pl
import streamlit as st

from dashboards.access import ask, foot
from dashboards.charts.comparisons import gains_and_losses, quantile_ranges
from dashboards.charts.matrices import matrix
from dashboards.charts.over_time import lines, stacked_shares
from dashboards.colours import provider_colour
from dashboards.comparison import growth, points, with_changes
from dashboards.controls import FEW, card, choose_comparison, choose_time_range, draw_chart, greyed, show_table
from dashboards.defaults import follow_default
from dashboards.plain_text import plain
from dashboards.queries.freshness import freshness
from dashboards.queries.market import models, shares
from dashboards.queries.models import MEASURES, measured, moves, provider_tokens, retention
from dashboards.queries.offers import offers
from dashboards.queries.providers import served_models, side_by_side
from dashboards.request_list import RequestsOf
from dashboards.slice_controls import with_asked
from dashboards.sources import lake, observed_until
from data.catalogue.configured import configured_catalogue

# Users of longer ranges are counted by month: in a week few are active.
MANY_DAYS = 200
COUNTED = (
    "Uptime leaves out 429s and the client's own errors. List price of the cheapest offer, and the countries or areas "
    "where it is processed, as far as they are known."
)

st.title("Model")
time_range = choose_time_range(with_grain=True)
comparison = choose_comparison(time_range)
served = ask(served_models, time_range)
if not served:
    st.info(f"No request was served from {time_range.sentence()}. Choose another time range.")
    st.stop()
follow_default("model", served[0])
with st.sidebar:
    model = str(st.selectbox("Model", with_asked(served, "model"), key="model", bind="query-params"))
    measure = st.segmented_control(
        "Providers over time by", [*MEASURES], default="ttft", key="measure", bind="query-params", required=True
    ) or "ttft"  # fmt: skip
n = pl.col("requests")
found = ask(freshness)
assert found.last is not None
as_of, grain, said = observed_until(found.last), time_range.grain, time_range.sentence()
framed = partial(card, requests=RequestsOf(time_range, (("model", model),)))

ranked = ask(models, time_range).with_row_index("rank", offset=1)
own = next(iter(ranked.filter(pl.col("model") == model).to_dicts()), None)
if own is None:
    st.info(plain(f"No request for {model} was made from {said}. Choose another time range or model."))
    foot(COUNTED)
    st.stop()
earlier = ask(models, comparison.before) if comparison.before else ranked.head(0)
then: dict[str, Any] = next(
    iter(earlier.with_row_index("place", offset=1).filter((pl.col("model") == model) & (n >= FEW)).to_dicts()), {}
)


def price(row: dict[str, Any]) -> float | None:
    return row["cost_usd"] / row["tokens"] * 1e6 if row.get("tokens") else None


paid, rose = price(own), then["place"] - own["rank"] if then else None
figures: tuple[tuple[str, str, str | None, Literal["normal", "inverse"]], ...] = (
    ("Rank by tokens", f"{own['rank']} of {ranked.height}", f"{rose:+d}" if rose else None, "normal"),
    ("Share of tokens", f"{own['share'] or 0:.1%}", points(own["share"], then.get("share")), "normal"),
    ("Requests", f"{own['requests']:,}", growth(own["requests"], then.get("requests")), "normal"),
    ("Answered", "" if own["success"] is None else f"{own['success']:.2%}", points(own["success"], then.get("success")),
     "normal"),
    ("USD a million tokens", f"${paid:,.3f}" if paid else "", growth(paid, price(then)), "inverse"),
)  # fmt: skip
with st.container(horizontal=True):
    for label, value, change, colour in figures:
        st.metric(label, value or "–", change, colour, border=True, height="stretch")

frame = ask(side_by_side, model, time_range)
if frame["ttft_p50"].is_null().all():
    st.info(plain(f"No answer of {model} from {said} has a measured TTFT. The page Errors says why requests failed."))
else:
    framed(
        f"Time to the first token, {model}",
        f"{said}. TTFT is the client's, retries included. Percentiles from histograms, to 1 %.",
        frame,
        lambda: draw_chart(quantile_ranges(frame), alt=f"Time to the first token of the providers of {model}"),
    )
columns: dict[str, Any] = {
    "provider": "Provider",
    "attempts": st.column_config.NumberColumn("Attempts", format="localized"),
    "uptime": st.column_config.NumberColumn("Uptime", format="percent"),
    "uptime_change": st.column_config.NumberColumn("Change", format="%+.2f points"),
    "rate_limited": st.column_config.NumberColumn("429s", format="percent"),
    "ttft_p50": st.column_config.NumberColumn("TTFT p50, s", format="%.2f"),
    "ttft_p50_change": st.column_config.NumberColumn("Change of p50", format="percent"),
    "ttft_p90": st.column_config.NumberColumn("p90, s", format="%.2f"),
    "ttft_p99": st.column_config.NumberColumn("p99, s", format="%.2f"),
    "throughput_p50": st.column_config.NumberColumn("Tokens/s p50", format="%.0f"),
    "throughput_p50_change": st.column_config.NumberColumn("Change", format="percent"),
    "prompt_usd": st.column_config.NumberColumn("In, $/M", format="%.2f"),
    "completion_usd": st.column_config.NumberColumn("Out, $/M", format="%.2f"),
    "processed_in": "Processed in",
    "model": "Model",
    "won": st.column_config.NumberColumn("Users won", format="localized"),
    "lost": st.column_config.NumberColumn("Users lost", format="localized"),
    "net": st.column_config.NumberColumn("Net", format="%+d"),
    "tokens_won": st.column_config.NumberColumn("Tokens won", format="compact"),
    "tokens_lost": st.column_config.NumberColumn("Tokens lost", format="compact"),
}
compared = with_changes(
    frame, ask(side_by_side, model, comparison.before) if comparison.before else None, ["provider"],
    {"uptime": "points", "ttft_p50": "growth", "throughput_p50": "growth"}, FEW, n="attempts",
)  # fmt: skip
beside = compared.join(offers(model, configured_catalogue(lake())), on="provider", how="left", maintain_order="left")
framed(
    "Providers side by side",
    f"{said}. Prices are list prices of the catalogue in force now; rows of fewer than {FEW} attempts are "
    f"grey.{comparison.against}",
    beside,
    lambda: show_table(greyed(beside, "attempts"), column_config=columns, alt=f"Providers of {model} side by side"),
)

tokens = ask(provider_tokens, model, time_range)
if tokens["tokens"].sum():
    layers = shares(tokens, "provider", 12)
    framed(
        f"Share of tokens by {grain} and provider",
        f"Of the tokens of {model}, {said} (UTC, weeks from Monday). The running {grain} is hatched; layers of fewer "
        f"than {FEW} requests are pale.",
        layers.select("period", "name", "share", "tokens", "requests"),
        lambda: draw_chart(
            stacked_shares(layers, grain, as_of, provider_colour, FEW, as_share=True, title="Provider"),
            alt=f"Shares of the providers of {model} by {grain}",
        ),
    )

over_time, described = ask(measured, model, measure, time_range), MEASURES[measure]
names = sorted(over_time["name"].unique().to_list())
if over_time.is_empty():
    st.info(
        plain(f"Nothing was measured for {described.label} of {model} from {said}. Choose another measure or range.")
    )
else:
    framed(
        f"{described.label} by {grain} and provider",
        f"{model}, {said} (UTC). n counts requests, for uptime and 429s attempts. The line to the running {grain} is "
        f"dashed; points of fewer than {FEW} are hollow.",
        over_time,
        lambda: draw_chart(
            lines(
                over_time, names, [provider_colour(name) for name in names], described.label, grain, as_of,
                number_format=described.number_format, few=FEW, from_zero=described.from_zero,
            ),
            alt=f"{described.label} of the providers of {model} by {grain}",
        ),
    )  # fmt: skip

step = "month" if grain == "month" or (time_range.end - time_range.begin).days > MANY_DAYS else "week"
of_users = time_range._replace(grain="month" if step == "month" else "week")
cohorts = ask(retention, model, of_users)
if cohorts.is_empty():
    st.info(plain(f"No user first used {model} from {said}; users are known of requests with an API key."))
else:
    newest = cohorts["cohort"].unique().sort(descending=True).head(18).to_list()
    drawn = cohorts.filter(pl.col("cohort").is_in(newest) & (pl.col("age") < 14)).with_columns(
        pl.col("cohort").dt.strftime("%Y-%m-%d")
    )
    framed(
        f"How many users stay, by the {step} of their first use",
        f"Users by the {step} in which they first used {model}, and the share of them who used it so many {step}s "
        f"later. Users are those that requests name, else their API keys. The last {step} may not have ended; cohorts "
        f"of fewer than {FEW} users are grey.",
        cohorts.rename({"requests": "users"}),
        lambda: draw_chart(
            matrix(
                drawn, "age", "cohort", "share", x_order=sorted(set(drawn["age"].to_list())),
                y_order=[str(day) for day in sorted(newest)], title="Share of users", few=FEW,
                x_title=f"{step.title()}s later", y_title="First used",
            ),
            alt=f"Retention of the users of {model}",
        ),
    )  # fmt: skip

moved = ask(moves, model, of_users)
if moved.is_empty():
    st.info(plain(f"No user moved from or to {model} from {said}."))
else:
    framed(
        "From where users came, and where they went",
        f"Users whose main model of a {step}, that with most tokens, was {model} and another one in the {step} in "
        f"which they were active before or after; {said}. {moved['won'].sum():,} won, {moved['lost'].sum():,} lost.",
        moved,
        lambda: draw_chart(
            gains_and_losses(moved, "model", "won", "lost", title="Users"), alt=f"Users won and lost by {model}"
        ),
    )
foot(COUNTED)
