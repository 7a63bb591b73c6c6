"""Filter, sort and page the list of models."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from data.catalogue.geography import within
from data.catalogue.types import Endpoint, Model, Price
from router_service.api.model_query import (
    ALL,
    DEFAULT_LIMIT,
    INPUT_MODALITIES,
    OUTPUT_MODALITIES,
    ModelQuery,
    Paging,
    split_list,
)
from router_service.health import Health
from router_service.health.percentiles import MeasuredPercentiles
from router_service.planning.eligibility import blended_price, is_named_by, processing_locations
from router_service.telemetry.model_usage import ModelUsage

DAY_S = 86_400
NANO_PER_USD = 10**9
_BENCHMARKS = ("intelligence_index", "coding_index", "agentic_index")
_WORDS = re.compile(r"[a-z]+|\d+(?:\.\d+)*")


class ListedModel(NamedTuple):
    """Hold a model with those of its endpoints that a list is about, at least one of them with a price."""

    model: Model
    endpoints: tuple[Endpoint, ...]


class Modalities(NamedTuple):
    """Hold what a model takes and returns, in words of the reference."""

    inputs: list[str]
    outputs: list[str]


def modalities(model: Model) -> Modalities:
    """Return the modalities of ``model`` that the reference has a word for."""
    inputs = [m for m in model.input_modalities if m in INPUT_MODALITIES] or ["text"]
    return Modalities(inputs, [m for m in model.output_modalities if m in OUTPUT_MODALITIES] or ["text"])


def supported_parameters(endpoints: Iterable[Endpoint]) -> list[str]:
    """Return the parameters that at least one of ``endpoints`` supports, sorted."""
    return sorted(frozenset().union(*(e.supported_parameters for e in endpoints)))


def cheapest(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, Price]:
    """Return the cheapest endpoint and its price: of the default tier, if any of ``endpoints`` is of that."""
    priced = [(e, e.price) for e in endpoints if e.price is not None]
    default = [pair for pair in priced if pair[0].service_tier is None]
    return min(default or priced, key=lambda pair: (blended_price(pair[1]), pair[0].id))


def in_regions(endpoints: Iterable[Endpoint], regions: Iterable[str | None]) -> tuple[Endpoint, ...]:
    """Return the endpoints that are known to process in all of ``regions``, of which ``None`` means everywhere."""
    found = tuple(endpoints)
    for region in regions:
        found = found if region is None else tuple(e for e in found if within(processing_locations(e), (region,)))
    return found


def narrowed(listed: ListedModel, query: ModelQuery) -> ListedModel:
    """Return the model with the endpoints that pass the filters on endpoints."""
    endpoints = in_regions(listed.endpoints, (query.region,))
    if query.zdr:
        endpoints = tuple(e for e in endpoints if e.data_policy.retains is False)
    if names := tuple(split_list(query.providers)):
        endpoints = tuple(e for e in endpoints if is_named_by(e, names))
    return ListedModel(listed.model, endpoints)


def matches(listed: ListedModel, query: ModelQuery, usage: ModelUsage | None, now_s: float) -> bool:
    """Return whether a model passes all filters of ``query``. ``usage`` is that of the last week, if it has any."""
    return (
        _describes(listed.model, query)
        and _is_capable(listed, query)
        and _is_in_range(listed, query, now_s)
        and _is_used(query, usage)
    )


def _describes(model: Model, query: ModelQuery) -> bool:
    """Return whether the names of ``model`` pass."""
    authors = [author.lower() for author in split_list(query.model_authors)]
    if authors and model.author.lower() not in authors:
        return False
    if query.q and query.q.lower() not in model.name.lower() and query.q.lower() not in model.id.lower():
        return False
    return not query.arch or _is_of_family(model, query.arch)


def _is_of_family(model: Model, family: str) -> bool:
    """Return whether words of the slug, or the tokenizer, begin with those of ``family``: ``Llama3`` is ``llama-3``."""
    wanted = _WORDS.findall(family.lower())
    words = _WORDS.findall(model.id.partition("/")[2].lower())
    places = range(len(words) - len(wanted) + 1)
    by_slug = bool(wanted) and any(
        all(word.startswith(part) for word, part in zip(words[at:], wanted, strict=False)) for at in places
    )
    return by_slug or model.tokenizer.lower().startswith(family.lower())


def _is_capable(listed: ListedModel, query: ModelQuery) -> bool:
    inputs, outputs = modalities(listed.model)
    wanted = [word.lower() for word in split_list(query.output_modalities)]
    if wanted and ALL not in wanted and not set(wanted) & set(outputs):
        return False
    if not {word.lower() for word in split_list(query.input_modalities)} <= set(inputs):
        return False
    parameters = split_list(query.supported_parameters)
    if parameters and not set(parameters) <= set(supported_parameters(listed.endpoints)):
        return False
    distillable = any(e.distillable for e in listed.endpoints)
    return query.distillable is None or (query.distillable == "true") is distillable


def _is_in_range(listed: ListedModel, query: ModelQuery, now_s: float) -> bool:
    _, price = cheapest(listed.endpoints)
    age_days = (now_s - listed.model.created) / DAY_S
    # No model of the catalogue has a benchmark.
    benchmarks = (_between(None, getattr(query, f"min_{name}"), getattr(query, f"max_{name}")) for name in _BENCHMARKS)
    return (
        (query.context is None or listed.model.context_length >= query.context)
        and _between(price.prompt / NANO_PER_USD, query.min_price, query.max_price)
        and _between(price.completion / NANO_PER_USD, query.min_output_price, query.max_output_price)
        and _between(age_days, query.min_age_days, query.max_age_days)
        and all(benchmarks)
    )


def _is_used(query: ModelQuery, usage: ModelUsage | None) -> bool:
    if query.category is not None and (usage is None or query.category not in usage.categories):
        return False
    rate = usage.tool_success_rate if usage else None
    return _between(rate, query.min_tool_success_rate, query.max_tool_success_rate)


def _between(value: float | None, low: float | None, high: float | None) -> bool:
    if low is None and high is None:
        return True
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


def needs_usage(query: ModelQuery) -> bool:
    """Return whether ``query`` reads the usage of the last week."""
    sorts = ("most-popular", "top-weekly")
    rates = (query.min_tool_success_rate, query.max_tool_success_rate)
    return query.sort in sorts or query.category is not None or any(rate is not None for rate in rates)


def ordered(
    models: Sequence[ListedModel], sort: str | None, usage: Mapping[str, ModelUsage], health: Health
) -> list[ListedModel]:
    """Return ``models`` in the order ``sort``; equal ones, and those without a figure at the end, keep theirs."""
    figure = _figures(usage, health).get(sort or "")
    if figure is None:
        # No benchmark is known, so that all models are equal.
        return list(models)
    found = [(figure(one), place, one) for place, one in enumerate(models)]
    known = sorted((value, place, one) for value, place, one in found if value is not None)
    return [one for _, _, one in known] + [one for value, _, one in found if value is None]


def _figures(usage: Mapping[str, ModelUsage], health: Health) -> dict[str, Callable[[ListedModel], float | None]]:
    """Return for each order the figure by which it ascends."""

    def tokens(one: ListedModel) -> float | None:
        return -usage[one.model.id].tokens if one.model.id in usage else None

    def price(one: ListedModel) -> float:
        return blended_price(cheapest(one.endpoints)[1])

    def median(one: ListedModel, read: Callable[[str], MeasuredPercentiles | None], sign: int) -> float | None:
        return min((sign * found.p50 for e in one.endpoints if (found := read(e.id))), default=None)

    return {
        "most-popular": tokens,
        "top-weekly": tokens,
        "newest": lambda one: -one.model.created,
        "pricing-low-to-high": price,
        "pricing-high-to-low": lambda one: -price(one),
        "context-high-to-low": lambda one: -one.model.context_length,
        "throughput-high-to-low": lambda one: median(one, lambda e: health.throughput_percentiles(e, "30m"), -1),
        "latency-low-to-high": lambda one: median(one, lambda e: health.latency_percentiles(e, "30m"), 1),
    }


def select_models(
    models: Iterable[ListedModel],
    query: ModelQuery,
    usage: Callable[[], Mapping[str, ModelUsage]],
    health: Health,
) -> list[ListedModel]:
    """Return the models that pass ``query``, in its order. ``usage`` is called where it is needed."""
    used = usage() if needs_usage(query) else {}
    now_s = time.time()
    found = [one for one in (narrowed(model, query) for model in models) if one.endpoints]
    found = [one for one in found if matches(one, query, used.get(one.model.id), now_s)]
    return ordered(found, query.sort, used, health)


def page_of(models: Sequence[ListedModel], paging: Paging) -> Sequence[ListedModel]:
    """Return the part of ``models`` that is asked for: all of them without ``offset`` and ``limit``."""
    if paging.offset is None and paging.limit is None:
        return models
    start = paging.offset or 0
    return models[start : start + (paging.limit or DEFAULT_LIMIT)]


def next_page(path: str, sent: Iterable[tuple[str, Any]], paging: Paging, total: int) -> str | None:
    """Return the URL of the page that follows, with the parameters that were ``sent``; ``None`` after the last one."""
    limit = paging.limit or DEFAULT_LIMIT
    following = (paging.offset or 0) + limit
    if (paging.offset is None and paging.limit is None) or following >= total:
        return None
    kept = [(name, value) for name, value in sent if name not in ("offset", "limit")]
    return f"{path}?{urlencode([*kept, ('offset', following), ('limit', limit)])}"
