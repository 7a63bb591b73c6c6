"""Replay a decision from its log record alone: find the endpoint that the logged draw selects.

This is deliberately a second implementation of ``Plan.sample``, which shares only the record with the router.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Replay(NamedTuple):
    """Result of a replay. ``agrees`` is ``None`` if the record holds too little to tell, or nothing was tried.

    ``endpoint`` is the one that the draw selects, and ``policy`` is the arm of the mixture that it falls into.
    """

    endpoint: str | None
    policy: str | None
    agrees: bool | None
    sentence: str


def replay(row: Mapping[str, Any]) -> Replay:
    """Find the endpoint that the draw of the record ``row`` selects, and compare it with the first attempt."""
    draw, arms = row["draw"], row.get("arms")
    if draw is None:
        return Replay(None, None, None, "Nothing was drawn.")
    if not arms:
        return Replay(None, None, None, "The record is older than what a draw is looked up in.")
    arm, inner = _arm(draw, arms)
    place = next((i for i, edge in enumerate(arm["cumulative"]) if inner < edge), None)
    candidates = [c for c in row["candidates"] if c["excluded_by"] is None]
    if place is None or place >= len(candidates):
        return Replay(None, arm["policy"], False, f"The draw {draw:.6f} falls beyond every logged candidate.")
    drawn = candidates[place]
    found = f"The draw {draw:.6f} stands for {drawn['endpoint']} ({arm['policy']})"
    made = (arm["policy"], arm["version"], drawn["probability"])
    if made != (row["policy"], row["policy_version"], row["propensity"]):
        logged = f"{row['policy']} {row['policy_version']} with probability {row['propensity']}"
        return Replay(drawn["endpoint"], arm["policy"], False, f"{found}, but the log says {logged}.")
    return Replay(drawn["endpoint"], arm["policy"], *_held_against(row["attempts"], drawn["endpoint"], found))


def _arm(draw: float, arms: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], float]:
    """Return the arm that ``draw`` falls into, and its relative position within the arm, in [0, 1)."""
    low = 0.0
    for arm in arms[:-1]:
        high = low + arm["weight"]
        if draw < high:
            return arm, _scaled(draw - low, arm["weight"])
        low = high
    return arms[-1], _scaled(draw - low, arms[-1]["weight"])


def _scaled(rest: float, weight: float) -> float:
    return min(rest / weight, math.nextafter(1.0, 0.0)) if weight else 0.0


def _held_against(attempts: Sequence[Mapping[str, Any]], drawn: str, found: str) -> tuple[bool | None, str]:
    if not attempts:
        return None, f"{found}; nothing was tried."
    first = attempts[0]
    if first["endpoint"] == drawn:
        return True, f"{found}, which was tried first."
    if first["reason"] != "sampled":
        # The propensity confirms the draw. A later step put another endpoint first and recorded its reason.
        return True, f"{found}; {first['endpoint']} was tried first ({first['reason']})."
    return False, f"{found}, but {first['endpoint']} was tried first."
