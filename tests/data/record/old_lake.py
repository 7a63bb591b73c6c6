"""Unpack the lake of record version 1 and write rows of the current version beside it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from data.lake import Lake
from data.record.attempt import Attempt
from data.record.charges import Charge
from data.record.encoding import encode_record, to_table
from data.record.lake_reader import request_files
from data.record.record import Record
from router_service.telemetry.frames import read_frames

ARCHIVE = Path(__file__).parents[2] / "fixtures/lake/record-version-1.tar.xz"
KEY = "sk-or-v1-lake-of-record-version-1"
SEALED, UNSEALED = 23, 7
DAY, HOUR_US = "2026-11-29", 1_795_953_600_000_000


def unpack(folder: Path) -> Lake:
    """Return the lake of record version 1, unpacked into ``folder``."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return Lake(folder).create()


def unsealed_rows(lake: Lake) -> list[dict[str, object]]:
    """Return what the unsealed segments of version 1 hold, decoded without any knowledge of the record."""
    segments = [path.read_bytes() for path in sorted(lake.log.glob("*.wal"))]
    return [msgspec.msgpack.decode(payload) for segment in segments for payload in read_frames(segment).payloads]


def new_record(number: int) -> Record:
    """Return a record of the current version that fills columns which version 1 lacks."""
    moment = HOUR_US + number * 1_000_000
    record = Record(f"gen-{moment // 1_000_000}-{number:020x}", moment, "w", "openai/m", True, 200, 900_000)
    record.attempts = [Attempt("groq:m", "groq", "openai/m", 200, ttft_us=100_000, duration_us=800_000, step=1)]
    record.model, record.author, record.provider, record.endpoint = "openai/m", "openai", "groq", "groq:m"
    record.prompt_tokens, record.completion_tokens, record.ttft_us = 100, 10, 100_000
    record.user_agent, record.country = "almanac/1", "DE"
    record.charges = [Charge("prompt", 100, 7), Charge("completion", 10, number)]
    record.cost_nano, record.cost_prompt_nano, record.cost_completion_nano = 7 + number, 7, number
    return record


def add_file(lake: Lake, name: str, records: list[Record]) -> Path:
    """Write ``records`` as a sealed file, whose ``name`` decides its place among the others."""
    path = lake.requests / f"day={DAY}" / f"{name}.parquet"
    pq.write_table(to_table([encode_record(record) for record in records]), path)
    assert path in request_files(lake)
    return path
