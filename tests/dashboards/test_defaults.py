"""Controls whose default depends on the data: a page that was walked to shows what its address shows to others."""

from __future__ import annotations

import pytest

from data.lake import Lake
from tests.dashboards.conftest import run_page

pytestmark = pytest.mark.filterwarnings("ignore")


def test_a_default_is_that_of_the_range_and_a_choice_is_kept(demo: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = ("all", "1 day")
    opened = {one: run_page("model", demo, monkeypatch, range=one).selectbox(key="model").value for one in ranges}
    assert opened["all"] != opened["1 day"]
    walked = run_page("model", demo, monkeypatch, range="all")
    for one in ("1 day", "all"):
        walked.selectbox(key="range").select(one).run()
        assert walked.selectbox(key="model").value == opened[one]
    walked.selectbox(key="model").select(opened["1 day"]).run()
    walked.selectbox(key="range").select("52 weeks").run()
    assert walked.selectbox(key="model").value == opened["1 day"]
