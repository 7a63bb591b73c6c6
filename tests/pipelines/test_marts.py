"""Marts count what the lake holds, or are not published."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from data.lake import Lake
from data.marts import NoMart, open_mart
from data.record.attempt import CLIENT_DEADLINE, STALE, Attempt, AttemptOutcome
from data.record.charges import Charge
from data.record.encoding import encode_record
from data.record.record import Record
from models.selection.dataset.point_in_time import LoggedResponse
from models.selection.decision.outcome import judge_attempt
from pipelines.build import build_mart
from pipelines.marts import partitions
from pipelines.marts.checking import CheckFailed
from pipelines.marts.declaration import MartCheck
from router_service.core.errors import ERROR_STATUS
from router_service.health import Health
from router_service.telemetry.log import RequestLog
from router_service.telemetry.sealing import recover
from tests.conftest import open_stack

START_US = 1_794_900_000_000_000
NOW = datetime.fromtimestamp(START_US / 1e6, UTC) + timedelta(days=3)


def records(count: int) -> list[Record]:
    dice = random.Random(11)
    made = []
    for number in range(count):
        provider = dice.choice(["groq", "deepinfra"])
        error = dice.choice([None, None, None, "rate_limit_exceeded", "timeout", "invalid_request", CLIENT_DEADLINE])
        moment = START_US + number * 97_000_000
        record = Record(f"gen-{moment // 1_000_000}-{number}", moment, "w", "openai/m", True, 200, 900_000)
        endpoint = f"{provider}:m"
        ttft_us = None if error else dice.randrange(100_000, 900_000)
        record.attempts = [Attempt(endpoint, provider, "openai/m", 200, error, ttft_us=ttft_us)]
        record.model, record.author, record.provider, record.endpoint = "openai/m", "openai", provider, endpoint
        record.prompt_tokens, record.completion_tokens, record.ttft_us = 100, number, ttft_us
        record.cost_nano, record.cost_prompt_nano, record.cost_completion_nano = 7 + number, 7, number
        made.append(record)
    return made


def fill(lake: Lake, rows: list[Record]) -> None:
    log = RequestLog(lake.create(), "w")
    for row in rows:
        log.append(encode_record(row))
    log.close()
    recover(lake)


def test_figures_equal_those_counted_by_hand(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), records(400)
    fill(lake, rows)
    assert build_mart(lake).requests == 400
    with open_mart(lake) as mart:
        total = mart.execute(
            "SELECT sum(requests), sum(completion_tokens), sum(cost_nano) FROM usage_hourly"
        ).fetchone()
        uptime = mart.execute(
            "SELECT sum(succeeded), sum(failed), sum(rate_limited), sum(attempts) FROM uptime_hourly"
        ).fetchone()
        ttfts = mart.execute("SELECT sum(n) FROM latency_hourly WHERE metric = 'ttft'").fetchone()
    errors = [row.attempts[0].error_type for row in rows]
    assert total == (400, sum(range(400)), sum(7 + n for n in range(400)))
    judged = len(rows) - errors.count(CLIENT_DEADLINE)
    assert uptime == (errors.count(None), errors.count("timeout"), errors.count("rate_limit_exceeded"), judged)
    assert ttfts == (errors.count(None),)


def test_throughput_is_the_providers_and_not_its_clients(tmp_path: Path) -> None:
    """One client read for nine seconds what took its provider one; of the other it is not known."""
    lake, rows = Lake(tmp_path), [row for row in records(400) if row.attempts[0].ttft_us][1:3]
    for row, duration_us in zip(rows, (1_100_000, None), strict=True):
        row.duration_us, row.ttft_us, row.completion_tokens = 9_000_000, 100_000, 50
        row.attempts[0].ttft_us, row.attempts[0].duration_us = 100_000, duration_us
    fill(lake, rows)
    build_mart(lake)
    with open_mart(lake) as mart:
        found = mart.execute("SELECT bucket, n FROM latency_hourly WHERE metric = 'throughput'").fetchall()
    assert found == [(math.floor(math.log(50_000) / math.log(1.02)), 1)]


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_whose_last_word_is_error_counts_against_uptime(tmp_path: Path, stream: bool) -> None:
    with open_stack(tmp_path) as stack, stack.client as client:
        stack.lab.modes["groq"] = {"mode": "fail_at_end"}
        for provider in ("groq", "groq", "deepinfra"):
            body = {
                "model": "openai/gpt-oss-120b",
                "messages": [{"role": "user", "content": "x"}],
                "stream": stream,
                "provider": {"only": [provider]},
            }
            answer = client.post("/api/v1/chat/completions", json=body)
            assert answer.status_code == 200
            assert ('"finish_reason":"error"' in answer.text) == (provider == "groq")
    lake = stack.lake
    recover(lake)
    assert build_mart(lake).requests == 3
    with open_mart(lake) as mart:
        found = mart.execute(
            "SELECT provider, attempts, succeeded, rate_limited, failed FROM uptime_hourly ORDER BY provider"
        ).fetchall()
    assert found == [("deepinfra", 1, 1, 0, 0), ("groq", 2, 0, 0, 2)]


def test_an_empty_lake_gives_a_valid_mart(tmp_path: Path) -> None:
    lake = Lake(tmp_path).create()
    with pytest.raises(NoMart):
        open_mart(lake)
    assert build_mart(lake).requests == 0
    with open_mart(lake) as mart:
        assert mart.execute("SELECT requests FROM summary").fetchall() == [(0,)]
        assert mart.execute("SELECT count(*) FROM usage_hourly").fetchall() == [(0,)]


def test_building_again_changes_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    fill(lake, records(50))
    first = build_mart(lake, NOW)
    before = {path: path.stat() for path in lake.marts.rglob("*.*")}
    second = build_mart(lake, NOW)
    assert first.rows == second.rows
    assert (second.opened, second.written) == ([], 0)
    assert lake.current_mart() == first.path == second.path
    assert {path: path.stat() for path in lake.marts.rglob("*.*")} == before


def test_fees_are_a_part_of_the_cost(tmp_path: Path) -> None:
    """The parts sum to the whole with the fee of a request, and do not without it."""
    (row,) = records(1)
    row.cost_nano, row.cost_fees_nano = row.cost_nano + 5_000_000, 5_000_000
    row.charges = [Charge("prompt", 100, 7), Charge("request", 1, 5_000_000)]
    right, wrong = Lake(tmp_path / "right"), Lake(tmp_path / "wrong")
    fill(right, [row])
    assert build_mart(right).requests == 1
    row.cost_fees_nano = 0
    fill(wrong, [row])
    build_mart(wrong)
    with open_mart(wrong) as mart:
        assert mart.execute("SELECT reason FROM quarantine_hourly").fetchall() == [("cost_parts",)]
        assert mart.execute("SELECT requests FROM summary").fetchall() == [(0,)]


def test_a_mart_that_fails_a_check_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, rows = Lake(tmp_path), records(5)
    fill(lake, rows[:4])
    good = build_mart(lake)
    fill(lake, rows[4:])
    monkeypatch.setattr(partitions, "MART_CHECKS", (MartCheck("nothing is left", "SELECT started_at FROM requests"),))
    with pytest.raises(CheckFailed, match=r"nothing is left \(5 contradictions\)"):
        build_mart(lake)
    assert lake.current_mart() == good.path
    assert list(lake.marts.glob("*.tmp")) == []


@pytest.mark.parametrize("error", sorted(ERROR_STATUS))
def test_uptime_reads_an_error_as_the_router_and_training_do(tmp_path: Path, error: str) -> None:
    lake, rows = Lake(tmp_path), records(1)
    rows[0].attempts = [Attempt("groq:m", "groq", "openai/m", 400, error, duration_us=5000)]
    fill(lake, rows)
    build_mart(lake)
    with open_mart(lake) as mart:
        failed, limited = mart.execute("SELECT sum(failed), sum(rate_limited) FROM uptime_hourly").fetchone() or ()
    health = Health()
    health.report(
        AttemptOutcome(
            endpoint="groq:m", provider="groq", model="openai/m", ended="failed", stream=True,
            began_s=0.0, ended_s=0.005, error_type=error,
        )
    )  # fmt: skip
    counts = health.counts("groq:m", "30m")
    judged = judge_attempt(0, error, None, 5000, LoggedResponse(True, False), served=True).result
    assert (failed, limited) == (counts.failure, counts.rate_limited)
    assert (failed, limited) == (int(judged == "error"), int(judged == "rate_limited"))


def test_a_call_that_met_a_closed_connection_counts_once(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path), records(1)
    rows[0].attempts = [
        Attempt("groq:m", "groq", "openai/m", None, "provider_unavailable", duration_us=10),
        Attempt("groq:m", "groq", "openai/m", 200, None, reason=STALE, ttft_us=1000),
    ]
    fill(lake, rows)
    build_mart(lake)
    with open_mart(lake) as mart:
        assert mart.execute("SELECT attempts, succeeded, failed FROM uptime_hourly").fetchall() == [(1, 1, 0)]
