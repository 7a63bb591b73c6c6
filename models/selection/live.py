"""Selection by what is known now: a prior, corrected within seconds, and uncertainty that invites a retry.

Per endpoint and quantity (ln TTFT, ln seconds per token, failure, malformed tool call) means fade with three
half-lives. The slowest corrects the prior, each faster one the slower, by the gain of a Gaussian filter:
v / (v + noise / n), where v is the variance left so far plus how far the quicker level strays from the slower.
An endpoint never seen takes its provider's level of the day, a provider the market's.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from models.selection.faded import Faded
from models.selection.features import Candidate, Context
from models.selection.interface import (
    SECONDS_PER_FAILURE,
    TYPICAL_COMPLETION_TOKENS,
    Outcome,
    State,
    price_usd,
)
from models.selection.policy import USD_PER_SECOND

# A day, since traffic has a daily course; 30 and 2 minutes for what the router itself sees.
HALF_LIVES_S = (86400.0, 1800.0, 120.0)


class Quantity(NamedTuple):
    """Before anything is seen: level and sd between endpoints; sd of one observation; straying of each half-life."""

    level: float
    between: float
    noise: float
    strays: tuple[float, float, float]


class Constants(NamedTuple):
    """Levels and spreads are those of ``market.toml``; the rest was chosen in the simulator and on LLMPerf's 7B rows.

    ``optimism``: standard deviations that an uncertain quantity is taken better than expected. ``floor``: share
    spread over the safe set, the candidates expected to lose at most ``margin_s`` more than the best.
    """

    ttft: Quantity = Quantity(math.log(0.64), 0.6, 0.3, (0.0, 0.3, 0.1))
    token: Quantity = Quantity(-math.log(60.0), 0.9, 0.2, (0.0, 0.1, 0.1))
    failure: Quantity = Quantity(0.02, 0.05, 0.15, (0.0, 0.03, 0.03))
    malformed: Quantity = Quantity(0.02, 0.05, 0.15, (0.0, 0.03, 0.03))
    optimism: float = 0.7
    floor: float = 0.01
    margin_s: float = 1.0
    outage_hazard: float = 0.001  # per request, before any sign of it
    ejection_s: float = 30.0  # times consecutive failures: Envoy's base_ejection_time
    limited_cut: float = 0.9  # of its traffic cap at a 429, and growth at a success (Chiu and Jain 1989)
    limited_growth: float = 0.002


class _Level(Faded):
    """Faded sums and counts of one node's four quantities."""

    __slots__ = ()

    def __init__(self, half_lives_s: tuple[float, ...] = HALF_LIVES_S[:1]) -> None:
        super().__init__(half_lives_s, 4)

    def estimate(self, which: int, quantity: Quantity, prior: float, fades: Sequence[float]) -> tuple[float, float]:
        """Mean and variance of the level now."""
        mean, variance = prior, quantity.between**2
        noise = quantity.noise**2
        for total, count, fade, stray in zip(
            self.sums[which], self.counts[which], fades, quantity.strays, strict=False
        ):
            variance += stray * stray
            seen = count * fade
            if seen > 1e-6:
                gain = variance / (variance + noise / seen)
                mean += gain * (total / count - mean)
                variance *= 1 - gain
        return mean, variance


class _Endpoint(_Level):
    __slots__ = ("cap", "estimated_at_s", "estimates", "failed_at_s", "peers", "peers_at_s", "streak")

    def __init__(self) -> None:
        super().__init__(HALF_LIVES_S)
        self.streak, self.failed_at_s, self.cap = 0, -math.inf, 1.0
        self.estimates: list[tuple[float, float]] = []
        self.estimated_at_s = -math.inf
        self.peers: list[float] = []
        self.peers_at_s = -math.inf


class Live:
    """The policy; ``constants`` as above, ``prior`` ln TTFT in s by endpoint where a trained level is at hand."""

    STALE_S, PEERS_STALE_S = 10.0, 60.0

    def __init__(self, constants: Constants = Constants(), prior: dict[str, float] | None = None) -> None:
        self.name = "Portolan live"
        self._constants, self._prior = constants, prior or {}
        self._quantities = (constants.ttft, constants.token, constants.failure, constants.malformed)
        self._endpoints: defaultdict[str, _Endpoint] = defaultdict(_Endpoint)
        self._providers: defaultdict[str, _Level] = defaultdict(_Level)
        self._market = _Level()

    def choose(self, context: Context, candidates: Sequence[Candidate], state: State) -> Sequence[float]:
        """Least optimistic loss first, up to each one's traffic cap; then the floor over the safe set."""
        found = [self._loss(context, candidate, state.now_s) for candidate in candidates]
        left, chances = 1.0, [0.0] * len(found)
        for place in sorted(range(len(found)), key=lambda place: found[place][1]):
            chances[place] = min(left, self._cap(candidates[place].endpoint))
            left -= chances[place]
            if left <= 0:
                break
        least = min(mean for mean, _ in found)
        safe = [mean <= least + self._constants.margin_s for mean, _ in found]
        floor, total = self._constants.floor, 1.0 - left
        share = floor / sum(safe)
        return [(1 - floor) * chance / total + share * good for chance, good in zip(chances, safe, strict=True)]

    def observe(self, outcome: Outcome) -> None:
        endpoint = self._endpoints[outcome.endpoint]
        endpoint.estimated_at_s = -math.inf
        if outcome.result == "rate_limited":
            endpoint.cap = max(endpoint.cap * self._constants.limited_cut, 0.005)
            return
        failed = outcome.result == "error"
        endpoint.streak = endpoint.streak + 1 if failed else 0
        if failed:
            endpoint.failed_at_s = outcome.now_s
        else:
            endpoint.cap = min(endpoint.cap + self._constants.limited_growth, 1.0)
        values = (
            math.log(outcome.ttft_s) if outcome.ttft_s is not None else None,
            -math.log(outcome.tokens_per_s) if outcome.tokens_per_s is not None else None,
            float(failed),
            float(outcome.malformed_tool_call) if outcome.tools and not failed else None,
        )
        provider = self._providers[outcome.provider]
        for level in (endpoint, provider, self._market):
            level.add(outcome.now_s, values)

    def _cap(self, name: str) -> float:
        return self._endpoints[name].cap

    def _loss(self, context: Context, candidate: Candidate, now_s: float) -> tuple[float, float]:
        """Loss in s as expected, and with each quantity taken ``optimism`` standard deviations better."""
        output = TYPICAL_COMPLETION_TOKENS if context.max_tokens is None else context.max_tokens
        output = min(output, TYPICAL_COMPLETION_TOKENS)
        ttft, token, failure, malformed = self._estimates(candidate, now_s)
        optimism = self._constants.optimism
        price = price_usd(candidate, context.prompt_tokens, output) / USD_PER_SECOND
        wait, pace = math.exp(ttft[0]), output * math.exp(token[0])
        best_wait = wait * math.exp(-optimism * math.sqrt(ttft[1]))
        best_pace = pace * math.exp(-optimism * math.sqrt(token[1]))
        outage = self._outage(candidate.endpoint, now_s)
        broken = max(failure[0], 0.0)
        best_broken = max(failure[0] - optimism * math.sqrt(failure[1]), 0.0)
        if context.tools:
            broken += max(malformed[0], 0.0)
            best_broken += max(malformed[0] - optimism * math.sqrt(malformed[1]), 0.0)
        return (
            price + wait + pace + SECONDS_PER_FAILURE * (broken + outage),
            price + best_wait + best_pace + SECONDS_PER_FAILURE * (best_broken + outage),
        )

    def _estimates(self, candidate: Candidate, now_s: float) -> list[tuple[float, float]]:
        endpoint = self._endpoints[candidate.endpoint]
        if now_s - endpoint.estimated_at_s > self.STALE_S:
            if now_s - endpoint.peers_at_s > self.PEERS_STALE_S:
                endpoint.peers, endpoint.peers_at_s = self._peers(candidate, now_s), now_s
            fades = endpoint.fades(now_s)
            endpoint.estimates = [
                endpoint.estimate(which, quantity, endpoint.peers[which], fades)
                for which, quantity in enumerate(self._quantities)
            ]
            endpoint.estimated_at_s = now_s
        return endpoint.estimates

    def _peers(self, candidate: Candidate, now_s: float) -> list[float]:
        """What the endpoint is taken for before it is seen."""
        provider = self._providers[candidate.provider]
        means = []
        for which, quantity in enumerate(self._quantities):
            mean = quantity.level
            for level in (self._market, provider):
                mean, _ = level.estimate(which, quantity, mean, level.fades(now_s))
            means.append(mean)
        means[0] = self._prior.get(candidate.endpoint, means[0])
        return means

    def _outage(self, name: str, now_s: float) -> float:
        """Posterior of an outage after consecutive failures, halved each ``ejection_s`` × their number (≤ 10)."""
        endpoint = self._endpoints[name]
        if not endpoint.streak:
            return 0.0
        streak = min(endpoint.streak, 10)
        usual = max(endpoint.estimates[2][0], 0.01) if endpoint.streak < 3 else 0.01
        posterior: float = 1 / (1 + min(usual, 0.9) ** streak / self._constants.outage_hazard)
        fade: float = 0.5 ** ((now_s - endpoint.failed_at_s) / (self._constants.ejection_s * streak))
        return posterior * fade
