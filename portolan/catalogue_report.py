"""Format the output of ``portolan catalogue``: its coverage, the endpoints of one model, implausible prices."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from data.catalogue import load_catalogue
from data.catalogue.gaps import REMEDIES, CatalogueGap, model_gaps, provider_gaps
from data.catalogue.load import rows_in_source
from data.catalogue.price import Price, PriceStep
from data.catalogue.price_check import implausible_prices
from data.catalogue.task_offers import authored_endpoints
from data.catalogue.types import Catalogue, Endpoint

# Names that a line lists; a model may be at dozens of aggregators.
MOST_NAMES = 6


def coverage(unplaced: bool = False, configured: Catalogue | None = None) -> Iterator[str]:
    """Return lines on coverage: the number of endpoints and models, and the reasons why other rows are left out.

    ``configured`` is the catalogue with what the configuration adds and changes; by default the packaged one.
    """
    catalogue = configured or load_catalogue()
    every = [e for offers in catalogue.endpoints.values() for e in offers]
    endpoints = [e for e in every if e.service_tier is None]
    live = [e for e in endpoints if e.enabled]
    rows = sum(1 for _ in rows_in_source())
    packaged = load_catalogue()
    placed = rows - len(packaged.unplaced)
    own = len(endpoints) - sum(e.service_tier is None for offers in packaged.endpoints.values() for e in offers)
    yield f"version {catalogue.version}"
    yield f"{rows:>6,} rows in the source, {placed:,} placed ({placed / rows:.1%})"
    source = set(rows_in_source())
    written = sum(endpoint.id not in source for endpoint in authored_endpoints(packaged.providers))
    second = placed - len(endpoints) + own + written
    yield f"{len(endpoints):>6,} endpoints; {second} more rows are second ids of one of them"
    yield f"{written:>6,} of the endpoints are no rows of the source, but written here"
    if own:
        yield f"{own:>6,} of the endpoints are added by the configuration"
    yield f"{len(catalogue.models):>6,} models, {len(_models(e for e in endpoints if e.price))} with a price"
    yield f"{len(live):>6,} endpoints to route to, of {len(_models(live))} models at {_providers(live)} providers"
    templated = [e for e in live if e.provider in packaged.providers and packaged.providers[e.provider].addresses]
    at = ", ".join(sorted({e.provider for e in templated}))
    yield f"{len(templated):>6,} of them need an account in the address: {at}"
    yield f"{len(every) - len(endpoints):>6,} more of a service tier: {_tiers(every)}"
    yield "off, by reason:"
    yield from _counted(str(e.disabled_reason) for e in endpoints if not e.enabled)
    yield "not placed, by reason:"
    yield from _counted(reason for _, reason in catalogue.unplaced)
    if unplaced:
        yield "not placed:"
        yield from (f"  {name}  {reason}" for name, reason in catalogue.unplaced)


def gap_report(configured: Catalogue | None = None) -> Iterator[str]:
    """Return lines on all models and providers that cannot be routed to, with reasons and what to do about them."""
    catalogue = configured or load_catalogue()
    yield from _gap_lines("models", model_gaps(catalogue))
    yield from _gap_lines("providers", provider_gaps(catalogue))


def _gap_lines(what: str, gaps: Sequence[CatalogueGap]) -> Iterator[str]:
    """Return a line on each of ``gaps``, by the reason that takes the least work to remove."""
    yield f"{what} that cannot be routed to: {len(gaps):,}"
    for reason, remedy in REMEDIES.items():
        found = [gap for gap in gaps if gap.reasons[0][0] == reason]
        if found:
            yield f"{len(found):>6,} {reason}: {remedy}"
        for gap in found:
            words = (f"{name}: {_some(concerned)}" for name, concerned in gap.reasons)
            yield f"       {gap.name}  {'; '.join(words)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def facts_of_provider(slug: str, configured: Catalogue | None = None) -> list[str] | None:
    """Return lines on a provider: its address, what it does with disconnects, its endpoints; ``None`` if unknown."""
    catalogue = configured or load_catalogue()
    provider = catalogue.providers.get(slug)
    if provider is None:
        return None
    offers = [e for found in catalogue.endpoints.values() for e in found if e.provider == slug]
    fact = provider.cancellation
    stated = {e.cancellation for e in offers} - {fact.policy if fact else None}
    policies = {"stops": "it stops, and bills what it has written", "bills_to_end": "it goes on, and bills to the end"}
    left = f"{policies[fact.policy]} ({fact.source}, read {fact.read})" if fact else "not known"
    if stated:
        left = f"{', '.join(policies[str(one)] for one in sorted(map(str, stated)))} (portolan.toml)"
    addresses = [one.url for one in provider.addresses] or [provider.base_url or "no address"]
    reasons = Counter(str(e.disabled_reason) for e in offers if not e.enabled)
    off = ", ".join(f"{count} off: {reason} ({REMEDIES.get(reason, '')})" for reason, count in reasons.most_common())
    return [
        f"{slug}: {provider.name}, {provider.wire_format}",
        *(f"  address            {address}" for address in addresses),
        *(f"  {name + ' from':18} {variable}" for name, variable in provider.address_variables),
        f"  key from           {', '.join(provider.key_env) or 'no variable'}",
        f"  caller disconnects {left}",
        f"  endpoints          {sum(e.enabled for e in offers)} to route to{'; ' if off else ''}{off}",
    ]


def endpoints_of(name: str, configured: Catalogue | None = None) -> list[str] | None:
    """Return lines on the endpoints of a model, enabled ones first; ``None`` when no model has this name."""
    catalogue = configured or load_catalogue()
    canonical = catalogue.resolve(name)
    if canonical is None:
        return None
    also = "" if canonical == name else f" (asked for as {name})"
    offers = sorted(catalogue.endpoints[canonical], key=lambda e: (not e.enabled, e.id))
    return [f"{canonical}: {catalogue.models[canonical].name}{also}", *map(_line, offers)]


class PriceReport(NamedTuple):
    """Hold lines on implausible prices, and how many of these belong to endpoints that requests are routed to."""

    lines: list[str]
    routed: int


def price_report(catalogue: Catalogue | None = None) -> PriceReport:
    """Check the prices of all endpoints, those that requests are routed to first."""
    every = (catalogue or load_catalogue()).endpoints.values()
    enabled = {e.id: e.enabled for offers in every for e in offers}
    found = sorted((not enabled[one.endpoint], one) for offers in every for one in implausible_prices(offers))
    lines = [f"{one.endpoint}  {one.reason}{'  (off)' if off else ''}" for off, one in found]
    routed = sum(not off for off, _ in found)
    return PriceReport([*lines, f"{len(found):,} implausible prices, {routed:,} of them routed to"], routed)


def close_names(name: str, catalogue: Catalogue | None = None) -> list[str]:
    """Return up to three ids of the catalogue that are similar to ``name``."""
    known = (catalogue or load_catalogue()).models
    close = difflib.get_close_matches(name.lower(), known, n=3)
    by_slug = {model.split("/", 1)[1]: model for model in known}
    more = [by_slug[slug] for slug in difflib.get_close_matches(name.lower().split("/")[-1], by_slug, n=3)]
    return list(dict.fromkeys([*close, *more]))[:3]


def _line(endpoint: Endpoint) -> str:
    price = endpoint.price
    cost = _cost(price) if price else "no price"
    state = "" if endpoint.enabled else f"  off: {endpoint.disabled_reason}"
    return f"  {endpoint.tag:28} {endpoint.quantization:8} {endpoint.context_length:>9,} {cost}{state}"


def _cost(price: Price) -> str:
    steps = price.meters.steps if price.meters else ()
    return f"${price.prompt / 1e9:g} in, ${price.completion / 1e9:g} out per M" + "".join(map(_step, steps))


def _step(step: PriceStep) -> str:
    prices = dict(step.prices)
    words = (("prompt", "in"), ("completion", "out"))
    named = (f"${prices[name] / 1e9:g} {word}" for name, word in words if name in prices)
    conditions = [f"above {step.above_tokens:,} tokens"] if step.above_tokens is not None else []
    if step.window is not None:
        start, end = (f"{minute // 60:02}:{minute % 60:02}" for minute in (step.window.start, step.window.end))
        conditions.append(f"{start}-{end} UTC")
    return f"; {', '.join(named)} {', '.join(conditions)}"


def _models(endpoints: Iterable[Endpoint]) -> set[str]:
    return {endpoint.model for endpoint in endpoints}


def _tiers(endpoints: Iterable[Endpoint]) -> str:
    return ", ".join(f"{count} {tier}" for tier, count in Counter(e.service_tier for e in endpoints).items() if tier)


def _providers(endpoints: Iterable[Endpoint]) -> int:
    return len({endpoint.provider for endpoint in endpoints})


def _counted(words: Iterable[str]) -> Iterator[str]:
    return (f"{count:>6,} {word}" for word, count in Counter(words).most_common())
