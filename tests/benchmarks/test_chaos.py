"""While a healthy endpoint is left, a fault before the first token costs no request, and nobody pays twice."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos.client import Seen
from benchmarks.chaos.faults import FAULTS, Case, cases
from benchmarks.chaos.report import Figures, figures, table
from benchmarks.chaos.run import CaseOutcome, Run, run
from data.record.attempt import HEDGE, LOST

SHORT = ("expired certificate", "hangs after the role, half a whole answer", "5xx, 50 %")
COSTS = 0.999


def chosen(names: tuple[str, ...]) -> list[Case]:
    return cases(tuple(fault for fault in FAULTS if fault.name in names))


def test_some_faults_at_one_worker(tmp_path: Path) -> None:
    done = run(chosen(SHORT), tmp_path, requests=40, rate=20, workers=1, at_once=3, mended_within_s=0)
    for one in figures(done):
        assert one.good == one.due == 40, (one.case.fault.name, one.failures)
        assert (one.billed_twice, one.misbilled) == (0, 0)


def at(second: float, *attempts: tuple[str, float, str | None]) -> dict[str, Any]:
    """A record of the router's: its calls as (endpoint, seconds after its start, error)."""
    tried = [{"endpoint": name, "started_us": int(s * 1e6), "error_type": error} for name, s, error in attempts]
    served = next((name for name, _, error in attempts if error is None), None)
    return {"started_at": datetime.fromtimestamp(second, UTC), "attempts": tried, "cost_nano": 1, "endpoint": served}


def figures_of(rows: list[dict[str, Any]], completed: list[int], lifted: float) -> Figures:
    (case,) = [one for one in chosen(("5xx, 50 %",)) if one.stream]
    ids = {"hit": case.hit.id, "other": case.endpoints[1].id}
    logged = {}
    for number, row in enumerate(rows):
        attempts = [attempt | {"endpoint": ids[attempt["endpoint"]]} for attempt in row["attempts"]]
        logged[str(number)] = row | {"attempts": attempts, "endpoint": ids[row["endpoint"]]}
    struck = [Seen(str(n), 0.0, id=str(n), status=200, first_s=0.1, good=True) for n in range(len(rows))]
    outcome = CaseOutcome(case, struck=struck, planted=100.0, lifted=lifted)
    (found,) = figures(Run([outcome], logged, {str(n): count for n, count in enumerate(completed)}))
    return found


def test_second_calls_count_when_they_went_out_and_not_after_the_fault() -> None:
    first = at(100, ("hit", 0.0, LOST), ("other", 0.2, None))
    # Asked later, its second call goes to the endpoint that is hit before the first record's next one would.
    second = at(101, ("other", 0.0, LOST), ("hit", 0.4, "provider_overloaded"), ("other", 0.5, None))
    late = at(104.5, ("other", 0.0, LOST), ("hit", 1.0, LOST), ("other", 1.1, None))
    found = figures_of([second, first, late], [1, 1, 1], lifted=105)
    assert found.left == (2, pytest.approx(1.4))
    # 3.4 s went by until the call after the fault, 1.6 s until its end: it had not been left.
    assert figures_of([first, second, late], [1, 1, 1], lifted=103).left is None
    assert found.calls == pytest.approx(8 / 3)


def test_an_answer_that_lost_may_be_complete_and_is_not_billed() -> None:
    hedged = at(100, ("hit", 0.0, LOST), ("other", 0.2, None))
    plain = at(100, ("other", 0.0, None))
    found = figures_of([hedged, plain], [2, 1], lifted=105)
    assert (found.billed_twice, found.misbilled) == (0, 0)
    found = figures_of([hedged, plain], [3, 2], lifted=105)
    assert (found.billed_twice, found.misbilled) == (2, 2)


@pytest.mark.slow
def test_second_calls_save_time_and_bill_nobody_twice(tmp_path: Path) -> None:
    """A hang costs no request its deadline while there is a second call to spend."""
    streams = [case for case in chosen(("hangs before the headers",)) if case.stream]
    done = run(streams, tmp_path, requests=240, rate=20, workers=1, at_once=1, hedge_share=0.5, mended_within_s=0)
    attempts = [attempt for row in done.rows.values() for attempt in row["attempts"]]
    assert any(attempt["reason"] == HEDGE for attempt in attempts)
    for one in figures(done):
        assert one.good == one.due == 240, one.failures
        assert (one.billed_twice, one.misbilled) == (0, 0)


@pytest.mark.slow
def test_every_fault_at_two_workers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = figures(run(cases(), tmp_path, requests=120, rate=20, workers=2, at_once=6))
    with capsys.disabled():
        print(f"\n{table(found)}")
    for one in found:
        assert (one.billed_twice, one.misbilled) == (0, 0), one.case
        assert one.case.fault.at in ("dns", "tls") or one.back_s is not None, one.case
        if one.case.fault.all:
            assert one.good == 0
            assert all(said.startswith(("502", "503")) for said in one.failures), one.failures
    fair = [one for one in found if not one.case.fault.all]
    assert sum(one.good for one in fair) >= COSTS * sum(one.due for one in fair), [one.failures for one in fair]
