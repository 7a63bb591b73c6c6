"""Schedule the rollout of a policy; ``PORTOLAN_CANARY_SHARES`` and ``PORTOLAN_LAB_SPEED`` set it."""

from __future__ import annotations

import os
from typing import NamedTuple


class RolloutSchedule(NamedTuple):
    """Hold a canary's shares of all traffic, one step after the other, and how many decisions each stage takes.

    ``canary_decisions`` hold at each step: an outcome not observed in 300 has under 1 % (the rule of three). A shadow
    whose gain does not show in ``shadow_decisions`` gains less than a change is worth. ``kept`` artifacts stay on disk
    besides those that serve. ``speed`` is how many seconds of the market pass in one, above 1 only for an accelerated
    lab.
    """

    canary_shares: tuple[float, ...] = (0.1, 0.5)
    canary_decisions: int = 300
    shadow_decisions: int = 20_000
    kept: int = 10
    speed: float = 1.0


def rollout_schedule_from_environment() -> RolloutSchedule:
    """Read the schedule. Raises ``ValueError`` with a sentence that says what to change."""
    return RolloutSchedule(canary_shares=_shares(), speed=_speed())


def _shares() -> tuple[float, ...]:
    text = os.environ.get("PORTOLAN_CANARY_SHARES", "").strip()
    if not text:
        return RolloutSchedule().canary_shares
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    if not shares or list(shares) != sorted(set(shares)) or not all(0 < share < 1 for share in shares):
        raise ValueError(f"PORTOLAN_CANARY_SHARES must be rising numbers between 0 and 1, as 0.1,0.5, not {text}")
    return shares


def _speed() -> float:
    text = os.environ.get("PORTOLAN_LAB_SPEED", "").strip() or "1"
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 1 <= speed <= 100:
        raise ValueError(f"PORTOLAN_LAB_SPEED must be a number from 1 to 100, not {text}")
    return speed
