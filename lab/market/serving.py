"""Draw which provider serves a request, when providers are out, and how long responses take."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lab.market.parameters import MarketModel, Parameters

MONTH_H = 365.25 / 12 * 24
OUTAGE, LIMITED, ERROR = "provider_unavailable", "rate_limit_exceeded", "timeout"
FAULTS = (OUTAGE, LIMITED, ERROR)


class Served(NamedTuple):
    """Hold arrays over requests: places of the first and the second provider, and of their faults; -1 for none."""

    first: Any
    second: Any
    first_fault: Any
    second_fault: Any

    @property
    def failed(self) -> Any:
        return (self.first_fault >= 0) & ((self.second < 0) | (self.second_fault >= 0))

    @property
    def provider(self) -> Any:
        """Return the place of the provider that served, -1 where none did."""
        return np.where(self.failed, -1, np.where(self.first_fault >= 0, self.second, self.first))


class ProviderDice:
    """Draw the outages of all providers once, and then what happens to requests."""

    def __init__(self, parameters: Parameters, dice: np.random.Generator, begin_h: float, end_h: float) -> None:
        self._dice = dice
        self.names = list(parameters.providers)
        self._providers = list(parameters.providers.values())
        self.outages = [self._outages(one.outages, one.outage_hours, begin_h, end_h) for one in self._providers]

    def places(self, model: MarketModel) -> list[int]:
        """Return the places of a model's providers."""
        return [self.names.index(name) for name in model.providers]

    def chances(self, model: MarketModel) -> Any:
        """Return the probability of each provider of a model to be tried first."""
        shares = np.array([self._providers[place].requests_share for place in self.places(model)])
        return shares / shares.sum()

    def serve(self, first: Any, second: Any, hours: Any) -> Served:
        """Return what happens to requests at ``hours`` (since 1970) that try ``first``, and ``second`` if it fails."""
        first_fault = self._faults(first, hours)
        second = np.where(first_fault >= 0, second, -1)
        return Served(first, second, first_fault, self._faults(second, hours))

    def ttft_us(self, provider: Any) -> Any:
        """Return the time to the first token of each request."""
        medians = np.array([one.ttft for one in self._providers])[provider]
        return (medians * 1e6 * self._dice.lognormal(0, 0.35, len(provider))).astype(np.int64)

    def generation_us(self, provider: Any, tokens: Any) -> Any:
        """Return the time from the first token to the last."""
        speeds = np.array([one.speed for one in self._providers])[provider]
        return (tokens / speeds * 1e6 * self._dice.lognormal(0, 0.15, len(provider))).astype(np.int64) + 1

    def _outages(self, a_month: float, length_h: float, begin_h: float, end_h: float) -> Any:
        """Return the begins and ends of outages, hours since 1970, in order."""
        count = self._dice.poisson(a_month * (end_h - begin_h) / MONTH_H)
        begins = np.sort(self._dice.uniform(begin_h, end_h, count))
        return np.stack([begins, begins + self._dice.exponential(length_h, count)])

    def _faults(self, provider: Any, hours: Any) -> Any:
        found = np.full(len(provider), -1)
        roll = self._dice.random(len(provider))
        for place, one in enumerate(self._providers):
            tried = provider == place
            begins, ends = self.outages[place]
            out = np.zeros(len(provider), bool)
            for begin, end in zip(begins, ends, strict=True):
                out |= (hours >= begin) & (hours < end)
            fault = np.where(roll < one.errors, 2, np.where(roll < one.errors + one.rate_limits, 1, -1))
            found = np.where(tried, np.where(out, 0, fault), found)
        return found
