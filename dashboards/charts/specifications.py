"""Turn charts into specifications of Vega-Lite with their rows beside them, without Streamlit."""

from __future__ import annotations

import threading
from hashlib import blake2b
from typing import Any

import altair as alt
import polars as pl
from altair.utils.schemapi import disable_debug_mode


class _Rows(threading.local):
    """Hold the frames of the chart that this thread turns into a specification, by their names in it."""

    def __init__(self) -> None:
        self.frames: dict[str, pl.DataFrame] = {}


_rows = _Rows()


def specification(chart: Any, *, validate: bool = False) -> dict[str, Any]:
    """Return the specification of ``chart``; its ``datasets`` are frames.

    Validation takes a third of the time that a page takes, and what charts say is not a user's: the tests validate.
    """
    _rows.frames = {}
    made: dict[str, Any] = chart.to_dict(validate=validate)
    # It is that of Altair's theme, in place of which Streamlit has its own.
    made.pop("config", None)
    return made | {"datasets": _rows.frames}


def _beside(rows: Any) -> dict[str, str]:
    """Keep the rows of a chart, and return the reference to them, whose name changes with them."""
    name = blake2b(rows.write_ipc_stream(None).getvalue(), digest_size=8).hexdigest()
    _rows.frames[name] = rows
    return {"name": name}


disable_debug_mode()
alt.data_transformers.register("beside", _beside)
alt.data_transformers.enable("beside")
