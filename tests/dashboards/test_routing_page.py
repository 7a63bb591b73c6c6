"""The page on routing: what served, what it gained with intervals, exploration, and the learned policies."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from dashboards.analytics.lake_rows import open_rows
from dashboards.queries.policies import audit, lives
from dashboards.queries.requests import newest
from dashboards.queries.routing import (
    ATTEMPTS,
    FEWEST_BLOCKS,
    PER,
    RANKS,
    UNSERVED,
    By,
    Kept,
    gains,
    gains_over_time,
    intervals,
    ranks,
    served,
    shares,
    sums,
    worded,
)
from dashboards.time_range import TimeRange
from data.lake import Lake
from data.marts import open_mart
from data.record.record import Record
from models.selection.evaluation.gates import GateRequirements
from models.selection.evaluation.report import write_report
from models.selection.evaluation.simulation_trial import TrialSettings
from models.selection.lifecycle.promotion import advance, judge_challenger
from models.selection.lifecycle.train import train
from pipelines.build import build_mart
from tests.dashboards.conftest import FAILED, run_page, titles
from tests.policy_world import World

pytestmark = pytest.mark.filterwarnings("ignore")
RECENT = TimeRange(date(2026, 10, 20), date(2026, 11, 19), "week")
MODEL = "openai/gpt-5"


@pytest.fixture(scope="module")
def mart(demo: Lake) -> duckdb.DuckDBPyConnection:
    return open_mart(demo.demo)


@pytest.fixture(scope="module")
def recent(rows: pl.DataFrame) -> pl.DataFrame:
    begin, end = RECENT.moments
    return rows.filter((pl.col("started_at") >= begin) & (pl.col("started_at") < end))


@pytest.mark.parametrize("kept", [Kept(), Kept("price", MODEL), Kept("learned")])
def test_what_served_is_that_of_the_log(mart: duckdb.DuckDBPyConnection, recent: pl.DataFrame, kept: Kept) -> None:
    mine = recent.filter(pl.lit(kept.policy != "learned"), pl.col("model").eq(kept.model) | pl.lit(kept.model is None))
    by: By
    for by, name in (("policy", "price"), ("version", "price demo"), ("model", MODEL)):
        found = served(mart, RECENT, by, kept)
        expected = mine.filter(pl.col("model") == MODEL) if by == "model" else mine
        assert found.filter(pl.col("name") == name)["requests"].sum() == expected.height
    expected_ranks: Counter[tuple[str, str]] = Counter()
    for row in mine.iter_rows(named=True):
        chances = {one["endpoint"]: one["probability"] for one in row["candidates"]}
        if row["error_type"] or row["endpoint"] is None:
            expected_ranks[UNSERVED, UNSERVED] += 1
            continue
        rank = sum(one > chances[row["endpoint"]] for one in chances.values())
        place = [one["error_type"] for one in row["attempts"]].index(None)
        expected_ranks[RANKS[min(rank, 3)], ATTEMPTS[place]] += 1
    found = ranks(mart, RECENT, kept)
    assert {(rank, attempt): n for rank, attempt, n, _ in found.iter_rows()} == expected_ranks
    if mine.height:
        assert found["share"].sum() == pytest.approx(1)
    rescued = mine.filter(pl.col("error_type").is_null() & pl.col("attempts").list.first().struct.field("error_type")
                          .is_not_null()).height  # fmt: skip
    assert sums(mart, *RECENT.moments, kept)["rescued"] == rescued
    parts = shares(mart, RECENT, kept).filter(pl.col("name") == "rescued")
    assert (parts["value"] * parts["requests"]).sum() == pytest.approx(rescued)


def test_gains_are_those_of_the_mart_and_have_intervals(mart: duckdb.DuckDBPyConnection) -> None:
    whole = sums(mart, *RECENT.moments, Kept())
    (row,) = gains(mart, RECENT, "policy", Kept()).to_dicts()
    for amount, name in (("gain", "gain_nano"), ("exploration", "exploration_nano")):
        assert row[amount] == pytest.approx(whole[name] / 1e9 / whole["requests"] * PER)
        assert row[f"{amount}_low"] < row[amount] < row[f"{amount}_high"]
    assert (row["requests"], row["choices"], row["explored"]) == (
        whole["requests"], whole["choices"], whole["explored"]
    )  # fmt: skip
    weekly = gains_over_time(mart, RECENT, Kept())
    assert (weekly["gain"] * weekly["requests"]).sum() / PER == pytest.approx(whole["gain_nano"] / 1e9)


def test_an_interval_has_the_true_value_in_95_of_100_samples_and_few_blocks_have_none() -> None:
    dice, samples, blocks, truth = np.random.default_rng(3), 2000, 30, 0.02
    shape = (samples, blocks)
    counts = dice.poisson(40, shape) + 1
    amounts = counts * (truth + dice.normal(0, 0.01, shape))
    frame = pl.DataFrame({
        "name": np.repeat(np.arange(samples), blocks), "requests": counts.ravel(), "gain": amounts.ravel()
    })  # fmt: skip
    found = intervals(frame, "name", "gain")
    holds = (found["gain_low"] <= truth * PER) & (found["gain_high"] >= truth * PER)
    assert holds.mean() == pytest.approx(0.95, abs=0.015)
    few = intervals(frame.filter(pl.int_range(pl.len()).over("name") < FEWEST_BLOCKS - 1), "name", "gain")
    assert few["gain"].null_count() == 0 and few["gain_low"].null_count() == few.height


def test_an_interval_on_one_side_of_zero_says_better_or_worse() -> None:
    edges = [(0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1), (None, None)]
    frame = pl.DataFrame(edges, {"gain_low": pl.Float64, "gain_high": pl.Float64}, orient="row")
    assert worded(frame, "gain")["word"].to_list() == ["better", "worse", "unclear", "unclear"]
    costs = frame.rename({"gain_low": "exploration_low", "gain_high": "exploration_high"})
    assert worded(costs, "exploration")["word"].to_list() == ["worse", "better", "unclear", "unclear"]


def test_requests_are_listed_by_what_was_decided(demo: Lake, mart: duckdb.DuckDBPyConnection) -> None:
    begin, end = RECENT.moments
    counted = sums(mart, begin, end, Kept())
    kept = {"choice": {"of several endpoints": "choices", "that explored": "explored"},
            "status": {"rescued by fallback": "rescued"}}  # fmt: skip
    with open_rows([demo.demo], begin, end) as lake:
        for field, values in kept.items():
            for value, name in values.items():
                found = newest(lake, ((field, value), ("policy", "price")), begin, end)
                assert found.height == min(200, counted[name]) > 0
        assert newest(lake, (("policy", "learned"),), begin, end).is_empty()


@pytest.mark.parametrize("query", [
    {}, {"range": "30 days", "by": "model", "gain": "exploration"}, {"range": "all", "by": "version", "gain": "net"},
])  # fmt: skip
def test_the_page_shows_what_its_address_says(
    demo: Lake, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = run_page("routing", demo, monkeypatch, **query)
    assert not page.exception
    by, grain = query.get("by", "policy"), {"30 days": "day", "all": "month"}.get(query.get("range", ""), "week")
    what = {"exploration": "What exploring cost", "net": "The saving less hedged requests"}.get(
        query.get("gain", ""), "What the choice of the endpoint saved"
    )
    assert titles(page) == [
        f"Share of requests by {grain} and {by}", "Which endpoint served, and at which attempt",
        f"Fallback, exploration and hedging by {grain}", f"{what}, by {by}", f"{what}, by {grain}",
        f"Gain and cost of exploration by {by}", "One decision explained",
    ]  # fmt: skip
    assert any("No policy learns from the synthetic market" in one.value for one in page.caption)
    page.session_state["decision-of-one-request"] = True
    page.run()
    assert not page.exception
    assert any(re.match(r"\*\*Why gen-\d+-demo\d+", one.value) for one in page.markdown)
    assert any(re.search(r"requests\?id=gen-\d+-demo\d+", one.value) for one in page.caption)


def test_filters_keep_a_model_and_changes_are_against_the_same_hours_before(
    demo: Lake, mart: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = run_page("routing", demo, monkeypatch, model=MODEL, range="30 days")
    end = datetime(2026, 11, 18, 15, tzinfo=UTC)
    begin, month = datetime(2026, 10, 20, tzinfo=UTC), timedelta(days=30)
    now, before = (
        sums(mart, begin - shift, end - shift, Kept(None, MODEL))["requests"] for shift in (timedelta(), month)
    )
    assert page.metric[0].value == f"{now:,}"
    assert page.metric[0].delta == f"{now / before - 1:+.0%}"
    assert not run_page("routing", demo, monkeypatch, model=MODEL, compare="false").metric[0].delta


def test_other_data_are_shown_or_say_what_is_missing(
    both: Lake, empty: Lake, failed: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = run_page("routing", both, monkeypatch, data="live", range="all")
    assert not page.exception
    assert any("had two eligible endpoints" in one.value for one in page.info)
    assert any("price shares serve" in one.value for one in page.info)
    page = run_page("routing", both, monkeypatch, data="both", range="all")
    assert not page.exception and any("price shares serve" in one.value for one in page.info)
    page = run_page("routing", empty, monkeypatch)
    assert not page.exception and "portolan demo-data" in page.info[0].value
    page = run_page("routing", failed, monkeypatch)
    assert not page.exception and f"From {FAILED} requests" in page.main.caption[-1].value
    page = run_page("routing", failed, monkeypatch, policy="learned")
    assert not page.exception and "leave a filter out" in page.info[0].value


class PricedWorld(World):
    """Give each request parts that sum to its cost, without which the marts set it aside."""

    def _record(self, *arguments: Any) -> Record:
        record = super()._record(*arguments)
        record.cost_prompt_nano = record.cost_nano
        return record


def test_the_page_shows_learned_policies_their_report_and_their_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = PricedWorld(Lake(tmp_path))
    world.serve(1500)
    version = train(world.lake).version
    judgement = judge_challenger(world.lake, GateRequirements(trial=TrialSettings(duration_s=60, scenarios=("calm",))))
    assert judgement is not None
    report = write_report(world.lake, judgement)
    advance(world.lake)
    build_mart(world.lake)
    page = run_page("routing", world.lake, monkeypatch, range="all")
    assert not page.exception
    assert titles(page)[-7:] == [
        "Promotions over time", "Steps taken: what was promoted or refused, and why", "Learned policies",
        f"Gates of {version}", "Not estimated, for the log cannot tell", "By how much", "What changes",
    ]  # fmt: skip
    steps, known, verdicts, refused, figures, changes = (frame.value for frame in page.dataframe[1:])
    assert steps["what"].to_list() == ["canary", "candidate"]
    assert known.iloc[0]["version"] == version
    assert (known.iloc[0]["state"], known.iloc[0]["share"]) == ("canary", 0.1)
    assert verdicts["gate"].to_list() == ["G0", "G1", "G2", "G3"]
    assert len(refused) == len(report["segments"])
    assert figures["figure"].to_list() == ["calm"]
    assert changes["endpoint"].to_list() == [row["endpoint"] for row in report["shifts"]]
    now = datetime.now(UTC)
    lived = lives(world.lake, now - timedelta(days=1), now, 20)
    assert lived["state"].to_list() == ["candidate", "canary"]
    assert lived["end"].to_list() == [lived["begin"][1], now]
    assert lives(world.lake, now, now + timedelta(hours=1), 20)["state"].to_list() == ["canary"]
    assert audit(world.lake, now, now + timedelta(hours=1)).is_empty()
