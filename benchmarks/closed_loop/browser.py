"""The dashboards' page of policies, as a browser draws it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.closed_loop.stack import Stack

CHROMIUM = shutil.which("chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
LOADED_MS = 60_000


class NotShown(Exception):
    """The page lacks what the files say."""


def pictures(stack: Stack, bad: str, champion: str, reasons: Iterable[str], folder: Path) -> list[str]:
    """The registry with the bad challenger's report, the champion's report, the steps taken.

    Returns what was found on the pages: the bad challenger's state and steps, the champion's, the ``reasons``.
    Raises ``NotShown``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        wanted = (
            ("loop-refused", bad, "Selection policies", [bad, "rolled back"]),
            ("loop-champion", champion, "For whom", [champion, "champion"]),
            ("loop-steps", bad, "Steps taken", ["candidate", "rejected", "champion", "rolled back", *reasons]),
        )
        for name, version, heading, texts in wanted:
            _open(page, f"{stack.dashboards}/policies?version={version}", version)
            found += _cells(page, texts)
            _picture(page, heading, folder / f"{name}.png")
        browser.close()
    return found


def _open(page: Page, address: str, version: str) -> None:
    page.goto(address)
    page.get_by_role("heading", name=f"Report of {version}").wait_for(timeout=LOADED_MS)
    page.get_by_text("Steps taken").wait_for(timeout=LOADED_MS)
    page.wait_for_timeout(2500)


def _cells(page: Page, texts: list[str]) -> list[str]:
    """``texts``, each of which is a cell of a table on the page. Raises ``NotShown``."""
    cells = set(page.locator("[role=gridcell]").all_text_contents())
    missing = [text for text in texts if text not in cells]
    if missing:
        raise NotShown(f"{page.url} does not show {missing}")
    return texts


def _picture(page: Page, heading: str, path: Path) -> None:
    place = page.get_by_text(heading).first
    # Charts that come late push it down again.
    for _ in range(2):
        if place.count():
            place.evaluate("e => { e.style.scrollMarginTop = '80px'; e.scrollIntoView({block: 'start'}); }")
        page.wait_for_timeout(1500)
    page.screenshot(path=path)
