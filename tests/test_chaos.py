"""While a healthy endpoint is left, a fault before the first token costs no request, and nobody pays twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chaos.faults import FAULTS, Case, cases
from benchmarks.chaos.report import figures, table
from benchmarks.chaos.run import run

SHORT = ("expired certificate", "hangs after the role, half a whole answer", "5xx, 50 %")
COSTS = 0.999


def chosen(names: tuple[str, ...]) -> list[Case]:
    return cases(tuple(fault for fault in FAULTS if fault.name in names))


def test_some_faults_at_one_worker(tmp_path: Path) -> None:
    done = run(chosen(SHORT), tmp_path, requests=40, rate=20, workers=1, at_once=3, mended_within_s=0)
    for one in figures(done):
        assert one.good == one.due == 40, (one.case.fault.name, one.failures)
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
