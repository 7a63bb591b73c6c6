"""Serve the pages: run the first one once before a browser asks for it, so that its modules and figures are there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import streamlit as st
from streamlit.runtime import Runtime


@asynccontextmanager
async def _lifespan(_: st.App) -> AsyncIterator[None]:
    # The server answers in the meantime: whoever comes at once waits for what is left.
    first = asyncio.create_task(_run_first_page())
    yield
    first.cancel()


async def _run_first_page() -> None:
    await Runtime.instance().does_script_run_without_error()


app = st.App("streamlit_app.py", lifespan=_lifespan)
