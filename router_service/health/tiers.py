"""Uptime, and the tiers and status that follow from it."""

from __future__ import annotations

from typing import Literal

from router_service.health.windows import Counts, Windows

Tier = Literal["good", "insufficient", "degraded", "down"]

# The reference's bands, in percent, and the requests below which it does not judge (provider docs, "Uptime").
NORMAL = 95.0
DEGRADED = 80.0
TIER_REQUESTS = 100
# Ours, the reference says only "insufficient data": below ten requests one failure is ten points of uptime.
UPTIME_REQUESTS = 10
# Ours: what planning calls a significant outage in the last 30 s.
OUTAGE_FAILURES = 2
OUTAGE_SHARE = 0.5

# The reference publishes 0, -1, -2, -3, -5 and -10 and explains only 0; the meaning of the others is ours.
STATUS_NORMAL = 0
STATUS_DEGRADED = -1
STATUS_DOWN = -2
STATUS_LIMITED = -3
STATUS_EJECTED = -5


def uptime(counts: Counts, least: int = UPTIME_REQUESTS) -> float | None:
    """Percent of requests that succeeded, 429s and clients' errors left out; ``None`` below ``least`` requests."""
    return 100.0 * counts.success / counts.attempts if counts.attempts >= least else None


def tier(windows: Windows, second: int) -> Tier:
    """By the shortest of 5 and 30 minutes with enough requests (the choice of window is ours)."""
    for window in ("5m", "30m"):
        share = uptime(windows.totals(window, second), TIER_REQUESTS)
        if share is not None:
            return "good" if share >= NORMAL else "degraded" if share >= DEGRADED else "down"
    return "insufficient"


def outage(successes: int, failures: int) -> bool:
    """Whether these, of the last 30 s, are a significant outage."""
    return failures >= OUTAGE_FAILURES and failures >= OUTAGE_SHARE * (successes + failures)
