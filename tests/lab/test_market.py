"""The marts of the synthetic market give back the parameters that were planted, and live data do not see it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from data.histogram import quantile
from data.lake import Lake
from data.marts import open_mart
from data.record import lake_files
from lab.market.generate import begin_of, generate
from lab.market.parameters import PROGRAMMING, read_parameters
from lab.market.write import fill_demo_lake
from models.selection.dataset import decision_log
from pipelines.build import build_mart
from portolan import demo

END = datetime(2026, 11, 20, 12, tzinfo=UTC)
MONTHS, REQUESTS = 18, 60_000
PARAMETERS = read_parameters()


@pytest.fixture(scope="module")
def mart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    lake = Lake(tmp_path_factory.mktemp("market"))
    assert fill_demo_lake(lake, END, MONTHS, REQUESTS) == REQUESTS
    assert build_mart(lake, END + timedelta(days=40)).requests == REQUESTS
    with open_mart(lake) as connection:
        yield connection


def rows(mart: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    return mart.execute(sql).fetchall()


def months_left(day: Any) -> float:
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return (END - moment) / (END - begin_of(END, MONTHS)) * MONTHS


def test_token_shares_of_whole_months_are_those_planted_within_four_points(mart: duckdb.DuckDBPyConnection) -> None:
    """Four points are four standard errors of a share of 20 % of 2,500 requests; a mean error is one at most."""
    names = list(PARAMETERS.models)
    errors: dict[str, list[float]] = {name: [] for name in names}
    for month in {month for (month,) in rows(mart, "SELECT DISTINCT month FROM market_share_monthly")}:
        left = months_left(month)
        days = left - np.arange(30) * 12 / 365.25
        if left > MONTHS or days[-1] < 0:
            continue
        planted = dict(zip(names, PARAMETERS.shares(days).mean(axis=1), strict=True))
        found = dict(rows(mart, f"SELECT model, share FROM market_share_monthly WHERE month = '{month}'"))
        for name, share in planted.items():
            errors[name].append(found.get(name, 0.0) - share)
            assert abs(errors[name][-1]) < 0.04, (month, name, share)
    assert all(len(found) >= MONTHS - 2 and abs(np.mean(found)) < 0.01 for found in errors.values()), errors


def test_countries_and_languages_are_those_of_the_study(mart: duckdb.DuckDBPyConnection) -> None:
    """Languages within one point; countries within four, since a country is that of a person with many requests."""
    for sql, planted, error in (
        ("SELECT country, sum(requests) FROM clients_hourly GROUP BY 1", PARAMETERS.countries, 0.04),
        ("SELECT natural_language, sum(requests) FROM languages_hourly GROUP BY 1", PARAMETERS.languages, 0.01),
    ):
        found = dict(rows(mart, sql))
        assert found.keys() == planted.keys()
        for name, share in planted.items():
            assert found[name] / sum(found.values()) == pytest.approx(share / sum(planted.values()), abs=error), name


def test_prompts_grow_and_programming_takes_half_as_in_the_study(mart: duckdb.DuckDBPyConnection) -> None:
    (first, last) = PARAMETERS.market.prompt_tokens
    sizes = dict(
        rows(
            mart, "SELECT date_trunc('month', hour), sum(prompt_tokens) / sum(requests) FROM contexts_hourly GROUP BY 1"
        )
    )
    for month, size in sizes.items():
        middle = months_left(month) - 0.5
        if 0 < middle < MONTHS - 0.6:
            assert size == pytest.approx(last + (first - last) * middle / MONTHS, rel=0.08), month
    shares = rows(
        mart,
        "SELECT date_trunc('month', hour) AS month, "
        f"sum(tokens) FILTER (WHERE category = '{PROGRAMMING}') / sum(tokens) FROM tags_hourly GROUP BY 1 ORDER BY 1",
    )
    assert shares[1][1] < 0.45 and shares[-1][1] > 0.6


def test_cohorts_are_retained_as_planted(mart: duckdb.DuckDBPyConnection) -> None:
    """Month 5 of all whole cohorts together: 40 % of foundational ones within 8 points, 8 % of others within 5."""
    for foundational, kind, error in ((True, "foundational", 0.08), (False, "passing", 0.05)):
        named = "', '".join(name for name, one in PARAMETERS.models.items() if one.foundational == foundational)
        ((active, users),) = rows(
            mart,
            "SELECT sum(fifth.active), sum(cohorts.users) FROM cohorts_monthly AS cohorts LEFT JOIN cohorts_monthly "
            "AS fifth ON fifth.model = cohorts.model AND fifth.cohort = cohorts.cohort AND fifth.age = 5 "
            "WHERE cohorts.age = 0 "
            f"AND cohorts.model IN ('{named}') AND cohorts.cohort < '2026-05-01' AND cohorts.cohort > '2025-06-01'",
        )
        assert users > 300
        assert active / users == pytest.approx(PARAMETERS.retention[kind][5], abs=error), kind


def test_users_come_from_the_model_that_another_wins_from(mart: duckdb.DuckDBPyConnection) -> None:
    for model, origin in (
        ("anthropic/claude-sonnet-4", "anthropic/claude-3.5-sonnet"),
        ("x-ai/grok-code-fast-1", "anthropic/claude-sonnet-4"),
        ("google/gemini-2.5-pro", "google/gemini-2.0-flash-001"),
    ):
        assert PARAMETERS.models[model].wins_from == origin
        found = rows(
            mart,
            "SELECT from_model, sum(users) FROM switches_monthly "
            f"WHERE to_model = '{model}' AND from_model <> to_model GROUP BY 1 ORDER BY 2 DESC",
        )
        assert found[0][0] == origin and found[0][1] >= 20, found


def test_uptime_and_latency_of_providers_are_those_planted(mart: duckdb.DuckDBPyConnection) -> None:
    uptimes = {
        name: (ok / (ok + failed), ok + failed)
        for name, ok, failed in rows(mart, "SELECT provider, sum(succeeded), sum(failed) FROM uptime_hourly GROUP BY 1")
    }
    for name, one in PARAMETERS.providers.items():
        out = one.outages * one.outage_hours / (365.25 / 12 * 24)
        expected = 1 - out - (1 - out) * one.errors
        assert uptimes[name][0] == pytest.approx(expected, abs=0.012), name
        found = rows(
            mart,
            f"SELECT bucket, CAST(sum(n) AS BIGINT) FROM latency_hourly WHERE provider = '{name}' AND metric = 'ttft' "
            "GROUP BY 1",
        )
        assert (quantile(dict(found), 0.5) or 0) / 1e6 == pytest.approx(one.ttft, rel=0.06), name


def test_a_cut_of_a_price_is_in_the_price_history(mart: duckdb.DuckDBPyConnection) -> None:
    name = "deepseek/deepseek-chat-v3-0324"
    prices = rows(
        mart,
        f"SELECT nano_per_unit FROM prices_daily WHERE model = '{name}' AND provider = 'deepinfra' "
        "AND meter = 'completion' ORDER BY day",
    )
    first, second, third = (round(1500 * factor) for factor in (1, 0.6, 0.6 * 0.8))
    assert (prices[0][0], prices[-1][0]) == (first, third)
    assert second in {price for (price,) in prices}


def test_use_grows_as_the_price_falls() -> None:
    model = PARAMETERS.models["deepseek/deepseek-chat-v3-0324"]
    use = PARAMETERS.price_factor(model, np.array([8.0, 6.0])) ** PARAMETERS.market.elasticity
    assert use[1] / use[0] == pytest.approx(0.6**-0.06)


def test_the_same_end_gives_the_same_rows() -> None:
    first, second = (generate(PARAMETERS, END, 3, 500) for _ in range(2))
    assert first.equals(second) and len(first) == 500


def test_live_data_never_see_the_market_and_it_can_be_removed(tmp_path: Path) -> None:
    assert "1,000 requests" in demo.make(tmp_path, 1, 1000)
    lake = Lake(tmp_path)
    assert demo.is_recent(tmp_path) and lake.demo.current_mart() is not None
    assert lake.current_mart() is None and not lake_files.listing(lake).files
    decision_log.catch_up(lake)
    assert decision_log.count(lake) == 0
    before = lake.demo.current_mart()
    demo.make(tmp_path, 1, 1000)
    assert lake.demo.current_mart() != before
    assert demo.remove(tmp_path) and not demo.remove(tmp_path)
    assert not list(tmp_path.glob("demo*"))
