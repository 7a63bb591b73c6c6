"""Say at the end of a run which clients were tried, and make a skipped client a failure if ``REQUIRE_CLIENTS=1``."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Generator, Iterable
from typing import Any

import pytest

from tests.clients.pins import CLIENTS, version

PROPERTY, UNTRIED = "client", "client was not tried"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note the clients that a test tries, so that its reports carry them."""
    for item in items:
        for marker in item.iter_markers("client"):
            item.user_properties += [(PROPERTY, name) for name in marker.args]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Replace the skip of a client by a failure where every client is required."""
    report = yield
    required = os.environ.get("REQUIRE_CLIENTS") == "1"
    if required and report.skipped and tried_by(report):
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_CLIENTS=1: {reason_of(report)}"
        report.user_properties.append((UNTRIED, reason_of(report)))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print a line for each client."""
    found = [one for several in terminalreporter.stats.values() for one in several]
    lines = list(summary(report for report in found if isinstance(report, pytest.TestReport)))
    if lines:
        terminalreporter.section("clients")
        for line in lines:
            terminalreporter.write_line(line)


def summary(reports: Iterable[pytest.TestReport]) -> Iterable[str]:
    """Yield a line for each client if any was among ``reports``: how many tests passed, failed or were skipped."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    reasons: dict[str, str] = {}
    for report in reports:
        for name in tried_by(report):
            if report.skipped:
                counts[name]["skipped"] += 1
                reasons[name] = reason_of(report)
            elif why := [str(value) for key, value in report.user_properties if key == UNTRIED]:
                counts[name]["failed"] += 1
                reasons[name] = why[-1]
            elif report.failed or report.when == "call":
                counts[name][report.outcome] += 1
    if not counts:
        return
    for name in CLIENTS:
        found = counts.get(name, {})
        state = "FAILED" if found.get("failed") else "RAN" if found.get("passed") else "SKIPPED"
        said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found.items())) or "no test was selected"
        why = f" ({reasons[name]})" if name in reasons else ""
        yield f"{state:8}{name} {version(name)}: {said}{why}"


def tried_by(report: pytest.TestReport) -> list[str]:
    """Return the names of the clients that the test of ``report`` tries."""
    return [str(value) for key, value in report.user_properties if key == PROPERTY]


def reason_of(report: pytest.TestReport) -> str:
    """Return why a test was skipped."""
    longrepr = report.longrepr
    return str(longrepr[2] if isinstance(longrepr, tuple) else longrepr).removeprefix("Skipped: ")
