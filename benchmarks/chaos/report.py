"""From a run to figures, and to a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.chaos.client import Seen
from benchmarks.chaos.faults import Case
from benchmarks.chaos.run import CaseOutcome, Run
from data.record.attempt import LOST

# Without a call for this long an endpoint that had most of the traffic has been left.
LEFT_S = 2.0


@dataclass
class Figures:
    """Results of one case. Latencies are seconds until the first token of a stream or the full response.

    ``due`` are requests whose first token had not been sent when the fault met them, ``broken`` the others that it
    met. ``calls`` is upstream calls a request. ``left`` is (calls, seconds) until the endpoint was left alone.
    """

    case: Case
    due: int
    good: int
    broken: int
    billed_twice: int
    misbilled: int
    added_p50: float | None
    added_p99: float | None
    calls: float
    left: tuple[int, float] | None
    back_s: float | None
    failures: list[str]


def figures(run: Run) -> list[Figures]:
    """Those of every case, in the order of the run."""
    return [_of(run, outcome) for outcome in run.outcomes]


def _of(run: Run, outcome: CaseOutcome) -> Figures:
    struck, everything = outcome.struck, outcome.calm + outcome.struck + outcome.mended
    due = [seen for seen in struck if not seen.broken]
    attempts = [run.rows[seen.id]["attempts"] for seen in struck if seen.id in run.rows]
    calm, now = _firsts(outcome.calm), _firsts(struck)
    return Figures(
        outcome.case,
        len(due),
        sum(seen.good for seen in due),
        len(struck) - len(due),
        sum(run.completed.get(seen.user, 0) > 1 + _lost(run, seen) for seen in everything),
        sum(not _billed_once(run, seen) for seen in everything if seen.good),
        _level(now, 50) - _level(calm, 50) if now and calm else None,
        _level(now, 99) - _level(calm, 99) if now and calm else None,
        sum(map(len, attempts)) / len(struck),
        _left(run, outcome),
        outcome.back_s,
        [f"{seen.status}: {seen.said}" for seen in due if not seen.good],
    )


def _billed_once(run: Run, seen: Seen) -> bool:
    """One attempt that succeeded, a price, and one answer that its provider completed, but for those of calls cut."""
    row = run.rows[seen.id or ""]
    served = [attempt for attempt in row["attempts"] if attempt["error_type"] is None]
    return (
        0 < run.completed.get(seen.user, 0) <= 1 + _lost(run, seen)
        and [attempt["endpoint"] for attempt in served] == [row["endpoint"]]
        and bool(row["cost_nano"])
    )


def _lost(run: Run, seen: Seen) -> int:
    """Calls of two that were cut for the other. Their providers may have come to the end; the client pays for one."""
    row = run.rows.get(seen.id or "")
    return sum(attempt["error_type"] == LOST for attempt in row["attempts"]) if row else 0


def _left(run: Run, outcome: CaseOutcome) -> tuple[int, float] | None:
    """Calls by the moment at which each went out, second ones beside slow ones as well, while the fault held: what a
    request sends out later than that is no news of when the endpoint was left.
    """
    rows = [row for seen in outcome.struck if (row := run.rows.get(seen.id or ""))]
    begun = (
        row["started_at"].timestamp() + attempt["started_us"] / 1e6
        for row in rows
        for attempt in row["attempts"]
        if attempt["endpoint"] == outcome.case.hit.id
    )
    moments = sorted(moment for moment in begun if moment < outcome.lifted)
    for number, (moment, following) in enumerate(zip(moments, [*moments[1:], outcome.lifted], strict=False), 1):
        if following - moment >= LEFT_S:
            return number, moment - outcome.planted
    return None


def _firsts(seen: Sequence[Seen]) -> list[float]:
    return sorted(one.first_s for one in seen if one.good and one.first_s is not None)


def _level(ordered: Sequence[float], percent: int) -> float:
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def table(found: Sequence[Figures]) -> str:
    """Markdown."""
    lines = [
        "| fault | response | succeeded | broken after the first token | added p50, ms | added p99, ms "
        "| calls per request | ejected after | back after |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        left = f"{one.left[0]} calls, {max(0.0, one.left[1]):.1f} s" if one.left else "–"
        cells = (
            one.case.fault.name,
            "stream" if one.case.stream else "non-streamed",
            f"{one.good} of {one.due}",
            str(one.broken or "–"),
            _ms(one.added_p50),
            _ms(one.added_p99),
            f"{one.calls:.2f}",
            left,
            "–" if one.back_s is None else f"{one.back_s:.1f} s",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1e3:+.0f}"
