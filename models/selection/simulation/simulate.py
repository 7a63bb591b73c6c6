"""A simulated market in simulated time: arrivals, capacity, outages and failover around any selection policy.

Calibrated on measurements (``market.toml``), but simulation: say so wherever a figure of it is shown.
The noise of a request is the same for every policy, so that policies are compared on the same requests.
"""

from __future__ import annotations

import heapq
import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.selection.decision.arrays import Floats
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.outcome import AttemptObservation
from models.selection.decision.utility import USD_PER_SECOND
from models.selection.simulation.interface import (
    SECONDS_PER_FAILURE,
    TYPICAL_COMPLETION_TOKENS,
    SimulatedPolicy,
    SimulationState,
    typical_candidate_price_usd,
)
from models.selection.simulation.market import SimulatedEndpoint, draw_market, parameters
from models.selection.simulation.scenarios import TICK_S, MarketTrajectory, Scenario, market_trajectory

LABEL = "simulation, calibrated on measurements"
ATTEMPTS = 3
CHUNK = 10_000
COLUMNS = (
    "time_s",
    "model",
    "first",  # place of the endpoint tried first
    "served",  # place of the endpoint that answered, -1 if none did
    "first_failed",
    "ttft_s",  # as the client saw it, failed attempts included; NaN unless served
    "time_to_500_s",
    "price_usd",
    "utility_usd",
    "exploring_usd",  # expected utility of the policy's most probable choice, less that of its mixture
    "regret_usd",  # expected utility of the best choice, less that of the mixture
    "best",  # place of the truly best endpoint
    "watched",  # probability given to the watched endpoint of the model
)


class SimulationRun(NamedTuple):
    """Rows of shape (decisions, ``COLUMNS``), in order of arrival."""

    policy: str
    scenario: Scenario
    market: list[SimulatedEndpoint]
    rows: Floats

    @property
    def duration_s(self) -> float:
        """What the run was expected to take, of which the events' times are shares."""
        return len(self.rows) / self.scenario.requests_per_s

    def column(self, name: str) -> Floats:
        column: Floats = self.rows[:, COLUMNS.index(name)]
        return column


class SimulatedRequest(NamedTuple):
    """One request with all of its noise: a uniform for the choice, then per attempt."""

    time_s: float
    model: int
    prompt_tokens: int
    completion_tokens: int
    tools: bool
    draws: list[float]  # ATTEMPTS × (choice, error, malformed), uniform
    normals: list[float]  # ATTEMPTS × (TTFT, throughput)


def simulate(
    scenario: Scenario, policy: SimulatedPolicy, *, seed: int, decisions: int, watched: dict[int, int] | None = None
) -> SimulationRun:
    """SimulationRun ``policy`` through ``decisions`` requests; the same market and requests for the same seed.

    ``watched`` gives per model the place of an endpoint whose probability is recorded.
    """
    market = draw_market(seed, scenario.models, scenario.endpoints_per_model)
    duration_s = decisions / scenario.requests_per_s
    world = _World(market, market_trajectory(scenario, market, seed, duration_s), policy)
    rows = np.empty((decisions, len(COLUMNS)))
    clock = 0.0
    for first in range(0, decisions, CHUNK):
        asks, clock = _asks(scenario, seed, first // CHUNK, clock)
        for place, ask in enumerate(asks[: decisions - first], first):
            rows[place] = world.serve(ask, (watched or {}).get(ask.model, -1))
    return SimulationRun(policy.name, scenario, market, rows)


def _asks(scenario: Scenario, seed: int, chunk: int, clock: float) -> tuple[list[SimulatedRequest], float]:
    rng = np.random.default_rng([seed, 3, chunk])
    table = parameters()
    shape = table["traffic"]["coefficient_of_variation"] ** -2
    times = clock + rng.gamma(shape, 1 / (shape * scenario.requests_per_s), CHUNK).cumsum()
    columns = (
        times.tolist(),
        rng.integers(0, scenario.models, CHUNK).tolist(),
        _lengths(rng, "prompt_tokens"),
        _lengths(rng, "completion_tokens"),
        (rng.random(CHUNK) < table["authored"]["tools_share"]).tolist(),
        rng.random((CHUNK, 3 * ATTEMPTS)).tolist(),
        rng.normal(size=(CHUNK, 2 * ATTEMPTS)).tolist(),
    )
    return [SimulatedRequest(*row) for row in zip(*columns, strict=True)], float(times[-1])


def _lengths(rng: np.random.Generator, name: str) -> list[int]:
    moments = parameters()["traffic"][name]
    lengths: NDArray[np.int64] = np.exp(rng.normal(moments["mean_log"], moments["sigma_log"], CHUNK)).astype(np.int64)
    return [max(length, 1) for length in lengths.tolist()]


class _World:
    """The market at one moment, and what is under way in it."""

    def __init__(self, market: list[SimulatedEndpoint], path: MarketTrajectory, policy: SimulatedPolicy) -> None:
        self._market, self._path, self._policy = market, path, policy
        self._tick = -1
        self._pending: list[tuple[float, int, int, AttemptObservation]] = []
        self._sent = 0
        self._in_flight = [0] * len(market)
        authored = parameters()["authored"]
        self._burst_s: float = authored["burst_s"]
        self._delays = {"error": authored["error_delay_s"], "rate_limited": authored["rate_limit_delay_s"]}
        self._budget: list[float] = (path.capacity[0] * self._burst_s).tolist()
        self._budget_at = [0.0] * len(market)
        self._ttft_mean = np.exp(np.array([endpoint.ttft_sigma for endpoint in market]) ** 2 / 2)
        self._pace_mean = np.exp(np.array([endpoint.tokens_sigma for endpoint in market]) ** 2 / 2)

    def serve(self, ask: SimulatedRequest, watched: int) -> tuple[float, ...]:
        """One request from its arrival to its end, as a row of ``COLUMNS``."""
        self._advance(ask.time_s)
        members, candidates = self._members[ask.model], self._candidates[ask.model]
        context = RequestContext(ask.prompt_tokens, None, True, ask.tools, int(ask.time_s / 3600) % 24)
        truth = [self._expected_loss(place, ask) for place in members]
        state = SimulationState(ask.time_s, [self._in_flight[place] for place in members], truth)
        chances = self._policy.choose(context, candidates, state)
        first, served, failures, ttft, pace, spent, malformed = self._attempts(ask, members, chances)
        price = pace_s = 0.0
        if served >= 0:
            price = self._price(served, ask.prompt_tokens, ask.completion_tokens)
            pace_s = ask.completion_tokens / pace
        lost = spent + (ttft + pace_s if served >= 0 else 0.0) + SECONDS_PER_FAILURE * (failures + malformed)
        mixture = sum(chance * loss for chance, loss in zip(chances, truth, strict=True))
        likeliest = truth[max(range(len(members)), key=chances.__getitem__)]
        least = min(truth)
        return (
            ask.time_s,
            ask.model,
            first,
            served,
            float(failures > 0),
            spent + ttft,
            spent + ttft + 500 / pace,
            price,
            -(price + USD_PER_SECOND * lost),
            USD_PER_SECOND * (mixture - likeliest),
            USD_PER_SECOND * (mixture - least),
            members[truth.index(least)],
            chances[members.index(watched)] if watched in members else 0.0,
        )

    def _attempts(
        self, ask: SimulatedRequest, members: list[int], chances: object
    ) -> tuple[int, int, int, float, float, float, bool]:
        """First endpoint, the one that answered or -1, failures, TTFT, tokens a second, s lost, malformed call."""
        left = list(zip(members, chances, strict=True))  # type: ignore[call-overload]
        first, spent = -1, 0.0
        for attempt in range(min(ATTEMPTS, len(members))):
            choice, error, malformed = ask.draws[3 * attempt : 3 * attempt + 3]
            place = _sample(left, choice)
            first = place if first < 0 else first
            now = ask.time_s + spent
            result = self._answer(place, now, error)
            if result == "success":
                ttft = self._ttft[place] * math.exp(self._market[place].ttft_sigma * ask.normals[2 * attempt])
                pace = self._pace[place] * math.exp(self._market[place].tokens_sigma * ask.normals[2 * attempt + 1])
                broken = ask.tools and malformed < self._malformed[place]
                self._send(place, now, now + ttft + ask.completion_tokens / pace, result, ttft, pace, broken, ask.tools)
                return first, place, attempt, ttft, pace, spent, broken
            spent += self._delays[result]
            self._send(place, now, ask.time_s + spent, result, None, None, False, ask.tools)
            left = [(other, chance) for other, chance in left if other != place]
        return first, -1, min(ATTEMPTS, len(members)), float("nan"), float("nan"), spent, False

    def _answer(self, place: int, now: float, error: float) -> Literal["success", "error", "rate_limited"]:
        if not self._has_capacity(place, now):
            return "rate_limited"
        capacity = self._capacity[place]
        budget = self._budget[place] + (now - self._budget_at[place]) * capacity
        self._budget[place] = min(budget, capacity * self._burst_s + 1) - 1
        self._budget_at[place] = now
        return "error" if error < self._error[place] else "success"

    def _has_capacity(self, place: int, now: float) -> bool:
        if not self._capacity[place]:
            return False
        budget: float = self._budget[place] + (now - self._budget_at[place]) * self._capacity[place]
        return budget >= 1

    def _send(
        self,
        place: int,
        began: float,
        ended: float,
        result: Literal["success", "error", "rate_limited"],
        ttft: float | None,
        pace: float | None,
        malformed: bool,
        tools: bool,
    ) -> None:
        endpoint = self._market[place]
        loss = SECONDS_PER_FAILURE * (malformed or ttft is None)
        if ttft is not None and pace is not None:
            loss += self._typical[place] / USD_PER_SECOND + ttft + TYPICAL_COMPLETION_TOKENS / pace
        outcome = AttemptObservation(
            ended, endpoint.name, endpoint.provider, result, loss, ttft, pace, malformed, tools, began_s=began
        )
        self._in_flight[place] += 1
        self._sent += 1
        heapq.heappush(self._pending, (ended, self._sent, place, outcome))

    def _expected_loss(self, place: int, ask: SimulatedRequest) -> float:
        """In s; an endpoint without capacity at this moment fails for certain."""
        failure = self._error[place] if self._has_capacity(place, ask.time_s) else 1.0
        if ask.tools:
            failure += self._malformed[place]
        wait = self._mean_ttft[place] + ask.completion_tokens * self._mean_token_s[place]
        price = self._price(place, ask.prompt_tokens, ask.completion_tokens)
        return float(price / USD_PER_SECOND + wait + SECONDS_PER_FAILURE * failure)

    def _price(self, place: int, prompt_tokens: int, completion_tokens: int) -> float:
        return self._prompt_usd[place] * prompt_tokens + self._completion_usd[place] * completion_tokens

    def _advance(self, now: float) -> None:
        """Tell the policy what has ended by ``now``, and move the market on."""
        while self._pending and self._pending[0][0] <= now:
            _, _, place, outcome = heapq.heappop(self._pending)
            self._in_flight[place] -= 1
            self._policy.observe(outcome)
        tick = min(int(now / TICK_S), len(self._path.ttft_s) - 1)
        if tick != self._tick:
            self._tick = tick
            self._load(tick)

    def _load(self, tick: int) -> None:
        path = self._path
        self._ttft: list[float] = path.ttft_s[tick].tolist()
        self._pace: list[float] = path.tokens_per_s[tick].tolist()
        self._mean_ttft = (path.ttft_s[tick] * self._ttft_mean).tolist()
        self._mean_token_s = (self._pace_mean / path.tokens_per_s[tick]).tolist()
        self._error, self._malformed = path.error_rate[tick].tolist(), path.malformed_rate[tick].tolist()
        self._capacity: list[float] = path.capacity[tick].tolist()
        prices = path.price[tick].tolist()
        self._prompt_usd: list[float] = [e.prompt_usd * price for e, price in zip(self._market, prices, strict=True)]
        self._completion_usd: list[float] = [
            e.completion_usd * price for e, price in zip(self._market, prices, strict=True)
        ]
        self._members: dict[int, list[int]] = {}
        for place, endpoint in enumerate(self._market):
            if path.present[tick, place] > 0:
                self._members.setdefault(endpoint.model, []).append(place)
        self._candidates = {
            model: [self._candidate(place) for place in members] for model, members in self._members.items()
        }
        self._typical = [typical_candidate_price_usd(self._candidate(place)) for place in range(len(self._market))]

    def _candidate(self, place: int) -> CandidateEndpoint:
        """Prices in nano-USD per million tokens."""
        endpoint = self._market[place]
        prompt, completion = self._prompt_usd[place] * 1e15, self._completion_usd[place] * 1e15
        return CandidateEndpoint(endpoint.name, endpoint.provider, round(prompt), round(completion))


def _sample(left: list[tuple[int, float]], uniform: float) -> int:
    """By probability among those left; evenly when they have none."""
    total = sum(chance for _, chance in left)
    if total <= 0:
        return left[int(uniform * len(left))][0]
    mark = uniform * total
    for place, chance in left:
        mark -= chance
        if mark < 0:
            return place
    return left[-1][0]
