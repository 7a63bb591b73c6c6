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


def test_requests_grow_and_weekends_are_quieter_as_planted(mart: duckdb.DuckDBPyConnection) -> None:
    """Within 6 %, three standard errors of a ratio of two months of 2,000 requests and more."""
    days = rows(mart, "SELECT CAST(hour AS DATE), CAST(sum(requests) AS BIGINT) FROM arrivals_hourly GROUP BY 1")
    by_left = {months_left(day): (day, n) for day, n in days}

    def mean(low: float, high: float) -> tuple[float, float]:
        # Whole weeks, since weekends are quieter.
        found = sorted((left, n) for left, (_, n) in by_left.items() if low <= left < high)[:56]
        return float(np.mean([n for _, n in found])), float(np.mean([left for left, _ in found]))

    (late, end), (early, begin) = mean(0.2, 3), mean(MONTHS - 3, MONTHS - 0.2)
    planted = PARAMETERS.market.requests_growth ** ((begin - end) / MONTHS)
    assert late / early == pytest.approx(planted, rel=0.06)
    weekend, workday = (sum(n for day, n in days if (day.weekday() >= 5) == of) / of_week
                        for of, of_week in ((True, 2), (False, 5)))  # fmt: skip
    assert weekend / workday == pytest.approx(PARAMETERS.market.weekend, rel=0.06)


def test_models_are_there_from_their_launch_to_their_end(mart: duckdb.DuckDBPyConnection) -> None:
    """The first request within 12 days of the launch and none before, since a launch begins with few."""
    sql = "SELECT model, min(day), max(day) FROM market_share_daily WHERE requests > 0 GROUP BY 1"
    found = {name: (months_left(first), months_left(last)) for name, first, last in rows(mart, sql)}
    assert found.keys() == PARAMETERS.models.keys()
    launched = [name for name, one in PARAMETERS.models.items() if one.begins < MONTHS]
    assert len(launched) > 5
    day = 12 / 365.25
    for name, one in PARAMETERS.models.items():
        first, last = found[name]
        if name in launched:
            # A day begins before the hour of the launch.
            assert one.begins - 12 * day <= first <= one.begins + day, name
        assert one.until - day <= last <= one.until + 12 * day, name


def test_what_requests_are_about_and_ask_for_is_as_planted(mart: duckdb.DuckDBPyConnection) -> None:
    """Within 2.5 points, three standard errors of the smallest sample, 3,600 requests, and 1 point for the whole."""
    market = PARAMETERS.market
    for sql, planted in (
        (
            f"SELECT category, sum(requests) FROM categories_hourly WHERE category <> '{PROGRAMMING}' GROUP BY 1",
            PARAMETERS.categories,
        ),
        *(
            (f"SELECT task_tag, sum(requests) FROM tags_hourly WHERE category = '{name}' GROUP BY 1", tags)
            for name, tags in PARAMETERS.task_tags.items() if name in (PROGRAMMING, "technology", "science")
        ),
        (
            "SELECT programming_language, sum(requests) FROM languages_hourly WHERE programming_language IS NOT NULL "
            "GROUP BY 1",
            PARAMETERS.programming_languages,
        ),
    ):  # fmt: skip
        found = dict(rows(mart, sql))
        assert found.keys() == planted.keys()
        for name, share in planted.items():
            assert found[name] / sum(found.values()) == pytest.approx(share / sum(planted.values()), abs=0.025), name
    ((labelled, images, reads, cached),) = rows(
        mart,
        "SELECT (SELECT sum(requests) FROM tags_hourly) / sum(requests), "
        "sum(requests) FILTER (WHERE modality = 'image') / sum(requests), "
        "(SELECT sum(cache_reads) / sum(metered) FROM caches_hourly), "
        "(SELECT sum(cached_tokens) / sum(prompt_tokens) FROM caches_hourly) FROM clients_hourly",
    )
    assert (labelled, images) == pytest.approx((market.labelled, market.images), abs=0.01)
    assert (reads, cached) == pytest.approx((market.cache_use, market.cache_use * market.cached), abs=0.01)


def test_completions_and_tool_calls_grow_as_in_the_study(mart: duckdb.DuckDBPyConnection) -> None:
    """Completions of a month within 8 %, the share of tool calls within 2 points."""
    found = rows(
        mart,
        "SELECT date_trunc('month', hour), sum(completion_tokens) / sum(requests), "
        "sum(tool_call_responses) / sum(requests) FROM contexts_hourly GROUP BY 1",
    )
    for month, size, calls in found:
        done = 1 - (months_left(month) - 0.5) / MONTHS
        if 0.04 < done < 1:
            (first, last), (few, many) = PARAMETERS.market.completion_tokens, PARAMETERS.market.tool_calls
            assert size == pytest.approx(first + (last - first) * done, rel=0.08), month
            assert calls == pytest.approx(few + (many - few) * done, abs=0.02), month


def test_speed_429s_and_shares_of_providers_are_those_planted(mart: duckdb.DuckDBPyConnection) -> None:
    """Median tokens a second within 6 %, 429s within 0.8 points, the share of a model's first attempts within 5."""
    limited = dict(rows(mart, "SELECT provider, sum(rate_limited) / sum(attempts) FROM uptime_hourly GROUP BY 1"))
    for name, one in PARAMETERS.providers.items():
        out = one.outages * one.outage_hours / (365.25 / 12 * 24)
        assert limited[name] == pytest.approx(one.rate_limits * (1 - out), abs=0.008), name
        found = rows(
            mart,
            f"SELECT bucket, CAST(sum(n) AS BIGINT) FROM latency_hourly WHERE provider = '{name}' "
            "AND metric = 'throughput' GROUP BY 1",
        )
        assert (quantile(dict(found), 0.5) or 0) / 1e3 == pytest.approx(one.speed, rel=0.06), name
    for model, described in PARAMETERS.models.items():
        first = dict(
            rows(mart, f"SELECT provider, sum(requests) FROM fallbacks_hourly WHERE model = '{model}' GROUP BY 1")
        )
        whole = sum(PARAMETERS.providers[one].requests_share for one in described.providers)
        assert first.keys() == set(described.providers)
        for name in described.providers:
            share = PARAMETERS.providers[name].requests_share / whole
            assert first[name] / sum(first.values()) == pytest.approx(share, abs=0.05), (model, name)


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


def test_prices_at_the_end_are_those_planted_and_rise_with_each_further_provider(
    mart: duckdb.DuckDBPyConnection,
) -> None:
    for name, one in PARAMETERS.models.items():
        cut = float(PARAMETERS.price_factor(one, np.array([one.until]))[0])
        for rank, provider in enumerate(one.providers):
            for meter, usd in zip(("prompt", "completion"), one.price, strict=True):
                found = rows(
                    mart,
                    f"SELECT nano_per_unit FROM prices_daily WHERE model = '{name}' AND provider = '{provider}' "
                    f"AND meter = '{meter}' ORDER BY day DESC LIMIT 1",
                )
                planted = usd * 1000 * PARAMETERS.market.further_provider_price**rank * cut
                assert found[0][0] == round(planted), (name, provider, meter)


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
