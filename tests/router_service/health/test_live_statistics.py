"""Test that the router's statistics of its own calls equal those derived from the log for the same time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from models.selection.dataset import decision_log
from models.selection.dataset.point_in_time import walk_log
from models.selection.decision.live_observations import EndpointView
from router_service.health.live_statistics import LiveStatistics
from router_service.telemetry.sealing import recover
from tests.conftest import Stack, open_stack
from tests.learned_world import GROQ, TAGS, WANDB, SteadyLab, ask, body
from tests.peers import Clock, Worker
from tests.running import until

TOOLS = [{"type": "function", "function": {"name": "tide", "parameters": {"type": "object"}}}]
FIRST, ALONE = {"provider": {"order": TAGS}}, {"provider": {"only": ["groq"]}}


def leave(stack: Stack, client: httpx2.Client) -> None:
    """Disconnect after a stream has begun."""
    with client.stream("POST", "/api/v1/chat/completions", json=body(max_tokens=50, **ALONE)) as answer:
        next(answer.iter_bytes())
    until(
        lambda: not stack.services.statistics.snapshot([GROQ]).views[0].in_flight,
        "the router has noticed the disconnect",
        10,
    )


def traffic(stack: Stack, client: httpx2.Client) -> None:
    """Cause responses of both kinds, failures of every kind, tool calls, a disconnect and a hedge that wins."""
    lab = stack.lab
    for tag in TAGS:
        for _ in range(21):
            ask(client, provider={"order": [tag]})
    ask(client, stream=False, **FIRST)
    for fault in (
        {"mode": "error"},
        {"mode": "rate_limit", "retry_after": None},
        {"mode": "reset", "after": 0},
        {"mode": "error"},
    ):
        lab.modes["groq"] = fault
        ask(client, **FIRST)
    lab.modes["groq"] = {"mode": "error", "status": 400}
    client.post("/api/v1/chat/completions", json=body(**FIRST))
    for fault in ({"mode": "garble", "code": "invalid_json"}, {"mode": "ok"}):
        lab.modes["groq"] = fault
        ask(client, tools=TOOLS, tool_choice="required", max_tokens=200, **ALONE)
    lab.modes["groq"] = {"mode": "stall"}
    leave(stack, client)
    lab.modes["groq"] = {"mode": "slow", "factor": 50}
    ask(client, **FIRST)


def logged(stack: Stack, now_s: float) -> tuple[list[dict[str, Any]], list[EndpointView]]:
    """Return the records, and the views of ``GROQ`` and ``WANDB`` that they give at ``now_s``."""
    recover(stack.lake)
    decision_log.catch_up(stack.lake)
    rows = decision_log.read(stack.lake).to_dicts()
    now = {"generation_id": "now", "started_at": datetime.fromtimestamp(now_s, UTC), "attempts": []}
    *_, (_, views) = walk_log([*rows, now], lambda _: (GROQ, WANDB))
    return rows, list(views)


def test_the_routers_views_equal_those_of_the_log_at_the_same_time(tmp_path: Path) -> None:
    settings = {"hedge_share": 1.0, "ttft_timeout": 5.0, "auto_exacto": False}
    with open_stack(tmp_path, SteadyLab({}), **settings) as stack, stack.client as client:
        traffic(stack, client)
        statistics = stack.services.statistics
        now_s, views = statistics.now_s(), list(statistics.snapshot([GROQ, WANDB]).views)
    rows, expected = logged(stack, now_s)
    errors = {attempt["error_type"] for row in rows for attempt in row["attempts"]}
    assert errors >= {None, "rate_limit_exceeded", "provider_unavailable", "invalid_request", "cancelled"}
    assert views[0].recent[3].malformed == pytest.approx(0.5)
    for got, want in zip(views, expected, strict=True):
        plain = (got.in_flight, got.refused, got.streak, got.cap)
        assert plain == (want.in_flight, want.refused, want.streak, want.cap)
        assert got.since_s == pytest.approx(want.since_s, abs=0.05)
        assert got.since_failure_s == pytest.approx(want.since_failure_s, abs=0.05)
        assert np.array(got.recent, float) == pytest.approx(np.array(want.recent, float), rel=2e-3, nan_ok=True)
    assert statistics.failures == 0


def test_an_error_while_learning_from_a_call_costs_no_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_stack(tmp_path) as stack, stack.client as client:
        stack.services.statistics._observed = None  # type: ignore[assignment]
        for _ in range(3):
            ask(client)
        until(lambda: stack.services.statistics.failures >= 3, "the pending events have been tried", 10)
    assert "could not learn from the end of a call (1 times)" in caplog.text


def test_an_attempt_is_reported_once_and_open_ones_at_the_end_of_the_request() -> None:
    worker = Worker(clock=Clock())
    exchange, attempt = worker.begin()
    worker.begin()
    attempt.error_type = "server"
    worker.outcomes.end(exchange, attempt, "answered")
    worker.outcomes.end(exchange, attempt, "answered")
    worker.outcomes.settle(exchange)
    assert (worker.view().streak, worker.view().in_flight) == (1, 1)


def test_the_statistics_use_a_clock_that_cannot_be_set() -> None:
    clock = Clock()
    statistics = LiveStatistics(clock)
    before = statistics.now_s()
    clock.now += 5
    assert statistics.now_s() - before == pytest.approx(5)
    assert before == pytest.approx(datetime.now(UTC).timestamp(), abs=60)
