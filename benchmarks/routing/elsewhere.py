"""Markets unlike the measured one, in which our policy still believes what is true of that one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from benchmarks.policies.baselines import AdjustedPriceShares, LatencyAverage, Oracle
from benchmarks.policies.live import LivePolicy
from benchmarks.routing import market
from models.selection.simulation.inverse_square_price import InverseSquarePrice
from models.selection.simulation.market import altered
from models.selection.simulation.scenarios import load_scenario
from models.selection.simulation.simulated_policy import SimulatedPolicy

# No choice was made on these.
SEEDS = tuple(range(51, 55))
SCENARIO = "calm"
POLICIES: tuple[Callable[[], SimulatedPolicy], ...] = (
    lambda: InverseSquarePrice(healthy=True),
    AdjustedPriceShares,
    LatencyAverage,
    LivePolicy,
    Oracle,
)


class Elsewhere(NamedTuple):
    """``changes`` are fields of tables of ``market.toml``, by the table's name."""

    about: str
    changes: Mapping[str, Mapping[str, Any]]


MARKETS = {
    "slow models": Elsewhere(
        "four times the TTFT, a third of the throughput",
        {"ttft_s": {"median": 2.5}, "tokens_per_s": {"median": 20.0}},
    ),
    "quick models": Elsewhere(
        "a third of the TTFT, three times the throughput",
        {"ttft_s": {"median": 0.2}, "tokens_per_s": {"median": 200.0}},
    ),
    "dear": Elsewhere("ten times the prices", {"completion_usd": {"median": 6e-6}}),
    "cheap": Elsewhere("a tenth of the prices", {"completion_usd": {"median": 6e-8}}),
    "alike": Elsewhere(
        "endpoints of a model differ by half as much",
        {"ttft_s": {"within": 0.3}, "tokens_per_s": {"within": 0.45}, "completion_usd": {"within": 0.34}},
    ),
    "scattered": Elsewhere(
        "one call says half as much of the next",
        {"spread": {"ttft_sigma": [0.25, 0.4, 0.5, 0.8, 1.2], "tokens_sigma": [0.1, 0.15, 0.2, 0.4, 0.9]}},
    ),
    "restless": Elsewhere(
        "levels drift twice as far, and in ten minutes instead of 100", {"drift": {"sd": 0.6, "half_life_s": 600}}
    ),
    "busy for minutes": Elsewhere("spells of 429s last three minutes", {"authored": {"busy_spell_s": 180.0}}),
    "busy for seconds": Elsewhere("spells of 429s last five seconds", {"authored": {"busy_spell_s": 5.0}}),
    "nobody else": Elsewhere(
        "hardly any 429s but by our own load", {"authored": {"busy_share": {"median": 0.001, "p90": 0.01}}}
    ),
    "failing": Elsewhere("three times the errors", {"authored": {"error_rate": {"median": 0.03, "p90": 0.2}}}),
    "scarce": Elsewhere(
        "two fifths of the capacity", {"authored": {"capacity": {"median": 0.4, "sd": 0.6, "least": 0.1}}}
    ),
    "little traffic": Elsewhere("an eleventh of the requests a second", {"traffic": {"requests_per_s": 0.5}}),
    "much traffic": Elsewhere("seven times the requests a second", {"traffic": {"requests_per_s": 40.0}}),
}


def table(name: str) -> list[market.MarketResult]:
    """The policies of the aims, in the market ``name``."""
    with altered(MARKETS[name].changes):
        return market.compared(load_scenario(SCENARIO), SEEDS, lambda _: [make() for make in POLICIES])
