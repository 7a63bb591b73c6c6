"""Load scenarios from the TOML files beside this module, and lay their events over time."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import numpy as np

from models.selection.decision.arrays import Floats
from models.selection.simulation.market import SimulatedEndpoint, parameters

TICK_S = 10.0
# Quantities that an event may change, and whether its value replaces ("set") or multiplies ("scale").
EVENT_QUANTITIES = {
    "ttft": "scale",
    "throughput": "scale",
    "error_rate": "set",
    "malformed_rate": "set",
    "price": "scale",
    "capacity": "scale",
    "present": "set",
}


class ScenarioEvent(NamedTuple):
    """Describe a change of the market.

    ``where`` selects one endpoint per model: cheapest, best or costly, or a region's, the best one's. ``start`` and
    ``end`` are shares of the run. With ``ramp`` the change grows from none to its value; with ``period_s`` it is active
    for half of each period. ``watch`` asks to measure adaptation to it.
    """

    where: str
    quantity: str
    value: float
    start: float
    end: float
    ramp: bool = False
    period_s: float | None = None
    watch: bool = False


class Scenario(NamedTuple):
    """Describe a market's size, its load as a multiple of the measured one, and its events."""

    name: str
    about: str
    models: int
    endpoints_per_model: int
    load: float  # multiple of the measured requests a second
    events: tuple[ScenarioEvent, ...]

    @property
    def requests_per_s(self) -> float:
        """Return the arrival rate in requests a second."""
        return float(parameters()["traffic"]["requests_per_s"]) * self.load


class MarketTrajectory(NamedTuple):
    """Hold the market over time, each array (ticks of ``TICK_S``, endpoints): seconds, shares and multiples."""

    ttft_s: Floats
    tokens_per_s: Floats
    error_rate: Floats
    malformed_rate: Floats
    price: Floats
    capacity: Floats
    present: Floats


def scenario_names() -> list[str]:
    """Return the names of all scenarios, sorted."""
    files = resources.files("models.selection.simulation.scenarios").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_scenario(name: str) -> Scenario:
    """Load a scenario. Raises ``ValueError`` on an unknown scenario or quantity."""
    if name not in scenario_names():
        raise ValueError(f"no scenario {name}; there are {', '.join(scenario_names())}")
    text = resources.files("models.selection.simulation.scenarios").joinpath(f"{name}.toml").read_text()
    table = tomllib.loads(text)
    events = tuple(ScenarioEvent(**event) for event in table.get("events", []))
    for event in events:
        if event.quantity not in EVENT_QUANTITIES:
            raise ValueError(f"{name}: {event.quantity} is none of {', '.join(EVENT_QUANTITIES)}")
    return Scenario(name, table["about"], table["models"], table["endpoints_per_model"], table["load"], events)


def struck_endpoints(event: ScenarioEvent, market: Sequence[SimulatedEndpoint]) -> list[int]:
    """Return the indices of the endpoints that the event changes. Raises ``ValueError`` on an unknown ``where``."""
    by_model: dict[int, list[int]] = {}
    for place, endpoint in enumerate(market):
        by_model.setdefault(endpoint.model, []).append(place)
    struck = []
    for members in by_model.values():
        best = min(members, key=lambda place: market[place].typical_loss_s)
        if event.where == "cheapest":
            struck.append(min(members, key=lambda place: market[place].completion_price))
        elif event.where == "best":
            struck.append(best)
        elif event.where == "costly":
            struck.append(_costly(members, market))
        elif event.where == "region":
            struck += [place for place in members if market[place].region == market[best].region]
        else:
            raise ValueError(f"{event.where} is no place of an event")
    return struck


def _costly(members: Sequence[int], market: Sequence[SimulatedEndpoint]) -> int:
    """Return the endpoint that a lower price would help most: the least loss but for its price."""

    def loss_without_price(place: int) -> float:
        return market[place]._replace(prompt_price=0.0, completion_price=0.0).typical_loss_s

    best = min(members, key=lambda place: market[place].typical_loss_s)
    return min((place for place in members if place != best), key=loss_without_price)


def market_trajectory(
    scenario: Scenario, market: Sequence[SimulatedEndpoint], seed: int, duration_s: float
) -> MarketTrajectory:
    """Return the quiet market with its measured slow drift, and the events over it."""
    ticks = math.ceil(duration_s / TICK_S) + 1
    drift = np.exp(_drift(ticks, len(market), seed))
    flat = np.ones((ticks, len(market)))
    trajectory = MarketTrajectory(
        ttft_s=drift * [endpoint.ttft_s for endpoint in market],
        tokens_per_s=flat * [endpoint.tokens_per_s for endpoint in market],
        error_rate=flat * [endpoint.error_rate for endpoint in market],
        malformed_rate=flat * [endpoint.malformed_rate for endpoint in market],
        price=flat.copy(),
        capacity=_free(ticks, market, seed) * [endpoint.capacity for endpoint in market],
        present=flat.copy(),
    )
    columns = {
        "ttft": trajectory.ttft_s,
        "throughput": trajectory.tokens_per_s,
        **{name: getattr(trajectory, name) for name in EVENT_QUANTITIES if name not in ("ttft", "throughput")},
    }
    for event in scenario.events:
        first, last = int(event.start * ticks), int(event.end * ticks)
        moments = np.arange(first, last)
        if event.period_s is not None:
            moments = moments[((moments - first) * TICK_S) % event.period_s < event.period_s / 2]
        grown = (moments - first + 1) / max(last - first, 1) if event.ramp else np.ones(len(moments))
        for place in struck_endpoints(event, market):
            column = columns[event.quantity][:, place]
            if EVENT_QUANTITIES[event.quantity] == "scale":
                column[moments] *= event.value**grown
            else:
                column[moments] += (event.value - column[moments]) * grown
    return trajectory


def _free(ticks: int, market: Sequence[SimulatedEndpoint], seed: int) -> Floats:
    """Return 1 where an endpoint has capacity and 0 in spells in which others exhaust it, (ticks, endpoints).

    The spells form a Markov chain of two states: they last ``busy_spell_s`` on average and take ``busy_share`` of the
    time.
    """
    mean_s = parameters()["authored"]["busy_spell_s"]
    share = np.array([endpoint.busy_share for endpoint in market])
    ends = TICK_S / mean_s
    begins = ends * share / (1 - share)
    draws = np.random.default_rng([seed, 5]).random((ticks, len(market)))
    free = np.empty((ticks, len(market)))
    busy = draws[0] < share
    for tick in range(ticks):
        if tick:
            busy = np.where(busy, draws[tick] >= ends, draws[tick] < begins)
        free[tick] = ~busy
    return free


def _drift(ticks: int, count: int, seed: int) -> Floats:
    """Return Ornstein-Uhlenbeck paths of ln TTFT with the measured standard deviation and half-life, (ticks, count)."""
    table = parameters()["drift"]
    keep = 0.5 ** (TICK_S / table["half_life_s"])
    steps = np.random.default_rng([seed, 2]).normal(0, table["sd"], (ticks, count))
    path = np.empty_like(steps)
    path[0] = steps[0]
    for tick in range(1, ticks):
        path[tick] = keep * path[tick - 1] + math.sqrt(1 - keep**2) * steps[tick]
    return path
