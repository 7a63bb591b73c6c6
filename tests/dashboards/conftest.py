"""Share built data among the tests of pages: a synthetic market, live data beside it, and requests that all failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from dashboards import controls
from dashboards.charts.specifications import specification
from data.lake import Lake
from data.record.lake_files import listing
from lab.market.write import fill_demo_lake
from pipelines.build import build_mart
from tests.pipelines.test_marts import fill, records

PAGES = Path(__file__).parents[2] / "dashboards/app_pages"
END = datetime(2026, 11, 18, 15, tzinfo=UTC)
LIVE, DEMO, FAILED = 300, 20_000, 30


@pytest.fixture(autouse=True)
def valid_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Validate each chart that a page draws: one that contradicts the schema of Vega-Lite ends the page."""
    monkeypatch.setattr(controls, "specification", partial(specification, validate=True))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Return a data directory with a synthetic market alone."""
    lake = Lake(tmp_path_factory.mktemp("demo"))
    fill_demo_lake(lake.demo, END, 18, DEMO)
    build_mart(lake.demo, END + timedelta(days=40))
    return lake


@pytest.fixture(scope="session")
def rows(demo: Lake) -> pl.DataFrame:
    """Return the requests of the synthetic market."""
    return pl.concat([pl.read_parquet(one.path) for one in listing(demo.demo).files], how="diagonal_relaxed")


@pytest.fixture(scope="session")
def both(demo: Lake, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Return a data directory with live data too."""
    lake = Lake(tmp_path_factory.mktemp("both"))
    fill(lake, records(LIVE))
    build_mart(lake)
    lake.demo.root.symlink_to(demo.demo.root)
    return lake


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Return a data directory whose mart has no request."""
    lake = Lake(tmp_path_factory.mktemp("empty"))
    build_mart(lake)
    return lake


def fill_failed(lake: Lake, count: int) -> None:
    """Write requests that all failed."""
    made = records(count)
    for row in made:
        row.status, row.error_type, row.prompt_tokens, row.completion_tokens = 503, "timeout", None, None
        row.provider = row.endpoint = row.ttft_us = None
        for attempt in row.attempts:
            attempt.error_type, attempt.ttft_us = "timeout", None
    fill(lake, made)


@pytest.fixture(scope="session")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Return a data directory with failed requests alone."""
    lake = Lake(tmp_path_factory.mktemp("failed"))
    fill_failed(lake, FAILED)
    build_mart(lake)
    return lake


def run_page(name: str, lake: Lake, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    """Run a page with the parameters of its address."""
    monkeypatch.setenv("PORTOLAN_DATA_DIR", str(lake.root))
    test = AppTest.from_file(str(PAGES / f"{name}.py"), default_timeout=60)
    for key, value in query.items():
        test.query_params[key] = value
    return test.run()


def titles(page: AppTest) -> list[str]:
    """Return the titles of the charts and tables of a page."""
    return [one.value.split("**")[1] for one in page.markdown if one.value.startswith("**")]
