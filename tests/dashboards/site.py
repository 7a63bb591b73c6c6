"""Serve the pages from a process of their own, and open a real browser, for tests and pictures."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.running import ROOT, answers, free_port, until

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def serve_pages(data_dir: Path, **environment: str) -> Iterator[str]:
    """Serve the pages over a data directory; yields their address."""
    with start_pages(data_dir, **environment) as (address, _):
        yield address


@contextmanager
def start_pages(data_dir: Path, **environment: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Serve the pages over a data directory; yields their address and the process that serves them."""
    port = free_port()
    options = ("--server.port", str(port), "--server.address", "127.0.0.1")
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "dashboards/server.py"), *options]
    variables = os.environ | {"PORTOLAN_DATA_DIR": str(data_dir)} | environment
    with subprocess.Popen(command, env=variables, cwd=ROOT) as server:
        try:
            until(lambda: answers(f"http://127.0.0.1:{port}/_stcore/health"), "the dashboards answer", 60)
            yield f"http://127.0.0.1:{port}", server
        finally:
            server.terminate()


@contextmanager
def open_browser() -> Iterator[Any]:
    """Open Chromium; yields it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_profile() -> Iterator[Any]:
    """Open Chromium as its user does, with a profile that keeps what it has loaded; yields the context of its tabs."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        size: Any = {"width": 1440, "height": 900}
        context = playwright.chromium.launch_persistent_context(
            folder, executable_path=CHROMIUM, args=[*FLAGS], viewport=size
        )
        try:
            yield context
        finally:
            context.close()
