"""Marts that stand for a year are those that pages read: each hour has requests, and figures of marts agree."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.data.year import DAYS, END, write_year
from data.lake import Lake
from data.marts import COARSER, coarser_view, open_mart


@pytest.mark.slow
def test_a_year_has_the_requests_that_were_asked_for_in_every_mart(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    made = write_year(lake, 50_000)
    spans = [file.span for file in made.marts["usage_hourly"].files]
    assert [sum(len(span) == size for span in spans) for size in (7, 10, 13)] == [12, END.day - 1, END.hour]
    with open_mart(lake) as mart:
        ((requests, hours, first, last),) = mart.execute(
            "SELECT sum(requests), count(DISTINCT hour), min(hour), max(hour) FROM arrivals_hourly"
        ).fetchall()
        assert requests == pytest.approx(50_000, rel=0.05)
        begin = END.replace(hour=0) - timedelta(days=DAYS)
        assert (first, last) == (begin, END - timedelta(hours=1)) and hours == DAYS * 24 + END.hour
        counted = {"usage_hourly", "keys_hourly", "users_hourly", "outcomes_hourly"}
        for name in (*counted, *(coarser_view(one, period) for one in counted for period in COARSER[one])):
            assert mart.execute(f"SELECT sum(requests) FROM {name}").fetchall() == [(requests,)], name
        (models,) = mart.execute("SELECT count(DISTINCT model) FROM market_share_monthly").fetchone() or (0,)
        assert models > 40
