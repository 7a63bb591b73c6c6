"""Draw who makes the requests of a model, so that cohorts are retained and won as the parameters say."""

from __future__ import annotations

from typing import Any

import numpy as np

from lab.market.parameters import Parameters


class UserPool:
    """Draw persons, by model and month in order of the months; the same person may use several models."""

    def __init__(self, parameters: Parameters, dice: np.random.Generator) -> None:
        self._parameters, self._dice = parameters, dice
        self._cohorts: dict[str, list[tuple[int, Any]]] = {name: [] for name in parameters.models}
        self._active: dict[str, Any] = {}
        self._persons = 0

    def draw(self, model: str, month: int, requests: int) -> Any:
        """Return the person of each request of ``model`` in ``month``, which counts calendar months."""
        if not requests:
            return np.zeros(0, np.int64)
        kept = self._kept(model, month)[:requests]
        wanted = int(requests / self._parameters.market.requests_per_user_month) - len(kept)
        fresh = self._newcomers(model, max(wanted, 0 if len(kept) else 1))
        self._cohorts[model].append((month, fresh))
        active = np.concatenate([kept, fresh])
        self._active[model] = active
        more = self._dice.choice(active, requests - len(active))
        return self._dice.permutation(np.concatenate([active, more]))

    def _kept(self, model: str, month: int) -> Any:
        """Return the persons of earlier cohorts that are active in ``month``."""
        rates = self._parameters.retention["foundational" if self._parameters.models[model].foundational else "passing"]
        kept = [
            persons[self._dice.random(len(persons)) < rates[min(month - begun, len(rates) - 1)]]
            for begun, persons in self._cohorts[model]
        ]
        return self._dice.permutation(np.concatenate([np.zeros(0, np.int64), *kept]))

    def _newcomers(self, model: str, count: int) -> Any:
        """Return persons who have not used ``model``: users of the one that it wins from, and new ones."""
        rival = self._parameters.models[model].wins_from
        known = np.concatenate([np.zeros(0, np.int64), *(persons for _, persons in self._cohorts[model])])
        pool = np.setdiff1d(self._active.get(rival or "", np.zeros(0, np.int64)), known)
        won = min(round(count * self._parameters.market.won_from_predecessor), len(pool)) if rival else 0
        new = np.arange(self._persons, self._persons + count - won)
        self._persons += count - won
        return np.concatenate([self._dice.choice(pool, won, replace=False), new])
