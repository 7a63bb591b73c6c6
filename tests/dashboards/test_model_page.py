"""The page on one model: figures of its providers, cohorts and moves of users against the requests themselves."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import date

import duckdb
import polars as pl
import pytest

from dashboards.queries.models import MEASURES, measured, moves, provider_tokens, retention
from dashboards.time_range import Grain, TimeRange
from data.lake import Lake
from data.marts import open_mart
from tests.dashboards.conftest import FAILED, run_page, titles

pytestmark = pytest.mark.filterwarnings("ignore")
MODEL, NEW = "anthropic/claude-sonnet-4", "x-ai/grok-code-fast-1"
MONTHS = TimeRange(date(2020, 1, 1), date(2030, 1, 1), "month")
PERIOD = pl.col("started_at").dt.date().dt.truncate("1mo")
TOKENS = pl.col("prompt_tokens").fill_null(0) + pl.col("completion_tokens").fill_null(0)


@pytest.fixture(scope="module")
def mart(demo: Lake) -> duckdb.DuckDBPyConnection:
    return open_mart(demo.demo)


def test_shares_and_prices_of_providers_are_those_of_their_requests(
    mart: duckdb.DuckDBPyConnection, rows: pl.DataFrame
) -> None:
    served = rows.filter((pl.col("model") == MODEL) & pl.col("provider").is_not_null())
    exact = served.group_by(PERIOD, "provider").agg(TOKENS.sum(), pl.len(), pl.col("cost_nano").sum() / 1e9)
    found = provider_tokens(mart, MODEL, MONTHS)
    assert {(day, name): rest for day, name, *rest in found.iter_rows()} == {
        (day, name): [tokens, n, pytest.approx(usd)] for day, name, tokens, n, usd in exact.iter_rows()
    }
    prices = {(day, name): value for day, name, value, _ in measured(mart, MODEL, "price", MONTHS).iter_rows()}
    assert prices == {(day, name): pytest.approx(usd / t * 1e6) for day, name, t, _, usd in exact.iter_rows() if t}


def test_uptime_and_429s_of_providers_are_those_of_their_attempts(
    mart: duckdb.DuckDBPyConnection, rows: pl.DataFrame
) -> None:
    tried = rows.filter(pl.col("model") == MODEL).select(PERIOD.alias("period"), "attempts").explode("attempts")
    tried = tried.unnest("attempts").filter(pl.col("error_type").is_not_null() | pl.col("ttft_us").is_not_null())
    limited, fine = (pl.col("error_type") == "rate_limit_exceeded").fill_null(False), pl.col("error_type").is_null()
    exact = tried.group_by("period", "provider").agg(
        limited.mean().alias("limited"), pl.len(), fine.sum(), n=limited.not_().sum()
    )
    for measure, value, count in (
        ("429s", pl.col("limited"), "len"),
        ("uptime", pl.col("error_type") / pl.col("n"), "n"),
    ):
        found = measured(mart, MODEL, measure, MONTHS)
        assert {(day, name): (part, n) for day, name, part, n in found.iter_rows()} == {
            (day, name): (pytest.approx(part), n)
            for day, name, part, n in exact.select("period", "provider", value, count).iter_rows()
        }


def test_medians_of_providers_are_those_of_their_requests(mart: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    served = rows.filter((pl.col("model") == MODEL) & pl.col("ttft_us").is_not_null())
    exact = served.group_by(PERIOD, "provider").agg(pl.col("ttft_us").quantile(0.5, "lower") / 1e6, pl.len())
    found = measured(mart, MODEL, "ttft", MONTHS)
    assert {(day, name): (value, n) for day, name, value, n in found.iter_rows()} == {
        (day, name): (pytest.approx(value, rel=0.011), n) for day, name, value, n in exact.iter_rows()
    }
    assert measured(mart, MODEL, "throughput", MONTHS)["value"].min() > 1


def test_cohorts_are_users_by_the_month_of_their_first_use(mart: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    used = rows.filter(pl.col("model") == NEW).select(PERIOD.alias("period"), "user_hash").unique()
    used = used.with_columns(cohort=pl.col("period").min().over("user_hash"))
    sizes = dict(used.filter(pl.col("period") == pl.col("cohort")).group_by("cohort").len().iter_rows())
    active = {(c, p): n for c, p, n in used.group_by("cohort", "period").len().iter_rows()}
    found = retention(mart, NEW, MONTHS)
    assert len(found) == len(active) > 5
    for cohort, age, share, users in found.iter_rows():
        month = cohort.month - 1 + age
        then = date(cohort.year + month // 12, month % 12 + 1, 1)
        assert users == sizes[cohort] and share == pytest.approx(active[cohort, then] / users)


def test_moves_are_changes_of_users_main_models(mart: duckdb.DuckDBPyConnection, rows: pl.DataFrame) -> None:
    spent = rows.group_by("user_hash", PERIOD.alias("period"), "model").agg(tokens=TOKENS.sum())
    main = spent.sort("tokens", "model", descending=[True, False]).group_by("user_hash", "period").first()
    won: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for _, one in main.sort("period").group_by("user_hash", maintain_order=True):
        names = one["model"].to_list()
        won.update(a for a, b in itertools.pairwise(names) if b == NEW != a)
        lost.update(b for a, b in itertools.pairwise(names) if a == NEW != b)
    found = moves(mart, NEW, MONTHS)
    assert {name: (w, left) for name, w, left in found.select("model", "won", "lost").iter_rows()} == {
        name: (won[name], lost[name]) for name in won | lost
    }
    # The market plants from whom it wins.
    assert found.sort("won", descending=True)["model"][0] == MODEL


@pytest.mark.parametrize("grain", ["week", "month"])
def test_moves_are_rows_of_the_roll_up_of_all_users(mart: duckdb.DuckDBPyConnection, grain: Grain) -> None:
    both = f"SELECT sum(users), sum(tokens) FROM switches_{grain}ly WHERE from_model <> to_model"
    won, lost = (f"{both} AND {end}_model = ?" for end in ("to", "from"))
    for model in (MODEL, NEW):
        found = moves(mart, model, MONTHS._replace(grain=grain)).sum()
        exact = [*mart.execute(won, [model]).fetchall(), *mart.execute(lost, [model]).fetchall()]
        summed = found.select("won", "tokens_won", "lost", "tokens_lost").row(0)
        assert summed == tuple(figure or 0 for row in exact for figure in row)


@pytest.mark.parametrize("measure", MEASURES)
def test_the_page_shows_what_its_address_says(demo: Lake, measure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    page = run_page("model", demo, monkeypatch, model=NEW, measure=measure, grain="month", range="all")
    assert not page.exception
    assert titles(page) == [
        f"Time to the first token, {NEW}", "Providers side by side", "Share of tokens by month and provider",
        f"{MEASURES[measure].label} by month and provider", "How many users stay, by the month of their first use",
        "From where users came, and where they went",
    ]  # fmt: skip


def test_data_without_users_or_answers_say_so(
    both: Lake, empty: Lake, failed: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = run_page("model", both, monkeypatch, data="live", range="all")
    assert not page.exception
    assert "with an API key" in page.info[0].value and "No user moved" in page.info[1].value
    page = run_page("model", empty, monkeypatch)
    assert not page.exception and "portolan demo-data" in page.info[0].value
    page = run_page("model", failed, monkeypatch)
    assert "has a measured TTFT" in page.info[0].value and "Nothing was measured for TTFT" in page.info[1].value
    assert titles(page) == ["Providers side by side"]
    assert not page.exception and f"From {FAILED} requests" in page.main.caption[-1].value
