"""Simulate arrivals, capacity, outages and failover of a market around any selection policy.

The market is calibrated on measurements (``market.toml``), but it is simulation: say so wherever a figure of it is
shown. The noise of a request is the same for every policy, so that policies are compared on the same requests.
"""

from __future__ import annotations

import heapq
import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data.catalogue.cost import expected_cost_usd
from models.selection.decision.arrays import Floats
from models.selection.decision.features import CandidateEndpoint, RequestContext
from models.selection.decision.outcome import AttemptObservation
from models.selection.decision.utility import USD_PER_SECOND
from models.selection.simulation.market import SimulatedEndpoint, draw_market, parameters
from models.selection.simulation.scenarios import TICK_S, MarketTrajectory, Scenario, market_trajectory
from models.selection.simulation.simulated_policy import (
    SECONDS_PER_FAILURE,
    TYPICAL_COMPLETION_TOKENS,
    SimulatedPolicy,
    SimulationState,
    typical_cost_usd,
)

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
    """Hold one row per request, (decisions, ``COLUMNS``), in order of arrival."""

    policy: str
    scenario: Scenario
    market: list[SimulatedEndpoint]
    rows: Floats

    @property
    def duration_s(self) -> float:
        """Return the expected duration of the run in s, of which the events' times are shares."""
        return len(self.rows) / self.scenario.requests_per_s

    def column(self, name: str) -> Floats:
        """Return one of ``COLUMNS``, (decisions,)."""
        column: Floats = self.rows[:, COLUMNS.index(name)]
        return column


class SimulatedRequest(NamedTuple):
    """Hold one request with all of its noise: for each attempt uniforms and normals."""

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
    """Run ``policy`` through ``decisions`` requests; market and requests are the same for the same seed.

    ``watched`` gives per model the index of an endpoint whose probability is recorded.
    """
    market = draw_market(seed, scenario.models, scenario.endpoints_per_model)
    duration_s = decisions / scenario.requests_per_s
    market_run = _MarketRun(market, market_trajectory(scenario, market, seed, duration_s), policy)
    rows = np.empty((decisions, len(COLUMNS)))
    clock = 0.0
    for first in range(0, decisions, CHUNK):
        requests, clock = _requests(scenario, seed, first // CHUNK, clock)
        for place, request in enumerate(requests[: decisions - first], first):
            rows[place] = market_run.serve(request, (watched or {}).get(request.model, -1))
    return SimulationRun(policy.name, scenario, market, rows)


def _requests(scenario: Scenario, seed: int, chunk: int, clock: float) -> tuple[list[SimulatedRequest], float]:
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


class _MarketRun:
    """Hold the market at one moment, and the calls in flight."""

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
        self._throughput_mean = np.exp(np.array([endpoint.tokens_sigma for endpoint in market]) ** 2 / 2)

    def serve(self, request: SimulatedRequest, watched: int) -> tuple[float, ...]:
        """Serve one request from its arrival to its end; returns a row of ``COLUMNS``."""
        self._advance(request.time_s)
        members, candidates = self._members[request.model], self._candidates[request.model]
        context = RequestContext(request.prompt_tokens, None, True, request.tools, int(request.time_s / 3600) % 24)
        expected_losses_s = [self._expected_loss(place, request) for place in members]
        state = SimulationState(request.time_s, [self._in_flight[place] for place in members], expected_losses_s)
        probabilities = self._policy.choose(context, candidates, state)
        first, served, failures, ttft, tokens_per_s, spent_s, malformed = self._attempts(
            request, members, probabilities
        )
        price = generation_s = 0.0
        if served >= 0:
            price = self._price(served, request.prompt_tokens, request.completion_tokens)
            generation_s = request.completion_tokens / tokens_per_s
        lost_s = spent_s + (ttft + generation_s if served >= 0 else 0.0) + SECONDS_PER_FAILURE * (failures + malformed)
        mixture = sum(chance * loss for chance, loss in zip(probabilities, expected_losses_s, strict=True))
        likeliest = expected_losses_s[max(range(len(members)), key=probabilities.__getitem__)]
        least = min(expected_losses_s)
        return (
            request.time_s,
            request.model,
            first,
            served,
            float(failures > 0),
            spent_s + ttft,
            spent_s + ttft + 500 / tokens_per_s,
            price,
            -(price + USD_PER_SECOND * lost_s),
            USD_PER_SECOND * (mixture - likeliest),
            USD_PER_SECOND * (mixture - least),
            members[expected_losses_s.index(least)],
            probabilities[members.index(watched)] if watched in members else 0.0,
        )

    def _attempts(
        self, request: SimulatedRequest, members: list[int], probabilities: object
    ) -> tuple[int, int, int, float, float, float, bool]:
        """Try endpoints until one succeeds.

        Returns the first endpoint, the successful one or -1, the number of failures, TTFT in s, tokens/s, seconds lost
        before, and whether a tool call was malformed.
        """
        remaining = list(zip(members, probabilities, strict=True))  # type: ignore[call-overload]
        first, spent_s = -1, 0.0
        for attempt in range(min(ATTEMPTS, len(members))):
            choice, error, malformed = request.draws[3 * attempt : 3 * attempt + 3]
            place = _sample(remaining, choice)
            first = place if first < 0 else first
            now = request.time_s + spent_s
            result = self._result(place, now, error)
            if result == "success":
                ttft = self._ttft[place] * math.exp(self._market[place].ttft_sigma * request.normals[2 * attempt])
                tokens_per_s = self._tokens_per_s[place] * math.exp(
                    self._market[place].tokens_sigma * request.normals[2 * attempt + 1]
                )
                malformed_call = request.tools and malformed < self._malformed[place]
                self._send(
                    place,
                    now,
                    now + ttft + request.completion_tokens / tokens_per_s,
                    result,
                    ttft,
                    tokens_per_s,
                    malformed_call,
                    request.tools,
                )
                return first, place, attempt, ttft, tokens_per_s, spent_s, malformed_call
            spent_s += self._delays[result]
            self._send(place, now, request.time_s + spent_s, result, None, None, False, request.tools)
            remaining = [(other, chance) for other, chance in remaining if other != place]
        return first, -1, min(ATTEMPTS, len(members)), float("nan"), float("nan"), spent_s, False

    def _result(self, place: int, now: float, error: float) -> Literal["success", "error", "rate_limited"]:
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
        tokens_per_s: float | None,
        malformed: bool,
        tools: bool,
    ) -> None:
        endpoint = self._market[place]
        loss = SECONDS_PER_FAILURE * (malformed or ttft is None)
        if ttft is not None and tokens_per_s is not None:
            loss += self._typical[place] / USD_PER_SECOND + ttft + TYPICAL_COMPLETION_TOKENS / tokens_per_s
        outcome = AttemptObservation(
            ended, endpoint.name, endpoint.provider, result, loss, ttft, tokens_per_s, malformed, tools, began_s=began
        )
        self._in_flight[place] += 1
        self._sent += 1
        heapq.heappush(self._pending, (ended, self._sent, place, outcome))

    def _expected_loss(self, place: int, request: SimulatedRequest) -> float:
        """Return the expected loss in s; an endpoint without capacity at this moment fails for certain."""
        failure = self._error[place] if self._has_capacity(place, request.time_s) else 1.0
        if request.tools:
            failure += self._malformed[place]
        latency = self._mean_ttft[place] + request.completion_tokens * self._mean_token_s[place]
        price = self._price(place, request.prompt_tokens, request.completion_tokens)
        return float(price / USD_PER_SECOND + latency + SECONDS_PER_FAILURE * failure)

    def _price(self, place: int, prompt_tokens: int, completion_tokens: int) -> float:
        return expected_cost_usd(
            self._prompt_price[place], self._completion_price[place], prompt_tokens, completion_tokens
        )

    def _advance(self, now: float) -> None:
        """Tell the policy what has ended by ``now``, and advance the market."""
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
        self._tokens_per_s: list[float] = path.tokens_per_s[tick].tolist()
        self._mean_ttft = (path.ttft_s[tick] * self._ttft_mean).tolist()
        self._mean_token_s = (self._throughput_mean / path.tokens_per_s[tick]).tolist()
        self._error, self._malformed = path.error_rate[tick].tolist(), path.malformed_rate[tick].tolist()
        self._capacity: list[float] = path.capacity[tick].tolist()
        prices = path.price[tick].tolist()
        priced = list(zip(self._market, prices, strict=True))
        self._prompt_price: list[float] = [endpoint.prompt_price * factor for endpoint, factor in priced]
        self._completion_price: list[float] = [endpoint.completion_price * factor for endpoint, factor in priced]
        self._members: dict[int, list[int]] = {}
        for place, endpoint in enumerate(self._market):
            if path.present[tick, place] > 0:
                self._members.setdefault(endpoint.model, []).append(place)
        self._candidates = {
            model: [self._candidate(place) for place in members] for model, members in self._members.items()
        }
        self._typical = [
            typical_cost_usd(prompt, completion)
            for prompt, completion in zip(self._prompt_price, self._completion_price, strict=True)
        ]

    def _candidate(self, place: int) -> CandidateEndpoint:
        """Return the endpoint at ``place`` as a candidate at its present prices."""
        endpoint = self._market[place]
        prompt, completion = round(self._prompt_price[place]), round(self._completion_price[place])
        return CandidateEndpoint(endpoint.name, endpoint.provider, prompt, completion)


def _sample(remaining: list[tuple[int, float]], uniform: float) -> int:
    """Draw one by probability among the remaining, uniformly when all probabilities are 0."""
    total = sum(chance for _, chance in remaining)
    if total <= 0:
        return remaining[int(uniform * len(remaining))][0]
    mark = uniform * total
    for place, chance in remaining:
        mark -= chance
        if mark < 0:
            return place
    return remaining[-1][0]
