"""Sum what each model served in the last week from the request log: tokens, categories and tool calls."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from data.lake import Lake
from data.record import lake_files
from router_service.telemetry.log_sums import LogSums

DAYS = 7
# The figures change slowly, and everybody may ask for them.
KEPT_S = 60.0
TOKENS, TOOL_CALLS, FAULTS, CATEGORY = "tokens", "tool_calls", "faults", "category:"
_COLUMNS = (
    "model", "started_at", "prompt_tokens", "completion_tokens", "category", "tool_calls", "tool_call_fault",
    "error_type",
)  # fmt: skip
Figures = Counter[tuple[str, date, str]]


class ModelUsage(msgspec.Struct):
    """Hold what one model served. ``tool_calls`` are responses that ended with some, ``faults`` those in bad form.

    ``categories`` counts the requests that were categorised, which are a sample.
    """

    tokens: int = 0
    tool_calls: int = 0
    faults: int = 0
    categories: dict[str, int] = msgspec.field(default_factory=dict)

    @property
    def tool_success_rate(self) -> float | None:
        """Return the share of responses with tool calls whose calls were in good form; ``None`` without any."""
        return 1 - self.faults / self.tool_calls if self.tool_calls else None


class _Row(msgspec.Struct):
    started_at: int
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    category: str | None = None
    tool_calls: int | None = None
    tool_call_fault: str | None = None
    error_type: str | None = None


_row = msgspec.msgpack.Decoder(_Row)


class ModelUsageReader:
    """Read the usage of the current UTC day and the six before it. ``clock`` returns seconds from any origin."""

    def __init__(self, lake: Lake, clock: Callable[[], float] = time.monotonic) -> None:
        self._sums = LogSums(lake, _of_payload, _of_file)
        self._clock = clock
        self._found: tuple[float, Mapping[str, ModelUsage]] | None = None
        self._lock = threading.Lock()

    def of_last_week(self) -> Mapping[str, ModelUsage]:
        """Return the usage by model, at most ``KEPT_S`` old. Reads files, so it must not run in the event loop."""
        with self._lock:
            if self._found is None or self._clock() - self._found[0] > KEPT_S:
                self._found = self._clock(), self._read(datetime.now(UTC).date())
            return self._found[1]

    def _read(self, today: date) -> dict[str, ModelUsage]:
        days = [today - timedelta(days=back) for back in range(DAYS)]
        found: dict[str, ModelUsage] = {}
        for (model, day, figure), number in self._sums.read([day.isoformat() for day in days]).items():
            if day < days[-1]:
                continue
            usage = found.setdefault(model, ModelUsage())
            if figure.startswith(CATEGORY):
                name = figure.removeprefix(CATEGORY)
                usage.categories[name] = usage.categories.get(name, 0) + number
            else:
                setattr(usage, figure, getattr(usage, figure) + number)
        return found


def _of_payload(payload: bytes) -> Figures:
    row = _row.decode(payload)
    figures: Figures = Counter()
    if row.model:
        _add(figures, row, datetime.fromtimestamp(row.started_at / 1e6, UTC).date())
    return figures


def _of_file(lake: Lake, path: Path) -> Figures:
    table = lake_files.read(lake, [path], _COLUMNS).table
    table = table.set_column(1, "day", pc.cast(table["started_at"], pa.date32()))
    names = [name for name in table.column_names if not name.endswith("_tokens")]
    sums = table.group_by(names).aggregate([("prompt_tokens", "sum"), ("completion_tokens", "sum"), ([], "count_all")])
    figures: Figures = Counter()
    for found in sums.to_pylist():
        day, count = found.pop("day"), found.pop("count_all")
        tokens = (found.pop("prompt_tokens_sum"), found.pop("completion_tokens_sum"))
        row = _Row(0, prompt_tokens=tokens[0], completion_tokens=tokens[1], **found)
        if row.model:
            _add(figures, row, day, count)
    return figures


def _add(figures: Figures, row: _Row, day: date, count: int = 1) -> None:
    """Add ``count`` records that are alike but for their tokens, of which ``row`` has the sums."""
    model = row.model or ""
    if tokens := (row.prompt_tokens or 0) + (row.completion_tokens or 0):
        figures[model, day, TOKENS] += tokens
    if row.category and not row.error_type:
        figures[model, day, CATEGORY + row.category] += count
    if row.tool_calls is not None:
        figures[model, day, TOOL_CALLS] += count
        if row.tool_call_fault:
            figures[model, day, FAULTS] += count
