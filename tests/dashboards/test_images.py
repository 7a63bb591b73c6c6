"""Charts as PNG: rendered where the package for it is installed, offered where a card has a chart."""

from __future__ import annotations

import struct
from datetime import date

import polars as pl
import pytest

from dashboards.charts import images
from dashboards.charts.images import png
from dashboards.charts.over_time import stacked_shares
from dashboards.colours import author_colour
from data.lake import Lake
from tests.dashboards.conftest import run_page

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_chart_of_more_rows_than_altair_allows_is_rendered_at_twice_its_size() -> None:
    days = [date(2026, 1, 5), date(2026, 1, 12)]
    names = [f"author-{number}" for number in range(2600)]
    rows = [(day, name, 1 / 2600, 10, 30, n / 2600, n) for day in days for n, name in enumerate(names)]
    layers = pl.DataFrame(rows, ["period", "name", "share", "tokens", "requests", "base", "place"], orient="row")
    layers = layers.with_columns(pl.col("name").replace_strict(names, [f"a{n % 5}" for n in range(2600)]))
    chart = stacked_shares(layers, "week", days[1], author_colour, 20, as_share=True, title="Author")
    made = png(chart, "Shares", "A definition that is written below the title. " * 5)
    assert made[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", made[16:24])
    assert width > 2 * images.WIDTH and height > 840


@pytest.mark.parametrize("installed", [True, False])
def test_a_card_offers_its_chart_as_an_image_where_it_can_be_rendered(
    demo: Lake, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not installed:
        monkeypatch.setattr(images, "find_spec", lambda name: None)
    page = run_page("market", demo, monkeypatch)
    for name in ("share-of-tokens-by-week-and-author", "leaders-by-author"):
        page.session_state[f"{name}-table"] = True
    page.run()
    assert not page.exception
    assert [one.proto.label for one in page.get("download_button")] == ["CSV", *(["PNG"] * installed), "CSV"]
