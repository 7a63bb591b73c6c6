"""Choose between live data, the synthetic market and both; every page has the same control."""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import streamlit as st

from dashboards.defaults import follow_default
from data.lake import Lake

Source = Literal["live", "demo", "both"]
STALE = timedelta(minutes=15)
_VERSION = re.compile(r"marts-(\d{8}T\d{12})Z")


def lake() -> Lake:
    """Return the lake of the data directory ``PORTOLAN_DATA_DIR``."""
    return Lake(os.environ.get("PORTOLAN_DATA_DIR", "data/var"))


def source_control() -> None:
    """Show the choice of data in the sidebar if there is a synthetic market; ``chosen_source`` returns it."""
    options = _options()
    if options == ["live"]:
        return
    follow_default("data", options[-1])
    with st.sidebar:
        st.segmented_control(
            "Data", options, default=options[-1], key="data", bind="query-params", required=True,
            help="demo is a synthetic market, made from stated parameters; 'portolan demo-data --remove' removes it",
        )  # fmt: skip


def chosen_source() -> Source:
    """Return what the control says; live data where there is no synthetic market."""
    options, chosen = _options(), st.session_state.get("data")
    return chosen if chosen in options else options[-1]


def _options() -> list[Source]:
    """Return the data that there is to choose from; the last is the default."""
    if lake().demo.current_mart() is None:
        return ["live"]
    return ["demo"] if lake().current_mart() is None else ["live", "demo", "both"]


def chosen_lakes() -> list[Lake]:
    """Return the lakes whose marts the page shows."""
    return {"live": [lake()], "demo": [lake().demo], "both": [lake(), lake().demo]}[chosen_source()]


def demo_badge() -> str:
    """Return Markdown that marks a chart whose data are synthetic, in part or all; nothing for live data."""
    words = {"live": "", "demo": " :orange-badge[Demo data]", "both": " :orange-badge[Live and demo data]"}
    return words[chosen_source()]


def published_at() -> datetime | None:
    """Return when the live mart on the page was published (UTC), ``None`` if the page shows synthetic data alone."""
    path = lake().current_mart()
    found = _VERSION.match(path.name) if path is not None and chosen_source() != "demo" else None
    return datetime.strptime(found[1], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC) if found else None


def observed_until(last: datetime) -> date:
    """Return the day (UTC) that data reach to: today, or that of the ``last`` request if no more will come."""
    return last.date() if chosen_source() == "demo" else datetime.now(UTC).date()


def age_sentence(now: datetime) -> str:
    """Return Markdown that says how old the mart is, in red if it is stale."""
    moment = published_at()
    if moment is None:
        return "The data are synthetic and are not refreshed."
    age = now - moment
    minutes = round(age.total_seconds() / 60)
    words = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} days"
    if age > STALE:
        return f":red[The mart is {words} old: run `portolan refresh`, or see why it failed.]"
    return f"The mart is {words} old."
