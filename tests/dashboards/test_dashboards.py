"""Pages over a real mart, by AppTest and in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboards.queries.market import history
from dashboards.queries.offers import offers
from dashboards.queries.providers import side_by_side
from dashboards.time_range import TimeRange
from data.catalogue import load_catalogue
from data.lake import Lake
from data.marts import open_mart
from pipelines.build import build_mart
from tests.conftest import open_stack
from tests.dashboards.site import CHROMIUM, open_browser, serve_pages
from tests.pipelines.test_marts import fill, records
from tests.running import ROOT

PAGES = {
    "market": "Market",
    "rankings": "Rankings",
    "categories": "Categories",
    "model": "Model",
    "routing": "Routing",
    "cost": "Cost",
    "errors": "Errors",
    "operations": "Operations",
    "providers": "Providers",
    "single_requests": "Requests",
}
# The address of a page is the name of its file, but for these.
ADDRESSES = {"market": "", "single_requests": "requests"}
ALL = TimeRange(date(2020, 1, 1), date(2030, 1, 1), "week")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def mart(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake, rows = Lake(tmp_path_factory.mktemp("mart")), records(300)
    for number, row in enumerate(rows):
        if number % 2:
            row.category, row.category_confidence = ("programming", 0.8) if number % 3 else ("health", 0.6)
    fill(lake, rows)
    build_mart(lake)
    return lake


@pytest.mark.parametrize("page", PAGES)
def test_a_page_renders_and_says_what_it_counts(mart: Lake, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTOLAN_DATA_DIR", str(mart.root))
    test = AppTest.from_file(str(ROOT / "dashboards/app_pages" / f"{page}.py"), default_timeout=30).run()
    assert not test.exception
    assert test.title[0].value == PAGES[page]
    assert "From 300 requests" in test.main.caption[-1].value


@pytest.mark.parametrize("page", PAGES)
def test_without_a_mart_a_page_says_what_to_do(tmp_path: Path, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTOLAN_DATA_DIR", str(tmp_path))
    test = AppTest.from_file(str(ROOT / "dashboards/app_pages" / f"{page}.py"), default_timeout=30).run()
    assert not test.exception
    assert "portolan refresh" in test.info[0].value


def test_figures_are_those_of_the_log(mart: Lake) -> None:
    rows = records(300)
    with open_mart(mart) as connection:
        weekly, providers = history(connection, ALL), side_by_side(connection, "openai/m", ALL)
    assert weekly["tokens"].sum() == sum(100 + n for n in range(300))
    for provider, uptime in zip(providers["provider"], providers["uptime"], strict=True):
        errors = [r.attempts[0].error_type for r in rows if r.provider == provider]
        assert uptime == pytest.approx(errors.count(None) / (errors.count(None) + errors.count("timeout")))


def test_offers_have_the_default_tiers_price_and_the_place_where_it_is_known() -> None:
    catalogue = load_catalogue()
    rows = {row["provider"]: row for row in offers("openai/gpt-oss-120b", catalogue).to_dicts()}
    assert (rows["ovhcloud"]["processed_in"], rows["scaleway"]["processed_in"]) == ("FR", "EU")
    assert rows["groq"]["processed_in"] is None
    (openai,) = offers("openai/gpt-5.1", catalogue).to_dicts()
    assert openai == {"provider": "openai", "prompt_usd": 1.25, "completion_usd": 10.0, "processed_in": None}
    assert offers("no/such", catalogue).is_empty()


@pytest.fixture(scope="module")
def site(mart: Lake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the pages, with a router for the page Compare."""
    with (
        open_stack(tmp_path_factory.mktemp("router")) as router,
        serve_pages(mart.root, PORTOLAN_ROUTER_URL=router.url, PORTOLAN_API_KEY=router.key) as url,
    ):
        yield url


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)")
@pytest.mark.parametrize(("width", "scheme"), [
    (1440, "light"), pytest.param(390, "dark", marks=pytest.mark.slow),
    pytest.param(390, "light", marks=pytest.mark.slow), pytest.param(1440, "dark", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_browser_draws_every_page(site: str, tmp_path: Path, width: int, scheme: Any) -> None:
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        elsewhere: list[str] = []
        page.on("request", lambda one: one.url.startswith((site, "data:", "blob:")) or elsewhere.append(one.url))
        for name, title in PAGES.items():
            page.goto(f"{site}/{ADDRESSES.get(name, name)}")
            page.get_by_role("heading", name=title).wait_for(timeout=30_000)
            page.get_by_text("From 300 requests").wait_for(timeout=30_000)
            # No request of these has failed.
            drawn = {"errors": "stAlert", "single_requests": "stDataFrame"}.get(name, "stVegaLiteChart")
            page.get_by_test_id(drawn).first.wait_for(timeout=30_000)
            assert page.get_by_test_id("stException").count() == 0
            page.wait_for_timeout(700)
            page.screenshot(path=tmp_path / f"{name}.png")
            assert (tmp_path / f"{name}.png").stat().st_size > 10_000
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        page.goto(site)
        page.get_by_text("From 300 requests").wait_for(timeout=30_000)
        page.get_by_test_id("stVegaLiteChart").first.wait_for(timeout=30_000)
        page.wait_for_timeout(700)
        page.get_by_text("Table, CSV and PNG").first.click()
        with page.expect_download() as download:
            page.get_by_role("button", name="PNG").first.click()
        assert download.value.path().read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        page.goto(f"{site}/rankings?category=![x](http://192.0.2.1/x.png)")
        page.get_by_text("No request with category ![x]").wait_for(timeout=30_000)
        page.goto(f"{site}/compare?models=openai/gpt-5&models=anthropic/claude-haiku-4.5")
        page.get_by_role("button", name="Compare").click()
        page.get_by_test_id("stDataFrame").wait_for(timeout=30_000)
        assert page.get_by_text("Served by").count() == 2
        assert page.get_by_test_id("stException").count() == page.get_by_test_id("stAlert").count() == 0
        assert elsewhere == []
        page.screenshot(path=tmp_path / "compare.png")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
