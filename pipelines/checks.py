"""Define the checks of a mart before it is published: a sentence, and SQL that counts the rows that contradict it."""

from __future__ import annotations


class CheckFailed(Exception):
    """Raised when the mart contradicts its lake; it is not published."""


CHECKS = {
    "generation ids are unique": "SELECT count(*) - count(DISTINCT generation_id) FROM requests",
    "the parts of a cost sum to the whole": (
        "SELECT count(*) FROM requests WHERE cost_nano "
        "<> cost_prompt_nano + cost_cached_nano + cost_completion_nano + coalesce(cost_fees_nano, 0)"
    ),
    "charges sum to the cost": (
        "SELECT count(*) FROM requests WHERE coalesce(list_sum([charge.nano FOR charge IN charges]), 0) <> cost_nano "
        "AND charges IS NOT NULL"
    ),
    "usage counts every request": (
        "SELECT abs((SELECT coalesce(sum(requests), 0) FROM sources) "
        "- (SELECT coalesce(sum(requests), 0) FROM usage_hourly))"
    ),
    "the summary counts every request": (
        "SELECT abs((SELECT coalesce(sum(requests), 0) FROM sources) - (SELECT requests FROM summary))"
    ),
    "no figure is negative": (
        "SELECT count(*) FROM usage_hourly WHERE least(requests, prompt_tokens, completion_tokens, cost_nano) < 0"
    ),
    "uptime counts no attempt twice": (
        "SELECT count(*) FROM uptime_hourly WHERE succeeded + failed + rate_limited > attempts"
    ),
    "shares of a week sum to 1": (
        "SELECT count(*) FROM (SELECT sum(share) AS whole FROM market_share_weekly GROUP BY week) "
        "WHERE abs(whole - 1) > 1e-9"
    ),
}
