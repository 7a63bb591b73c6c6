"""Run the queries of pages on the chosen marts, one connection each, and cache results by mart version."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import duckdb
import streamlit as st

from dashboards.analytics.lake_rows import query_rows
from dashboards.queries.freshness import freshness
from dashboards.sources import age_sentence, chosen_lakes, chosen_source
from data.lake import Lake
from data.marts import NoMart, open_marts

T = TypeVar("T")
# What was asked so lately is asked again of a new version.
LATELY_S = 600.0


class _Question(NamedTuple):
    """Hold a query with its arguments, the lakes that it was asked of, and when."""

    lakes: list[Lake]
    query: Callable[..., Any]
    arguments: tuple[Any, ...]
    at: float


_asked: dict[str, _Question] = {}


def ask(query: Callable[..., T], *arguments: Any) -> T:
    """Run ``query(mart, *arguments)`` on the chosen marts. Without a mart, show a sentence and end the page."""
    return _ask(query, arguments, None)


def ask_rows(query: Callable[..., T], begin: datetime, end: datetime, *arguments: Any) -> T:
    """Run ``query(rows, *arguments)`` on the single requests from ``begin`` to ``end``, at most ``LONGEST``.

    ``rows`` has them as the view ``lake_rows``. What the marts do not have yet is in the lake, but shown from the next
    refresh on, as everything else.
    """
    return _ask(query, arguments, (begin, end))


def _ask(query: Callable[..., T], arguments: tuple[Any, ...], moments: tuple[datetime, datetime] | None) -> T:
    lakes = chosen_lakes()
    paths = [found.current_mart() for found in lakes]
    if None in paths:
        st.info("Nothing has been published yet. Run `portolan refresh`, or wait: `portolan up` does each minute.")
        st.stop()
    versions = tuple(str(path) for path in paths)
    if moments is None:
        question = _Question(lakes, query, arguments, time.monotonic())
        _asked[repr(([found.root for found in lakes], _name(query), arguments))] = question
    try:
        answer: T = _answer(lakes, query, _name(query), arguments, versions, moments)
    except NoMart as error:
        st.info(str(error))
        st.stop()
    except duckdb.CatalogException:
        demo = "" if chosen_source() == "live" else " The synthetic market is not refreshed: run `portolan demo-data`."
        st.info(f"The marts are of an earlier version of Portolan. Run `portolan refresh`, or wait for the next.{demo}")
        st.stop()
    return answer


def ask_again() -> int:
    """Ask what pages have asked lately of the versions that are current now, newest first; return how many answers are
    known.

    What cannot be answered is left to the page, which says why.
    """
    lately = time.monotonic() - LATELY_S
    for key, one in list(_asked.items()):
        if one.at < lately:
            _asked.pop(key, None)
    answered = 0
    for lakes, query, arguments, _ in sorted(_asked.values(), key=lambda one: one.at, reverse=True):
        paths = [found.current_mart() for found in lakes]
        if None not in paths:
            with suppress(NoMart, duckdb.Error):
                _answer(lakes, query, _name(query), arguments, tuple(map(str, paths)), None)
                answered += 1
    return answered


def _name(query: Callable[..., Any]) -> str:
    return f"{query.__module__}.{query.__qualname__}"


@st.cache_data(max_entries=256, show_spinner=False)
def _answer(
    _lakes: list[Lake],
    _query: Callable[..., Any],
    name: str,  # noqa: ARG001
    arguments: tuple[Any, ...],
    versions: tuple[str, ...],  # noqa: ARG001
    moments: tuple[datetime, datetime] | None,
) -> Any:
    if moments is not None:
        return query_rows(_lakes, *moments, lambda rows: _query(rows, *arguments))
    with open_marts(_lakes) as mart:
        return _query(mart, *arguments)


def foot(counted: str) -> None:
    """Write a caption: what the page counts, the number of requests, the time of the data and the age of the mart."""
    demo = "" if chosen_source() == "live" else "Synthetic data are included; see `lab/market/parameters.toml`. "
    st.caption(f"{demo}{counted} {ask(freshness).sentence()} {age_sentence(datetime.now(UTC))}")
