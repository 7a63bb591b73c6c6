"""Sums over rows by longer periods are those over rows by the hour, wherever a range begins and ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dashboards.queries.periods import Unit, period_sql, rows_between
from data.lake import Lake
from data.marts import COARSER, open_mart
from tests.dashboards.conftest import END

MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)
RANGES = (
    (MIDNIGHT - timedelta(days=200), END),
    (MIDNIGHT.replace(month=3), MIDNIGHT),
    (END - timedelta(days=364), END - timedelta(hours=5)),
    (MIDNIGHT - timedelta(days=45, hours=-7), MIDNIGHT - timedelta(days=3)),
    (MIDNIGHT.replace(month=6, hour=3), MIDNIGHT.replace(month=6, hour=21)),
)


@pytest.mark.parametrize("unit", ["hour", "day", "week", "month"])
def test_rows_of_a_range_sum_to_those_of_its_hours(demo: Lake, unit: Unit) -> None:
    with open_mart(demo.demo) as mart:
        for name in COARSER:
            figure = "n" if name == "latency_hourly" else "quantity" if name == "charges_hourly" else None
            counted = figure or {"uptime_hourly": "attempts", "caches_hourly": "metered"}.get(name, "requests")
            select = f"SELECT {period_sql(unit)} AS period, model, sum({counted}) FROM"
            for begin, end in RANGES:
                hours = f"{name} WHERE hour >= ? AND hour < ? GROUP BY 1, 2 ORDER BY 1, 2"
                expected = mart.execute(f"{select} {hours}", [begin, end]).fetchall()
                found = mart.execute(f"{select} {rows_between(name, begin, end, unit)} GROUP BY 1, 2 ORDER BY 1, 2")
                assert found.fetchall() == expected and expected, (name, begin, end)


def test_a_year_is_read_by_months_and_its_ends_by_days_and_hours() -> None:
    sql = rows_between("usage_hourly", MIDNIGHT - timedelta(days=300), END)
    assert [sql.count(f"FROM usage_{one} ") for one in ("monthly", "daily", "hourly")] == [1, 2, 1]
    assert rows_between("usage_hourly", MIDNIGHT, END, "hour").count("SELECT") == 1
    assert rows_between("arrivals_hourly", MIDNIGHT, END).count("SELECT") == 1
