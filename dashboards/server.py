"""Serve the pages, and have what they need before a browser asks for it.

Modules are imported before the server answers, and the first page is run once when it does, so that its figures are
there. When a version is published, what pages have asked lately is asked of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

import streamlit as st
from streamlit.runtime import Runtime

POLL_S = 1.0
# Altair looks for pandas among the modules that are loaded: it fails where another page has loaded half of it. The
# others are those that take long.
SHARED = ("pandas", "altair", "duckdb", "polars")


@asynccontextmanager
async def _lifespan(_: st.App) -> AsyncIterator[None]:
    for name in SHARED:
        import_module(name)
    # The server answers in the meantime: whoever comes at once waits for what is left.
    ahead = asyncio.create_task(_run_ahead())
    yield
    ahead.cancel()


async def _run_ahead() -> None:
    await Runtime.instance().does_script_run_without_error()
    # Streamlit's caches belong to its runtime, which is there by now.
    from dashboards.access import ask_again
    from dashboards.sources import lake

    seen = None
    while True:
        current = lake().current_mart(), lake().demo.current_mart()
        if current != seen:
            seen = current
            try:
                await asyncio.to_thread(ask_again)
            except Exception:
                logging.getLogger(__name__).exception("what pages have asked could not be asked of a new version")
        await asyncio.sleep(POLL_S)


app = st.App("streamlit_app.py", lifespan=_lifespan)
