"""Names and filters that look like Markdown are shown as they are: no link makes a browser fetch a picture."""

from __future__ import annotations

import pytest

from data.lake import Lake
from tests.dashboards.conftest import run_page

pytestmark = pytest.mark.filterwarnings("ignore")
PICTURE, SHOWN = "![x](http://192.0.2.1/x.png)", r"\!\[x\](http://192.0.2.1/x.png)"


@pytest.mark.parametrize(("name", "key"), [("rankings", "category"), ("model", "model"), ("operations", "provider")])
def test_a_filter_of_the_address_is_shown_as_it_is(
    demo: Lake, name: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = run_page(name, demo, monkeypatch, **{key: PICTURE})
    assert not page.exception
    assert SHOWN in page.info[0].value and PICTURE not in page.info[0].value


def test_an_explanation_does_not_read_an_id_as_markdown(demo: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run_page("single_requests", demo, monkeypatch, id=PICTURE)
    assert SHOWN in page.info[0].value
