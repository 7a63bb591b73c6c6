"""Declare the roll-ups over marts that are published."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from data.marts import COARSER
from pipelines.marts.declaration import MartCheck, MartView

GRAINS = {"day": "daily", "week": "weekly", "month": "monthly"}


def _market_share(grain: str) -> MartView:
    name = f"market_share_{GRAINS[grain]}"
    return MartView(
        name,
        "market",
        f"Tokens, share and rank by model in each {grain} (UTC, weeks from Monday).",
        ("market_hourly",),
        (
            MartCheck(
                f"shares of a {grain} sum to 1",
                f"SELECT {grain}, sum(share) AS share FROM {name} GROUP BY {grain} HAVING abs(sum(share) - 1) > 1e-9",
            ),
        ),
        file="market_share",
        grain=grain,
    )


def _of_users(file: str, description: str) -> Iterator[MartView]:
    """Yield the roll-ups of users by week and by month; ``{grain}`` in ``description`` stands for either."""
    for grain in ("week", "month"):
        yield MartView(
            f"{file}_{GRAINS[grain]}",
            "market",
            description.format(grain=grain),
            ("users_hourly",),
            file=file,
            grain=grain,
            stored=False,
        )


VIEWS = (
    MartView("summary", "log", "How many requests the marts stand on, and from when.", ("arrivals_hourly",)),
    *(_market_share(grain) for grain in GRAINS),
    *_of_users(
        "cohorts", "Users by the {grain} of their first use of a model, and how many used it so many {grain}s later."
    ),
    *_of_users(
        "switches", "Users by their main model of a {grain} and of the {grain} in which they were active before."
    ),
    MartView(
        "categories_weekly",
        "categories",
        "Requests and tokens of the week by category and model.",
        ("categories_hourly",),
    ),
    MartView(
        "session_costs_weekly",
        "economics",
        "Sessions and their median cost by the week in which they began, app, model and number of requests.",
        ("sessions_hourly",),
        stored=False,
    ),
    MartView(
        "prices_daily",
        "economics",
        "What a unit of each meter cost by day, model and provider, and on the day before on which it was used.",
        ("charges_hourly",),
        grain="day",
        stored=False,
    ),
    MartView(
        "effective_prices_weekly",
        "economics",
        "What a token really cost by week, model and provider, with caching.",
        ("usage_hourly",),
        stored=False,
    ),
)

VIEW_CHECKS = tuple(check for view in VIEWS for check in view.checks)
# Identifies the declarations: a version that was published with others is published again.
_DECLARED = ([(one.name, one.published_sql, one.stored) for one in VIEWS], sorted(COARSER.items()))
ROLLUPS = blake2b(repr(_DECLARED).encode(), digest_size=8).hexdigest()
