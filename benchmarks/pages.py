"""Measure how long each page of the dashboards takes until its last chart is drawn, over a year of many requests.

    python -m benchmarks.pages                          # makes the marts of 100 million requests in a temporary folder
    python -m benchmarks.pages --data FOLDER --write    # on those of benchmarks.data.year, into docs/data-speed.md

Each page is opened four times in headless Chromium, as one visitor would: by a browser that has never been here, on a
server that has just begun to answer; after a new version has been published, when no figure of it is cached; once more;
and from another page in the same tab. From the second time on the browser has its cache of files and of compiled
scripts. Times are those from the navigation to the last change of the page; CPU seconds are those of the server's
process and of the browser's processes.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.data.year import REQUESTS, publish_again, write_year
from benchmarks.tables import write_between
from data.lake import Lake
from pipelines.marts.manifest import Manifest, read_manifest
from tests.dashboards.pictures import PAGES
from tests.dashboards.site import open_profile, start_pages

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
    """Hold what one opening of a page took: seconds, CPU seconds of server and browser, kB sent, charts and tables."""

    seconds: float
    cpu_s: float
    browser_cpu_s: float
    kilobytes: float
    charts: int


class Tab:
    """Open pages in a tab of a browser, by their addresses and from one another."""

    def __init__(self, context: Any, site: str, server: int) -> None:
        self._site, self._server, self._received = site, server, 0
        self._page = context.new_page()
        self._page.add_init_script(WATCH)
        self._page.on("websocket", lambda socket: socket.on("framereceived", self._count))

    def _count(self, payload: str | bytes) -> None:
        self._received += len(payload)

    def open(self, name: str) -> Load:
        """Open a page by its address: the clock of its document begins with the navigation."""
        return self._drawn(lambda: self._page.goto(f"{self._site}/{name}", timeout=MOST_MS), 0.0)

    def leave(self, title: str) -> Load:
        """Follow the link to another page."""
        return self._within(self._page.get_by_role("link", name=title, exact=True).click)

    def go_back(self) -> Load:
        """Return to the page before, which takes no new document."""
        return self._within(self._page.go_back)

    def _within(self, move: Callable[[], object]) -> Load:
        return self._drawn(move, self._page.evaluate("window.lastChange = performance.now()"))

    def _drawn(self, move: Callable[[], object], began_ms: float) -> Load:
        """Move to a page, and wait until it is drawn."""
        self._received, of_server, of_browser = 0, cpu_seconds(self._server), browser_cpu_seconds()
        move()
        self._page.get_by_test_id("stMain").get_by_role("heading").first.wait_for(timeout=MOST_MS)
        self._page.wait_for_function(DRAWN, timeout=MOST_MS)
        if self._page.get_by_test_id("stException").count():
            raise RuntimeError(f"{self._page.url}: {self._page.get_by_test_id('stException').first.inner_text()}")
        seconds = (self._page.evaluate("window.lastChange") - began_ms) / 1000
        server, browser = cpu_seconds(self._server) - of_server, browser_cpu_seconds() - of_browser
        return Load(seconds, server, browser, self._received / 1000, self._page.locator(CHARTS).count())


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    return _cpu_seconds(Path(f"/proc/{pid}/stat").read_text())


def browser_cpu_seconds() -> float:
    """Return the CPU seconds of the processes that the browsers of this process have now."""
    found, children = 0.0, defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            stat = path.read_text()
            children[int(stat.rpartition(")")[2].split()[1])].append((int(path.parent.name), stat))
    waiting = [os.getpid()]
    while waiting:
        for pid, stat in children[waiting.pop()]:
            waiting.append(pid)
            found += _cpu_seconds(stat) if "chrom" in stat else 0.0
    return found


def _cpu_seconds(stat: str) -> float:
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(lake: Lake, manifest: Manifest, pages: list[str]) -> Iterator[str]:
    """Yield the row of each page."""
    for name in pages:
        with start_pages(lake.root) as (site, server), open_profile() as context:
            tab = Tab(context, site, server.pid)
            first = tab.open(name)
            publish_again(lake, manifest)
            fresh, again = tab.open(name), tab.open(name)
            tab.leave("Rankings" if name != "rankings" else "Market")
            within = tab.go_back()
        figures = " | ".join(f"{one.seconds:.1f} | {one.cpu_s:.1f}" for one in (first, fresh, again))
        within_tab = f"{again.browser_cpu_s:.1f} | {within.seconds:.1f} | {within.browser_cpu_s:.1f}"
        yield f"| {name or 'market'} | {first.charts} | {fresh.kilobytes:,.0f} | {figures} | {within_tab} |"


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
        "| page | charts and tables | sent, kB | first ever, s | CPU s | new version, s | CPU s | again, s | CPU s "
        "| browser's CPU s | within the tab, s | browser's CPU s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
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
