"""``GET /key`` counts what the log holds: at once, after sealing, and after a restart."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from data.lake import Lake
from data.record.encoding import encode_record
from data.record.record import Record
from router_service.telemetry.key_usage import KeyUsage, KeyUsageReader
from router_service.telemetry.log import RequestLog
from router_service.telemetry.sealing import recover
from tests.conftest import Stack


def write(lake: Lake, worker: str, *rows: tuple[str, date, int]) -> None:
    log = RequestLog(lake, worker)
    for number, (key, day, nano) in enumerate(rows):
        moment = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp() * 1e6)
        row = Record(f"gen-{number}", moment, worker, "a/b", False, 200, 5, key_hash=key, cost_nano=nano)
        log.append(encode_record(row))
    log.close()


def test_sums_are_by_utc_day_week_and_month_whether_sealed_or_not(tmp_path: Path) -> None:
    lake = Lake(tmp_path).create()
    wednesday = date(2026, 11, 18)
    write(lake, "a", ("k", wednesday, 1), ("k", date(2026, 11, 16), 10), ("other", wednesday, 7))
    write(lake, "b", ("k", date(2026, 11, 15), 100), ("k", date(2026, 10, 31), 1000))
    reader = KeyUsageReader(lake)
    before = reader.of("k", wednesday)
    recover(lake)
    assert before == reader.of("k", wednesday) == reader.of("k", wednesday) == KeyUsage(1111, 1, 11, 111)
    assert KeyUsageReader(lake).of("nobody", wednesday) == KeyUsage(0, 0, 0, 0)


def test_the_key_shows_each_answers_cost(stack: Stack) -> None:
    body = {"model": "openai/gpt-oss-120b", "messages": [{"role": "user", "content": "hello"}]}
    with stack.client as client:
        costs = [client.post("/api/v1/chat/completions", json=body).json()["usage"]["cost"] for _ in range(3)]
        data = client.get("/api/v1/key").json()["data"]
        recover(stack.lake)
        again = client.get("/api/v1/key").json()["data"]
    assert data["usage"] == again["usage"] == data["usage_daily"] == pytest.approx(sum(costs))
    assert min(costs) > 0
