"""Compute uptime, and derive tiers, outages and public status codes from it."""

from __future__ import annotations

from typing import Literal

from router_service.health.windows import OutcomeCounts, OutcomeWindows

UptimeTier = Literal["good", "insufficient", "degraded", "down"]

# The reference's bands, in percent, and the requests below which it does not judge (provider docs, "Uptime").
NORMAL = 95.0
DEGRADED = 80.0
TIER_REQUESTS = 100
# Ours, the reference says only "insufficient data": below ten requests one failure is ten points of uptime.
UPTIME_REQUESTS = 10
# Ours: the limits of what planning calls a significant outage in the last 30 s.
OUTAGE_FAILURES = 2
OUTAGE_SHARE = 0.5

# The reference publishes 0, -1, -2, -3, -5 and -10 and explains only 0; the meaning of the others is ours.
STATUS_NORMAL = 0
STATUS_DEGRADED = -1
STATUS_DOWN = -2
STATUS_LIMITED = -3
STATUS_EJECTED = -5


def uptime(counts: OutcomeCounts, min_requests: int = UPTIME_REQUESTS) -> float | None:
    """Return the percentage of requests that succeeded, or ``None`` below ``min_requests``.

    429s and clients' own errors are left out.
    """
    return 100.0 * counts.success / counts.attempts if counts.attempts >= min_requests else None


def uptime_tier(windows: OutcomeWindows, second: int) -> UptimeTier:
    """Return the tier by the shortest of 5 and 30 minutes with enough requests (the choice of window is ours)."""
    for window in ("5m", "30m"):
        share = uptime(windows.totals(window, second), TIER_REQUESTS)
        if share is not None:
            return "good" if share >= NORMAL else "degraded" if share >= DEGRADED else "down"
    return "insufficient"


def is_outage(successes: int, failures: int) -> bool:
    """Return whether ``successes`` and ``failures`` of the last 30 s are a significant outage."""
    return failures >= OUTAGE_FAILURES and failures >= OUTAGE_SHARE * (successes + failures)
