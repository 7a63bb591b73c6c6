"""Name the figures of a request's plan, which marts read beside the columns of the record."""

from __future__ import annotations

import re
from importlib import resources

PLAN_COLUMNS = (
    "plan_has_choice", "plan_explored", "plan_exploration_nano", "plan_gain_nano", "plan_rank", "plan_attempt",
)  # fmt: skip
PLANS = resources.files("pipelines").joinpath("sql", "plans.sql").read_text()


def names_plan(sql: str) -> bool:
    """Return whether ``sql`` names a figure of the plan."""
    return not set(PLAN_COLUMNS).isdisjoint(re.findall(r"\w+", sql))


def with_plans(requests: str) -> str:
    """Return SQL for the rows of ``requests``, a table or a query in parentheses, with ``PLAN_COLUMNS``."""
    return PLANS.replace("FROM logged\n", f"FROM {requests} AS logged\n")
