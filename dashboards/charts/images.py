"""Render charts as PNG, where the optional package for it is installed."""

from __future__ import annotations

import textwrap
from importlib.util import find_spec
from typing import Any

import altair as alt

WIDTH, LETTERS = 900, 125


def renders() -> bool:
    """Return whether charts can be rendered: the extra ``png`` is installed."""
    return find_spec("vl_convert") is not None


def png(chart: Any, title: str, definition: str) -> bytes:
    """Return the chart with its title and its definition as PNG, on white, at twice the size of the screen."""
    import vl_convert

    lines = textwrap.wrap(definition, LETTERS)
    titled = chart.properties(
        width=WIDTH, title=alt.TitleParams(title, subtitle=lines, anchor="start", fontSize=16, offset=14)
    )
    with alt.data_transformers.enable("default", max_rows=None):
        spec = titled.configure(background="white", padding=16).to_json()
    return bytes(vl_convert.vegalite_to_png(spec, scale=2))
