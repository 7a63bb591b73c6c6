"""Test the usage of each model in the last week, as the list of models filters and sorts by it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, get_args

from data.lake import Lake
from data.record.encoding import encode_record
from data.record.record import Record
from models.categories.taxonomy import CATEGORIES
from router_service.api.model_query import Category
from router_service.telemetry.log import RequestLog
from router_service.telemetry.model_usage import KEPT_S, ModelUsage, ModelUsageReader
from router_service.telemetry.sealing import recover

DAY_US = 86_400 * 10**6


def row(number: int, model: str | None, *, days_ago: float = 0, error: str | None = None, **more: Any) -> bytes:
    moment = int(time.time() * 1e6 - days_ago * DAY_US)
    return encode_record(
        Record(f"gen-{number}", moment, "w", "a/b", False, 200, 5, model=model, error_type=error, **more)
    )


def write(lake: Lake, worker: str, *rows: bytes) -> None:
    log = RequestLog(lake, worker)
    for payload in rows:
        log.append(payload)
    log.close()


def test_figures_are_those_of_the_last_seven_days_whether_sealed_or_not(tmp_path: Path) -> None:
    lake = Lake(tmp_path).create()
    write(
        lake,
        "w",
        row(1, "a/b", prompt_tokens=10, completion_tokens=5, category="legal"),
        row(2, "a/b", prompt_tokens=20, category="legal"),
        row(3, "a/b", days_ago=3, completion_tokens=7, category="health", tool_calls=2),
        row(4, "a/b", category="trivia", error="timeout"),
        row(5, "a/b", tool_calls=1, tool_call_fault="invalid_json"),
        row(6, "a/b", tool_calls=1),
        row(7, "a/b", tool_calls=1),
        row(8, "c/d", prompt_tokens=1),
        row(9, None, prompt_tokens=1000),
        row(10, "old/one", days_ago=9, prompt_tokens=5, category="legal"),
    )
    wanted = {
        "a/b": ModelUsage(42, 4, 1, {"legal": 2, "health": 1}),
        "c/d": ModelUsage(1),
    }
    assert ModelUsageReader(lake).of_last_week() == wanted
    assert (wanted["a/b"].tool_success_rate, wanted["c/d"].tool_success_rate) == (0.75, None)
    recover(lake)
    assert ModelUsageReader(lake).of_last_week() == wanted


def test_the_log_is_read_again_once_the_figures_are_old(tmp_path: Path) -> None:
    lake, now = Lake(tmp_path).create(), [0.0]
    reader = ModelUsageReader(lake, lambda: now[0])
    assert reader.of_last_week() == {}
    write(lake, "w", row(1, "a/b", prompt_tokens=10))
    assert reader.of_last_week() == {}
    now[0] = KEPT_S + 1
    assert reader.of_last_week() == {"a/b": ModelUsage(10)}


def test_the_filters_categories_are_those_of_the_classifier() -> None:
    assert set(get_args(Category)) == set(CATEGORIES)
