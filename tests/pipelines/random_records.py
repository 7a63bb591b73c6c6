"""Draw rows of the request log in which every column that a mart reads varies, and write them to a lake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from data.lake import Lake
from data.record.columns import declared_columns
from data.record.record import RECORD_SCHEMA, Record

START = datetime(2026, 2, 26, 22, tzinfo=UTC)
# Both sides of an hour, a day, a week and a month, and later.
OFFSETS_S = (0, 1, 3599, 3600, 7199, 7200, 90_000, 180_000, 266_400, 345_600, 950_000, 3_000_000)
NEW = {one.name for one in declared_columns(Record) if one.column.since > 1}
ENDPOINTS = ("north:m", "south:m", "west:m")


def _maybe(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from((None, *values))


_COUNTS = st.sampled_from((None, 0, 1, 7, 999, 1000, 1001, 10_001, 100_001, 1_000_001))
_CANDIDATES = st.lists(
    st.fixed_dictionaries(
        {
            "endpoint": st.sampled_from(ENDPOINTS),
            "probability": st.sampled_from((0.0, 0.25, 0.5)),
            "score": _maybe(0.5, 1.1, 3.0),
            "excluded_by": _maybe(None, "data_policy"),
        }
    ),
    max_size=3,
    unique_by=lambda one: one["endpoint"],
)
_ATTEMPTS = st.lists(
    st.builds(
        lambda endpoint, error: {
            "endpoint": endpoint, "provider": endpoint.split(":")[0], "model": "a/m", "error_type": error,
            "ttft_us": None if error else 1000, "duration_us": 2000, "reason": "sampled", "started_us": 0, "step": 0,
        },
        st.sampled_from(ENDPOINTS), _maybe("timeout"),
    ),
    max_size=2,
)  # fmt: skip
_CHARGES = st.one_of(
    st.none(),
    st.lists(
        st.fixed_dictionaries(
            {
                "meter": st.sampled_from(("prompt", "completion")),
                "quantity": st.sampled_from((0, 1, 500)),
                "nano": st.sampled_from((0, 3, 10_000)),
            }
        ),
        max_size=3,
    ),
)
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "offset": st.sampled_from(OFFSETS_S), "model": _maybe("a/m", "a/n", "b/m"), "country": _maybe("DE", "US"),
    "status": st.sampled_from((200, 200, 429)), "error_type": _maybe(None, "timeout"), "modality": _maybe("text"),
    "finish_reason": _maybe("stop", "length"), "provider": _maybe("north", "south"), "endpoint": _maybe(*ENDPOINTS),
    "app": _maybe("x", "y"), "key_hash": _maybe("k1", "k2"), "user_hash": _maybe("u1", "u2"),
    "workspace": _maybe("w"), "session_id": _maybe("s1", "s2"),
    "skin": st.sampled_from(("chat", "messages")), "tools": st.sampled_from((0, 2)), "tool_calls": _maybe(1),
    "tool_call_fault": _maybe("invalid_json"), "structured_output_valid": _maybe(True, False),
    "cancelled": st.booleans(), "prompt_tokens": _COUNTS, "completion_tokens": _COUNTS, "cached_tokens": _maybe(0, 5),
    "cache_write_tokens": _maybe(3), "reasoning_tokens": _maybe(2), "response_cache": _maybe("hit", "miss"),
    "category": _maybe("health", "trivia"), "category_confidence": _maybe(0.25, 0.75), "task_tag": _maybe("t1"),
    "natural_language": _maybe("en", "th"), "programming_language": _maybe("python"), "policy": _maybe("price"),
    "policy_version": _maybe("1"), "hedge_cost_nano": _maybe(0, 9), "candidates": _CANDIDATES, "attempts": _ATTEMPTS,
    "charges": _CHARGES, "nano": st.sampled_from((0, 4)),
}  # fmt: skip
ROWS = st.lists(st.fixed_dictionaries(_FIELDS), min_size=8, max_size=30)


def finished(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return whole rows: ids are unique, and the parts of a cost sum to the whole."""
    made = []
    for number, fields in enumerate(drawn):
        row = dict(fields)
        nano, charges = row.pop("nano"), row["charges"]
        arrived = START + timedelta(seconds=row.pop("offset"), microseconds=number)
        cost = nano if charges is None else sum(one["nano"] for one in charges)
        made.append(
            row
            | {"cost_nano": cost, "cost_prompt_nano": cost, "cost_cached_nano": 0, "cost_completion_nano": 0}
            | {"cost_fees_nano": 0, "schema_version": 2, "worker": "w", "duration_us": 10, "started_at": arrived}
            | {"generation_id": f"gen-{int(arrived.timestamp())}-{number}"}
            | {"requested_model": "m", "stream": False, "author": (row["model"] or "").split("/")[0] or None}
        )
    return made


def write_files(lake: Lake, name: str, rows: list[dict[str, Any]], *, old: bool) -> None:
    """Write a sealed file for each day of ``rows``; an ``old`` one lacks the columns of record version 2."""
    schema = pa.schema([field.with_nullable(True) for field in RECORD_SCHEMA if not (old and field.name in NEW)])
    lake.create()
    for day in sorted({row["started_at"].date() for row in rows}):
        held = [row for row in rows if row["started_at"].date() == day]
        path = lake.requests / f"day={day}" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(held, schema=schema), path)
