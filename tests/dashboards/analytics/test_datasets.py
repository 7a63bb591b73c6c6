"""Test public datasets against an independent computation, and that they show no small group."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import Any

import polars as pl
import pytest

from dashboards.analytics.activity import activity
from dashboards.analytics.datasets import app_rankings, rankings_daily, session_cost
from dashboards.analytics.problems import BadQuestion
from dashboards.analytics.public import app_id, app_name
from dashboards.analytics.task_shares import task_shares
from data.marts import open_mart
from lab.market.parameters import read_parameters
from tests.dashboards.analytics.conftest import MarketLake

FEW = 5


def today(market: MarketLake) -> date:
    return market.end.astimezone(UTC).date()


def completed(market: MarketLake, days: int) -> pl.DataFrame:
    """Return the requests of the last ``days`` that have ended."""
    tokens = pl.col("prompt_tokens").fill_null(0) + pl.col("completion_tokens").fill_null(0)
    day = pl.col("started_at").dt.date()
    end = today(market)
    return market.rows.with_columns(tokens=tokens, day=day).filter(
        (day >= end - timedelta(days=days)) & (day < end) & pl.col("model").is_not_null()
    )


def rankings(market: MarketLake, few: int = FEW, **fields: Any) -> dict[str, Any]:
    with open_mart(market.lake) as mart:
        return rankings_daily(mart, market.end, few, **fields)


def test_a_ranking_has_every_token_and_names_no_small_group(market: MarketLake) -> None:
    found = rankings(market)
    rows = completed(market, 31)
    for day, group in pl.DataFrame(found["data"]).group_by("date", maintain_order=True):
        mine = rows.filter(pl.col("day") == date.fromisoformat(str(day[0])))
        totals = mine.group_by("model").agg(pl.len().alias("n"), pl.col("tokens").sum()).filter(pl.col("tokens") > 0)
        named = totals.filter(pl.col("n") >= FEW).sort("tokens", "model", descending=[True, False])
        expected = list(zip(named["model"].to_list(), map(str, named["tokens"].to_list()), strict=True))
        others = totals["tokens"].sum() - named["tokens"].sum()
        expected += [("other", str(others))] if others else []
        assert list(group.select("model_permaslug", "total_tokens").iter_rows()) == expected
    end = today(market) - timedelta(days=1)
    assert found["meta"] | {"as_of": ""} == {
        "as_of": "", "version": "v1", "start_date": str(end - timedelta(days=30)), "end_date": str(end),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"modality": "image"}, pl.col("modality") == "image"),
        ({"context_bucket": "1K"}, pl.col("prompt_tokens") <= 1000),
        ({"context_bucket": "10K", "modality": "image"}, (pl.col("modality") == "image") & (
            pl.col("prompt_tokens").is_between(1001, 10_000))),
    ],
)  # fmt: skip
def test_exact_filters_keep_what_they_say(market: MarketLake, fields: dict[str, Any], kept: pl.Expr) -> None:
    data = rankings(market, few=1, **fields)["data"]
    rows = completed(market, 31).filter(kept)
    assert sum(int(row["total_tokens"]) for row in data) == rows["tokens"].sum() > 0


def test_a_sampled_ranking_stands_for_all_requests(market: MarketLake) -> None:
    """The shares of categories add up to all tokens, though only half of the requests are labelled."""
    categories = ["programming", *read_parameters().categories]
    week = {"start_date": str(today(market) - timedelta(days=28)), "end_date": str(today(market) - timedelta(days=1))}
    data = [row for name in categories for row in rankings(market, few=1, category=name, **week)["data"]]
    weeks = {date.fromisoformat(row["date"]) for row in data}
    # On a Monday the running week is not asked for; on other days its tokens are those up to now.
    whole = market.rows.filter(pl.col("started_at").dt.date().dt.truncate("1w").is_in(weeks))
    labelled = whole.filter(pl.col("category").is_not_null())
    assert labelled.height < 0.6 * whole.height
    tokens = (whole["prompt_tokens"].fill_null(0) + whole["completion_tokens"].fill_null(0)).sum()
    assert sum(int(row["total_tokens"]) for row in data) == pytest.approx(tokens, rel=0.02)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"category": "programming", "period": "day"}, "the periods week and month alone"),
        ({"category": "programming", "modality": "image"}, "cannot be combined"),
        ({"category": "programming", "language_type": "natural"}, "cannot be combined"),
        ({"start_date": "soon"}, "start_date must be a day such as"),
        ({"start_date": "2026-03-02", "end_date": "2026-03-01"}, "must not be after"),
        ({"end_date": "2024-01-01"}, "on or after 2025-01-01"),
        ({"start_date": "2025-01-01", "end_date": "2026-03-01"}, "at most 366 days"),
    ],
)
def test_a_dataset_that_does_not_exist_says_why(market: MarketLake, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadQuestion) as caught:
        rankings(market, **fields)
    assert sentence in caught.value.message


def test_apps_are_ranked_by_tokens_or_by_growth(market: MarketLake) -> None:
    with open_mart(market.lake) as mart:
        popular = app_rankings(mart, market.end, FEW)["data"]
        second = app_rankings(mart, market.end, FEW, limit=2, offset=3)["data"]
        trending = app_rankings(mart, market.end, FEW, sort="trending")["data"]
    totals = completed(market, 31).group_by("app").agg(pl.len().alias("n"), pl.col("tokens").sum())
    named = totals.filter(pl.col("n") >= FEW).sort("tokens", "app", descending=[True, False])
    assert [(row["app_id"], row["total_tokens"], row["total_requests"]) for row in popular] == [
        (app_id(app), str(tokens), n) for app, n, tokens in named.iter_rows()
    ]
    assert second == popular[3:5] and popular[3]["rank"] == 4
    assert len(trending) > 0 and {row["app_id"] for row in trending} <= {row["app_id"] for row in popular}
    begin = today(market) - timedelta(days=31)
    before = completed(market, 124).filter(pl.col("day") < begin).group_by("app").agg(pl.col("tokens").sum() / 3)
    means = dict(before.iter_rows())
    growth = {app_id(app): tokens - means.get(app, 0) for app, _, tokens in named.iter_rows()}
    assert [row["app_id"] for row in trending] == sorted(
        (app for app in growth if growth[app] > 0), key=lambda app: -growth[app]
    )
    assert app_name("https://notes.example/a/") == "notes.example/a" and app_name("notes") == "notes"


def test_what_sessions_cost_is_the_median_of_the_last_week(market: MarketLake) -> None:
    monday = today(market) - timedelta(days=today(market).weekday() + 7)
    rows = completed(market, 80)
    sessions = rows.group_by("key_hash", "user_hash", "session_id", "model").agg(
        pl.col("day").min(), pl.col("app").max(), pl.len().alias("turns"), pl.col("cost_nano").sum()
    )
    week = sessions.filter(pl.col("day").is_between(monday, monday + timedelta(days=6)) & (pl.col("turns") == 1))
    cells = week.group_by("app", "model").agg(pl.len(), pl.col("cost_nano").quantile(0.5, "lower"))
    exact = {(app_name(a), m): cost / 1e9 for a, m, n, cost in cells.iter_rows() if n >= 2}
    with open_mart(market.lake) as mart:
        found = session_cost(mart, market.end, 2, turn_range="1-turn", limit=500)
        none = session_cost(mart, market.end, 2, model="nobody/none")
    assert {(r["app_slug"], r["model_permaslug"]): r["median_session_cost_usd"] for r in found["data"]} == exact
    assert found["meta"]["window_end_date"] == str(monday + timedelta(days=6)) and none["data"] == []


def test_shares_of_tasks_are_those_of_the_last_week(market: MarketLake) -> None:
    with open_mart(market.lake) as mart:
        found = task_shares(mart, market.end, FEW)["data"]
    rows = completed(market, 7).filter(pl.col("task_tag").is_not_null())
    counts = rows.group_by("task_tag").len().filter(pl.col("len") >= FEW)
    shares = {tag: n / counts["len"].sum() for tag, n in counts.iter_rows()}
    assert {row["tag"]: row["usage_share"] for row in found["classifications"]} == pytest.approx(shares)
    for key in ("usage_share", "token_share"):
        assert sum(row[key] for row in found["macro_categories"]) == pytest.approx(1)
        for group in found["macro_categories"]:
            mine = [row for row in found["classifications"] if row["macro_category"] == group["key"]]
            assert sum(row[key] for row in mine) == pytest.approx(group[key])
            assert sum(row[f"category_{key}"] for row in mine) == pytest.approx(1)
    assert all(model["tag_usage_share"] <= 1 for row in found["classifications"] for model in row["models"])


@pytest.mark.parametrize("scope", ["all", "key", "workspace", "day"])
def test_activity_has_every_served_request_of_its_days(market: MarketLake, scope: str) -> None:
    rows = completed(market, 30).filter(pl.col("provider").is_not_null())
    key, day = rows["key_hash"].mode().sort()[0], today(market) - timedelta(days=3)
    fields: dict[str, Any] = {
        "all": {}, "key": {"key_hash": key}, "workspace": {"by_workspace": True}, "day": {"day": str(day)},
    }[scope]  # fmt: skip
    rows = rows.filter({"key": pl.col("key_hash") == key, "day": pl.col("day") == day}.get(scope, pl.lit(True)))
    found = activity(market.lake, market.end, **fields)
    wanted = rows.group_by("day", "model", "provider", *(["workspace"] if scope == "workspace" else [])).len()
    assert sum(row["requests"] for row in found) == rows.height and len(found) == wanted.height
    assert sum(row["usage"] for row in found) == pytest.approx(rows["cost_nano"].sum() / 1e9)
    assert all(row["endpoint_id"] == f"{row['provider_name']}:{row['model']}" for row in found)
    assert ("workspace_id" in found[0]) == (scope == "workspace")


@pytest.mark.parametrize("day", ["2020-01-01", "yesterday", "9999-12-31"])
def test_activity_is_that_of_days_that_have_ended(market: MarketLake, day: str) -> None:
    with pytest.raises(BadQuestion, match="date must be"):
        activity(market.lake, market.end, day=day)
