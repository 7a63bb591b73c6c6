"""Run the queries of pages on the current mart, one connection each, and cache results by mart version."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import streamlit as st

from dashboards.queries.freshness import freshness
from data.lake import Lake
from data.marts import NoMart, open_mart

T = TypeVar("T")


def lake() -> Lake:
    """Return the lake of the data directory ``PORTOLAN_DATA_DIR``."""
    return Lake(os.environ.get("PORTOLAN_DATA_DIR", "data/var"))


def ask(query: Callable[..., T], *arguments: Any) -> T:
    """Run ``query(mart, *arguments)`` on the current mart. Without a mart, show a sentence and end the page."""
    path = lake().current_mart()
    if path is None:
        st.info("Nothing has been published yet. Run `portolan refresh`, or wait: `portolan up` does each minute.")
        st.stop()
    try:
        answer: T = _answer(query, f"{query.__module__}.{query.__qualname__}", arguments, path.name)
    except NoMart as error:
        st.info(str(error))
        st.stop()
    return answer


@st.cache_data(max_entries=256, show_spinner=False)
def _answer(_query: Callable[..., Any], name: str, arguments: tuple[Any, ...], version: str) -> Any:  # noqa: ARG001
    with open_mart(lake()) as mart:
        return _query(mart, *arguments)


def foot(counted: str) -> None:
    """Write a caption: what the page counts, the number of requests, and the time of the data."""
    path = lake().current_mart()
    st.caption(f"{counted} {ask(freshness).sentence()} Mart `{path.stem if path else '-'}`.")
