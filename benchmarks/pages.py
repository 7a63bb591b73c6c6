"""Measure how long each page of the dashboards takes until its last chart is drawn, over a year of many requests.

    python -m benchmarks.pages                          # makes the marts of 100 million requests in a temporary folder
    python -m benchmarks.pages --data FOLDER --write    # on those of benchmarks.data.year, into docs/data-speed.md

Each page is opened in headless Chromium three times: on a server that has just started, after a new version has been
published, when nothing of it is cached, and once more. Times are those from the navigation to the last change of the
page; CPU seconds are those of the server's process.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.data.year import REQUESTS, publish_again, write_year
from benchmarks.tables import write_between
from data.lake import Lake
from pipelines.marts.manifest import Manifest, read_manifest
from tests.dashboards.pictures import PAGES
from tests.dashboards.site import open_browser, start_pages

PAGE = Path("docs/data-speed.md")
# A page is drawn when nothing of it has changed for so long.
QUIET_MS = 2_000
MOST_MS = 300_000
# Notes the time of the last change within the page, charts and tables included, in ms since the navigation began.
WATCH = """
window.lastChange = 0;
new MutationObserver(found => {
  if (found.some(one => one.target.closest?.('[data-testid=stMain]'))) window.lastChange = performance.now();
}).observe(document, {childList: true, subtree: true, attributes: true, attributeFilter: ['width', 'height', 'd']});
"""
DRAWN = f"""
() => document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'
  && !document.querySelector('[data-testid=stSkeleton]') && performance.now() - window.lastChange > {QUIET_MS}
"""
CHARTS = "[data-testid=stVegaLiteChart], [data-testid=stDataFrame]"


class Load(NamedTuple):
    """Hold what one opening of a page took: seconds, CPU seconds of the server, kB that it sent, charts and tables."""

    seconds: float
    cpu_s: float
    kilobytes: float
    charts: int


def open_page(browser: Any, address: str, pid: int) -> Load:
    """Open a page in a context without a cache, and wait until it is drawn."""
    before, received = cpu_seconds(pid), 0
    context = browser.new_context(viewport={"width": 1440, "height": 900})

    def count(payload: str | bytes) -> None:
        nonlocal received
        received += len(payload)

    try:
        page = context.new_page()
        page.add_init_script(WATCH)
        page.on("websocket", lambda socket: socket.on("framereceived", count))
        page.goto(address, timeout=MOST_MS)
        page.get_by_test_id("stMain").get_by_role("heading").first.wait_for(timeout=MOST_MS)
        page.wait_for_function(DRAWN, timeout=MOST_MS)
        if page.get_by_test_id("stException").count():
            raise RuntimeError(f"{address}: {page.get_by_test_id('stException').first.inner_text()}")
        seconds, charts = page.evaluate("window.lastChange") / 1000, page.locator(CHARTS).count()
    finally:
        context.close()
    return Load(seconds, cpu_seconds(pid) - before, received / 1000, charts)


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(lake: Lake, manifest: Manifest, pages: list[str]) -> Iterator[str]:
    """Yield the row of each page."""
    for name in pages:
        with start_pages(lake.root) as (site, server), open_browser() as browser:
            first = open_page(browser, f"{site}/{name}", server.pid)
            publish_again(lake, manifest)
            fresh, again = (open_page(browser, f"{site}/{name}", server.pid) for _ in range(2))
        figures = " | ".join(f"{one.seconds:.1f} | {one.cpu_s:.1f}" for one in (first, fresh, again))
        yield f"| {name or 'market'} | {first.charts} | {fresh.kilobytes:,.0f} | {figures} |"


@contextmanager
def marts(folder: Path | None, requests: int) -> Iterator[tuple[Lake, Manifest]]:
    """Yield the marts in ``folder``; make them where there are none."""
    with ExitStack() as opened:
        lake = Lake(folder or opened.enter_context(tempfile.TemporaryDirectory()))
        yield lake, read_manifest(lake) if lake.current_mart() else write_year(lake, requests)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages", description=__doc__)
    parser.add_argument("--data", type=Path, help="data directory with the marts; made if it has none")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--pages", nargs="+", choices=[name or "market" for name in PAGES])
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE}")
    chosen = parser.parse_args()
    lines = [
        "| page | charts and tables | sent, kB | first load, s | CPU s | new version, s | CPU s | again, s | CPU s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    pages = [name for name in PAGES if not chosen.pages or (name or "market") in chosen.pages]
    with marts(chosen.data, chosen.requests) as (lake, manifest):
        for line in measure(lake, manifest, pages):
            print(line, flush=True)
            lines.append(line)
    load = os.getloadavg()[0]
    made = f"{platform.python_version()} on {platform.machine()}, {datetime.now(UTC):%Y-%m-%d}"
    lines += ["", f"{os.cpu_count()} cores with a load of {load:.1f}; Python {made}."]
    print(lines[-1])
    if chosen.write:
        write_between(PAGE, "<!-- pages:", "\n".join(lines))


if __name__ == "__main__":
    main()
