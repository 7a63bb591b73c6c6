"""Generate the requests of the synthetic market from its parameters: the same seed and end give the same rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa

from data.record.generated_rows import meter_charges, pick, record_table, struct_lists
from data.record.record import RECORD_VERSION
from lab.market.parameters import PROGRAMMING, Parameters
from lab.market.serving import FAULTS, ProviderDice, Served
from lab.market.users import UserPool

DAYS_PER_MONTH = 365.25 / 12
KEYS, APPS = 400, 30
SKINS, MODALITIES, FINISHES = ("chat", "messages", "responses"), ("text", "image"), ("stop", "length", "tool_calls")


def begin_of(end: datetime, months: int) -> datetime:
    """Return the first hour of a market of so many months that ends at ``end``."""
    begin = end - timedelta(days=months * DAYS_PER_MONTH)
    return begin.replace(minute=0, second=0, microsecond=0)


def generate(parameters: Parameters, end: datetime, months: int, requests: int) -> pa.Table:
    """Return ``requests`` requests with the columns of the record, in order of arrival."""
    return _Generator(parameters, end.astimezone(UTC), months).table(requests)


class _Generator:
    def __init__(self, parameters: Parameters, end: datetime, months: int) -> None:
        self._parameters, self._months = parameters, months
        self._begin, self._end = begin_of(end, months), end
        self._dice = np.random.default_rng([parameters.market.seed, months, int(end.timestamp())])
        self._models = list(parameters.models.items())
        self._authors = [name.split("/")[0] for name, _ in self._models]
        begin_h, end_h = (moment.timestamp() / 3600 for moment in (self._begin, self._end))
        self._providers = ProviderDice(parameters, self._dice, begin_h, end_h)

    def table(self, rows: int) -> pa.Table:
        moments = self._moments(rows)
        done = (moments - moments[0]) / max(moments[-1] - moments[0], 1)
        model, factor = self._models_of(done)
        category = self._categories(model, done)
        persons = self._persons(model, moments)
        market = self._parameters.market
        long = np.array([self._parameters.prompt_length.get(name, 1.0) for name in self._category_names()])[category]
        noise = self._dice.lognormal(-(market.tokens_sigma**2) / 2, market.tokens_sigma, rows)
        prompt = (_between(market.prompt_tokens, done) * long * factor * noise).astype(np.int64) + 1
        completion = (_between(market.completion_tokens, done) * long * factor * noise).astype(np.int64) + 1
        served = self._served(model, moments)
        return record_table(self._columns(moments, done, model, category, persons, prompt, completion, served), rows)

    def _moments(self, rows: int) -> Any:
        """Return the arrivals, µs since 1970, in order: more by day, on workdays, and towards the end."""
        market = self._parameters.market
        hours = np.arange(int((self._end - self._begin) / timedelta(hours=1)))
        growth = market.requests_growth ** (hours / len(hours))
        weekday = (self._begin.weekday() + (self._begin.hour + hours) // 24) % 7
        week = np.where(weekday >= 5, market.weekend, 1.0)
        day = 1 + 0.5 * np.sin(((self._begin.hour + hours) % 24 - 8) / 24 * 2 * np.pi)
        weights = growth * week * day
        counts = self._dice.multinomial(rows, weights / weights.sum())
        begin = int(self._begin.timestamp()) * 1_000_000
        hour = np.repeat(hours, counts) * 3_600_000_000
        return np.sort(begin + hour + self._dice.integers(0, 3_600_000_000, rows))

    def _models_of(self, done: Any) -> tuple[Any, Any]:
        """Return the model of each request, and the factor of its tokens, so that token shares are those planted."""
        steps = np.linspace(0, 1, self._months * 31)
        shares = self._parameters.shares((1 - steps) * self._months)
        lengths = np.array([[self._parameters.length(author, step) for step in steps] for author in self._authors])
        weights = shares / lengths
        factor = weights.sum(axis=0)
        edges = np.cumsum(weights / factor, axis=0)
        step = np.minimum((done * len(steps)).astype(np.int64), len(steps) - 1)
        roll = self._dice.random(len(done))
        model = (edges[:, step] < roll).sum(axis=0).clip(0, len(self._models) - 1)
        return model, factor[step]

    def _category_names(self) -> list[str]:
        return [PROGRAMMING, *self._parameters.categories]

    def _categories(self, model: Any, done: Any) -> Any:
        """Return the place of each request's category."""
        ends = np.array([self._parameters.programming[author] for author in self._authors])[model]
        programming = ends[:, 0] + (ends[:, 1] - ends[:, 0]) * done
        shares = np.array(list(self._parameters.categories.values()))
        others = 1 + self._dice.choice(len(shares), len(done), p=shares / shares.sum())
        return np.where(self._dice.random(len(done)) < programming, 0, others)

    def _persons(self, model: Any, moments: Any) -> Any:
        months = moments.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
        pool = UserPool(self._parameters, self._dice)
        persons = np.zeros(len(model), np.int64)
        order = np.lexsort([model, months])
        # A model draws after the one that it wins from, which the order of the parameters ensures.
        edges = np.flatnonzero(np.diff(months[order] * 1000 + model[order])) + 1
        for group in np.split(order, edges):
            name = self._models[int(model[group[0]])][0]
            persons[group] = pool.draw(name, int(months[group[0]]), len(group))
        return persons

    def _served(self, model: Any, moments: Any) -> Served:
        first, second = np.zeros(len(model), np.int64), np.full(len(model), -1)
        for number, (_, described) in enumerate(self._models):
            mine = np.flatnonzero(model == number)
            places = np.array(self._providers.places(described))
            chosen = self._dice.choice(len(places), len(mine), p=self._providers.chances(described))
            first[mine] = places[chosen]
            if len(places) > 1:
                second[mine] = places[(chosen + 1) % len(places)]
        return self._providers.serve(first, second, moments / 3.6e9)

    def _task_tags(self, category: Any) -> tuple[list[str], Any]:
        """Return the names of the task tags, and the index of each request's tag."""
        dice, by_category = np.random.default_rng([self._parameters.market.seed, 1]), self._parameters.task_tags
        names = sorted({tag for tags in by_category.values() for tag in tags})
        found = np.zeros(len(category), np.int64)
        for number, name in enumerate(self._category_names()):
            mine = np.flatnonzero(category == number)
            places = np.array([names.index(tag) for tag in by_category[name]])
            found[mine] = places[dice.choice(len(places), len(mine), p=_normal(by_category[name]))]
        return names, found

    def _code_languages(self, rows: int) -> Any:
        dice, languages = (
            np.random.default_rng([self._parameters.market.seed, 2]),
            self._parameters.programming_languages,
        )
        return dice.choice(len(languages), rows, p=_normal(languages))

    def _prices(self, model: Any, provider: Any, done: Any) -> tuple[Any, Any]:
        """Return nano-USD of a prompt's and of a completion's token for each request."""
        found = np.zeros((len(self._models), len(self._providers.names), 2))
        for number, (_, described) in enumerate(self._models):
            for rank, place in enumerate(self._providers.places(described)):
                further = self._parameters.market.further_provider_price**rank
                found[number, place] = np.array(described.price) * 1000 * further
        left = (1 - done) * self._months
        cut = np.ones(len(model))
        for number, (_, described) in enumerate(self._models):
            cut = np.where(model == number, self._parameters.price_factor(described, left), cut)
        prices = found[model, np.maximum(provider, 0)]
        return np.round(prices[:, 0] * cut).astype(np.int64), np.round(prices[:, 1] * cut).astype(np.int64)

    def _columns(
        self,
        moments: Any,
        done: Any,
        model: Any,
        category: Any,
        persons: Any,
        prompt: Any,
        completion: Any,
        served: Served,
    ) -> dict[str, Any]:
        rows, dice, market = len(moments), self._dice, self._parameters.market
        failed, provider = served.failed, served.provider
        names = [name for name, _ in self._models]
        reads = dice.random(rows) < market.cache_use
        cached = np.where(reads, (prompt * market.cached).astype(np.int64), 0)
        paid, per_token = self._prices(model, provider, done)
        parts = [
            (prompt - cached) * paid, completion * per_token,
            np.round(cached * paid * market.cache_price).astype(np.int64),
        ]  # fmt: skip
        parts = [np.where(failed, 0, part) for part in parts]
        ttft = self._providers.ttft_us(np.maximum(provider, 0))
        duration = ttft + self._providers.generation_us(np.maximum(provider, 0), completion)
        calls = ~failed & (dice.random(rows) < _between(market.tool_calls, done))
        labelled = dice.random(rows) < market.labelled
        languages = dice.choice(len(self._parameters.languages), rows, p=_normal(self._parameters.languages))
        person_dice = np.random.default_rng(market.seed)
        countries = person_dice.choice(
            len(self._parameters.countries), persons.max() + 1, p=_normal(self._parameters.countries)
        )
        (tags, tag), code = self._task_tags(category), self._code_languages(rows)
        reasoning = np.array([described.reasoning for _, described in self._models])[model]
        endpoints = [f"{one}:{name}" for name in names for one in self._providers.names]
        place = model * len(self._providers.names)
        error = np.where(failed, np.where(served.second >= 0, served.second_fault, served.first_fault), -1)
        day = moments // 86_400_000_000
        finish = np.where(failed, -1, np.where(calls, 2, (dice.random(rows) < 0.03).astype(np.int64)))
        return {
            "generation_id": _ids(moments), "started_at": moments,
            "worker": pick(("demo",), model * 0), "requested_model": pick(names, model), "model": pick(names, model),
            "author": pick(self._authors, model), "stream": dice.random(rows) < 0.8,
            "status": np.where(failed, np.where(error == 1, 429, 503), 200), "duration_us": duration + 2000,
            "schema_version": np.full(rows, RECORD_VERSION), "skin": pick(SKINS, np.array((0, 0, 1, 2))[persons % 4]),
            "workspace": pick([f"demo-{n}" for n in range(20)], persons % KEYS % 20),
            "key_hash": pick([_hash("key", n) for n in range(KEYS)], persons % KEYS),
            "user_hash": pick([_hash("user", n)[:32] for n in range(int(persons.max()) + 1)], persons),
            "app": pick([f"https://app-{n}.demo.example" for n in range(APPS)], persons % 97 % APPS),
            "country": pick(list(self._parameters.countries), countries[persons]),
            "session_id": pa.array([f"demo-{p}-{d}" for p, d in zip(persons.tolist(), day.tolist(), strict=True)]),
            "tools": np.where(calls | (category == 0), 4, 0), "body_bytes": prompt * 4, "output_bytes": completion * 6,
            "estimated_prompt_tokens": prompt, "modality": pick(MODALITIES, (dice.random(rows) < market.images) * 1),
            "policy": pick(("price",), model * 0), "policy_version": pick(("demo",), model * 0),
            "candidates": self._candidates(model), "attempts": self._attempts(served, model, names, ttft, duration),
            "endpoint": pick(endpoints, np.where(failed, -1, place + provider)),
            "provider": pick(self._providers.names, provider), "error_type": pick(FAULTS, error),
            "finish_reason": pick(FINISHES, finish), "tool_calls": pa.array(calls * 1, mask=~calls),
            "prompt_tokens": pa.array(prompt, mask=failed), "completion_tokens": pa.array(completion, mask=failed),
            "cached_tokens": pa.array(cached, mask=failed),
            "reasoning_tokens": pa.array(np.where(reasoning, completion // 2, 0), mask=failed),
            "charges": meter_charges([prompt - cached, completion, cached], parts), "cost_nano": sum(parts),
            "cost_prompt_nano": parts[0], "cost_completion_nano": parts[1], "cost_cached_nano": parts[2],
            "ttft_us": pa.array(ttft + 900, mask=failed), "overhead_us": dice.integers(800, 3000, rows),
            "category": pick(self._category_names(), np.where(labelled, category, -1)),
            "category_confidence": pa.array(0.6 + 0.4 * dice.random(rows), mask=~labelled),
            "task_tag": pick(tags, np.where(labelled, tag, -1)),
            "natural_language": pick(list(self._parameters.languages), np.where(labelled, languages, -1)),
            "programming_language": pick(
                list(self._parameters.programming_languages), np.where(labelled & (category == 0), code, -1)
            ),
            "source": pick(("demo",), model * 0), "trains_selection": np.zeros(rows, bool),
        }  # fmt: skip

    def _candidates(self, model: Any) -> pa.Array:
        """Return the plan of each request: all providers of its model."""
        plans = []
        for name, described in self._models:
            price = sum(part * weight for part, weight in zip(described.price, (0.75, 0.25), strict=True))
            plans.append(
                [
                    {
                        "endpoint": f"{provider}:{name}", "probability": float(chance), "excluded_by": None,
                        "score": price * self._parameters.market.further_provider_price**rank,
                    }
                    for rank, (provider, chance) in enumerate(
                        zip(described.providers, self._providers.chances(described), strict=True)
                    )
                ]
            )  # fmt: skip
        sizes = np.cumsum([0, *map(len, plans)])
        flat = [one for plan in plans for one in plan]
        columns = {name: pa.array([one[name] for one in flat]) for name in flat[0]}
        return struct_lists("candidates", columns, sizes).take(pa.array(model))

    def _attempts(self, served: Served, model: Any, names: list[str], ttft: Any, duration: Any) -> pa.Array:
        counts = np.where(served.second >= 0, 2, 1)
        offsets = np.concatenate([[0], np.cumsum(counts)])
        row = np.repeat(np.arange(len(model)), counts)
        again = np.zeros(len(row), bool)
        again[offsets[1:][counts == 2] - 1] = True
        provider = np.where(again, served.second[row], served.first[row])
        fault = np.where(again, served.second_fault[row], served.first_fault[row])
        endpoints = [f"{one}:{name}" for name in names for one in self._providers.names]
        columns: dict[str, Any] = {
            "endpoint": pick(endpoints, model[row] * len(self._providers.names) + provider),
            "provider": pick(self._providers.names, provider), "model": pick(names, model[row]),
            "status": np.where(fault < 0, 200, np.where(fault == 1, 429, 503)), "error_type": pick(FAULTS, fault),
            "reason": pick(("sampled", "fallback:timeout"), again * 1),
            "ttft_us": pa.array(ttft[row], mask=fault >= 0),
            "duration_us": np.where(fault >= 0, 50_000, duration[row]),
        }  # fmt: skip
        return struct_lists("attempts", columns, offsets)


def _ids(moments: Any) -> pa.Array:
    """Return ids of the router's form, which tell the second of arrival."""
    seconds = (moments // 1_000_000).tolist()
    return pa.array([f"gen-{second}-demo{number}" for number, second in enumerate(seconds)])


def _hash(kind: str, number: int) -> str:
    """Return what the log would have of a key or a user: a hash, of which pages show the beginning."""
    return sha256(f"demo {kind} {number}".encode()).hexdigest()


def _between(ends: tuple[float, float], done: Any) -> Any:
    return ends[0] + (ends[1] - ends[0]) * done


def _normal(shares: dict[str, float]) -> Any:
    values = np.array(list(shares.values()))
    return values / values.sum()
