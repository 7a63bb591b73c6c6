"""Take the pictures of docs/dashboards.md, or of every page on every kind of data, in a real browser.

    python -m tests.dashboards.pictures                   # docs/images, one for each question
    python -m tests.dashboards.pictures --every FOLDER    # every page: four kinds of data, two themes, two widths

The data are always the same: the synthetic market that ends at ``END``, made anew in a temporary folder.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from PIL import Image

from dashboards.queries.costs import payers
from dashboards.time_range import TimeRange
from data.lake import Lake
from data.marts import open_mart
from data.record.lake_files import listing
from lab.market.write import fill_demo_lake
from lab.server import Lab
from pipelines.build import build_mart
from tests.conftest import open_stack
from tests.dashboards.conftest import END, FAILED, LIVE, fill_failed
from tests.dashboards.site import open_browser, serve_pages
from tests.pipelines.test_marts import fill, records
from tests.running import ROOT

IMAGES = ROOT / "docs/images"
REQUESTS = 60_000
COLOURS = 256
# A page takes longer than a browser usually waits where other work goes on.
SLOW_MS = 120_000
WIDTHS, THEMES = (1440, 390), ("light", "dark")


class Picture(NamedTuple):
    """Name a picture, the address that it shows, and the key of the card that is cut out, none for the whole window."""

    name: str
    address: str
    card: str | None = None


PICTURES = (
    Picture("market", "?by=author&range=all"),
    Picture("growth", "rankings?sort=trending&range=30%20days", "models-by-trend"),
    Picture("rankings", "rankings?category=programming&range=30%20days",
            "models-by-tokens-with-category-programming"),
    Picture("fastest", "model?model=openai/gpt-5&measure=ttft&grain=month&range=all",
            "ttft-median-s-by-month-and-provider"),
    Picture("uptime-calendar", "providers?range=90%20days", "uptime-by-week-with-and-without-portolan"),
    Picture("cost-by-key", "cost?payer=key&only-key={key}&grain=day&range=30%20days", "cost-of-{key:.12}-by-day"),
    Picture("errors", "errors?range=custom&days=2026-10-25&days=2026-10-31", "what-rose-in-the-last-24-hours"),
    Picture("moves", "model?model=x-ai/grok-code-fast-1&range=all", "from-where-users-came-and-where-they-went"),
    Picture("switch", "cost?from=anthropic/claude-sonnet-4&to=deepseek/deepseek-v3.2", "switch"),
    Picture("request", "requests?id={request}", "explanation"),
    Picture("providers", "model?model=openai/gpt-5&range=30%20days"),
    Picture("compare", "compare?models=openai/gpt-oss-120b&models=anthropic/claude-haiku-4.5"),
)  # fmt: skip
PAGES = (
    "",
    "rankings",
    "categories",
    "model",
    "providers",
    "routing",
    "cost",
    "errors",
    "operations",
    "requests",
    "compare",
)


@contextmanager
def demo_data() -> Iterator[Lake]:
    """Make the synthetic market, alone in a data directory."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        fill_demo_lake(lake.demo, END, 18, REQUESTS)
        build_mart(lake.demo, END + timedelta(days=40))
        yield lake


def values_of(lake: Lake) -> dict[str, str]:
    """Return what addresses name: the newest request that another provider rescued, and the dearest key."""
    rows = pl.scan_parquet([one.path for one in listing(lake.demo).files[-8:]], missing_columns="insert")
    rescued = rows.filter((pl.col("attempts").list.len() == 2) & pl.col("error_type").is_null()).sort("started_at")
    with open_mart(lake.demo) as mart:
        paid = payers(mart, TimeRange(END.date() - timedelta(days=29), END.date() + timedelta(days=1), "day"), "key")
    return {"request": str(rescued.collect()["generation_id"][-1]), "key": str(paid["name"][0])}


def settled(page: Any) -> None:
    """Wait until the page has run to its end and its charts are drawn."""
    page.get_by_test_id("stMain").get_by_role("heading").first.wait_for(timeout=SLOW_MS)
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'", timeout=SLOW_MS
    )
    page.wait_for_load_state("networkidle", timeout=SLOW_MS)
    page.wait_for_function("document.querySelector('[data-testid=stSkeleton]') === null", timeout=SLOW_MS)
    page.wait_for_timeout(1000)


def shown_whole(page: Any) -> None:
    """Make the window as high as the page."""
    size = page.viewport_size
    height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": min(max(height, 400), 9000)})
    page.wait_for_timeout(900)


def small(content: bytes) -> bytes:
    """Return a PNG with a palette, which takes a third of the bytes."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(COLOURS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def take(browser: Any, site: str, picture: Picture, folder: Path) -> None:
    """Take one picture."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{site}/{picture.address}")
    settled(page)
    if picture.name == "compare":
        page.get_by_role("button", name="Compare").click()
        page.get_by_test_id("stDataFrame").wait_for(timeout=SLOW_MS)
    if picture.card is None:
        content = page.screenshot()
    else:
        shown_whole(page)
        content = page.locator(f".st-key-{picture.card}-card").screenshot()
    (folder / f"{picture.name}.png").write_bytes(small(content))
    page.close()


def take_questions(folder: Path) -> None:
    """Take the pictures of the documentation."""
    with ExitStack() as opened:
        lake = opened.enter_context(demo_data())
        own = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        router = opened.enter_context(open_stack(own, Lab(time_scale=1.0, faults=False)))
        asking = {"PORTOLAN_ROUTER_URL": router.url, "PORTOLAN_API_KEY": router.key}
        site = opened.enter_context(serve_pages(lake.root, **asking))
        browser, values = opened.enter_context(open_browser()), values_of(lake)
        for name, address, card in PICTURES:
            take(browser, site, Picture(name, address.format(**values), card and card.format(**values)), folder)


def take_every_page(folder: Path) -> None:
    """Take each page on demo, live, empty and error-only data, in both themes and widths."""
    with ExitStack() as opened:
        lakes = {name: Lake(Path(opened.enter_context(tempfile.TemporaryDirectory())))
                 for name in ("live", "empty", "failed")}  # fmt: skip
        fill(lakes["live"], records(LIVE))
        fill_failed(lakes["failed"], FAILED)
        for lake in lakes.values():
            build_mart(lake)
        lakes["demo"] = opened.enter_context(demo_data())
        browser = opened.enter_context(open_browser())
        for kind, lake in lakes.items():
            with serve_pages(lake.root) as site:
                for theme in THEMES:
                    for width in WIDTHS:
                        for name in PAGES:
                            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
                            page.goto(f"{site}/{name}", timeout=SLOW_MS)
                            settled(page)
                            shown_whole(page)
                            page.screenshot(path=folder / f"{name or 'market'}-{kind}-{theme}-{width}.png")
                            page.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=Path, help="folder for pictures of every page instead")
    every = parser.parse_args().every
    if every is None:
        take_questions(IMAGES)
    else:
        every.mkdir(parents=True, exist_ok=True)
        take_every_page(every)
