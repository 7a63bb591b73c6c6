"""Show the controls that narrow a page to some requests, bound to the URL, and run queries on the slice they make."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import streamlit as st

from dashboards.access import ask, ask_rows
from dashboards.analytics.lake_rows import LONGEST
from dashboards.language_names import language_name
from dashboards.queries.slices import FIELDS, LAKE, Slice, Windows, values
from dashboards.time_range import TimeRange

T = TypeVar("T")
ANY = "any"
# What ``value_name`` calls a language ends with its code.
_CODE = re.compile(r"\((\w+)\)$")


def windows_of(time_range: TimeRange, last: datetime) -> Windows:
    """Return the hours of the range up to that of the ``last`` request (UTC), to compare with as many hours before."""
    begin, end = time_range.moments
    reached = (last.replace(tzinfo=UTC) + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
    return Windows(begin, max(min(end, reached), begin + timedelta(hours=1)), (time_range.end - time_range.begin).days)


def choose_filters(names: Sequence[str], windows: Windows) -> tuple[tuple[str, str], ...]:
    """Show a select box for each field in the sidebar; return the fields that are narrowed, with their values."""
    chosen = []
    with st.sidebar:
        for name in names:
            options = with_asked([ANY, *ask(values, name, windows.begin, windows.end)], name)
            value = st.selectbox(FIELDS[name].label, options, format_func=partial(value_name, name), key=name,
                                 bind="query-params")  # fmt: skip
            if value not in (None, ANY):
                chosen.append((name, str(value)))
    return tuple(chosen)


def with_asked(options: list[str], key: str) -> list[str]:
    """Return the options, and the value that the address has for ``key`` even if no request of the range has it.

    Without it the page would silently show all requests in place of none.
    """
    asked = st.query_params.get(key)
    if not asked:
        return options
    code = _CODE.search(asked) if key == "language" else None
    value = code[1] if code else asked
    return options if value in options else [*options, value]


def value_name(field: str, value: str) -> str:
    """Return what a value is called on pages and in their addresses."""
    return f"{language_name(value)} ({value})" if field == "language" and value != ANY else value


def ask_slice(query: Callable[..., T], asked: Slice, begin: datetime, end: datetime, *arguments: Any) -> T | None:
    """Run ``query(source, asked, *arguments)`` on the mart that holds the slice, else on the lake.

    Returns ``None`` if no mart does and the range is longer than the lake is read.
    """
    if asked.source != LAKE:
        return ask(query, asked, *arguments)
    if end - begin > LONGEST:
        return None
    return ask_rows(query, begin, end, asked, *arguments)


def source_sentence(asked: Slice) -> str:
    """Return what the figures of a slice stand on, for captions."""
    words = " Fields of the prompt are known of a labelled sample alone." if asked.sampled else ""
    if asked.source == LAKE:
        words += f" No mart holds these fields together: read from single requests, at most {LONGEST.days} days."
    return words


def too_long_sentence(asked: Slice) -> str:
    """Return what to do when ``ask_slice`` gave ``None``."""
    labels = ", ".join(sorted(FIELDS[name].label.lower() for name in asked.fields))
    return (
        f"No mart holds {labels} together, so that single requests must be read, of at most {LONGEST.days} days. "
        "Choose a shorter time range, or leave a filter out."
    )
