"""The dashboards' page of policies, as a browser draws it."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.closed_loop.house import House

CHROMIUM = shutil.which("chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
COLOURS = 64


def pictures(house: House, bad: str, champion: str, folder: Path) -> list[Path]:
    """The registry with the bad challenger's report, the champion's report, the steps taken. None without Chromium."""
    if CHROMIUM is None:
        return []
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        wanted = (("loop-refused", bad, "Selection policies"), ("loop-champion", champion, "For whom"),
                  ("loop-steps", bad, "Steps taken"))  # fmt: skip
        for name, version, heading in wanted:
            page.goto(f"{house.dashboards}/policies?version={version}")
            page.get_by_role("heading", name=f"Report of {version}").wait_for(timeout=60_000)
            page.get_by_text("Steps taken").wait_for(timeout=60_000)
            page.wait_for_timeout(2500)
            place = page.get_by_text(heading).first
            if place.count():
                place.evaluate("element => element.scrollIntoView({block: 'start'})")
            page.wait_for_timeout(1000)
            path = folder / f"{name}.png"
            page.screenshot(path=path)
            _shrink(path)
            made.append(path)
        browser.close()
    return made


def _shrink(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB").quantize(COLOURS)
    small.save(path, optimize=True)
