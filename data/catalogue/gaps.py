"""List what cannot be routed to: models and providers, each with the reasons and what an operator can do about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from data.catalogue.types import Catalogue, Endpoint

# What an operator can do about each reason, the least work first.
REMEDIES = {
    "not_deployed": "add the model to deployments of the provider's table",
    "configuration": "[catalogue] of portolan.toml leaves the provider out; change enabled or disabled",
    "account_address": "write base_url, or project (Google) or aws (Amazon), in the provider's table",
    "no_price": 'write price in the provider\'s table, or in [prices."provider:model"]',
    "aggregator": "resold: set allow_aggregators, or name the provider in enabled of [catalogue]",
    "unsupported_protocol": "no adapter speaks it; write base_url of an address that is compatible, if there is one",
    "deprecated": "the provider withdraws it; write [[endpoints]] for as long as it is served",
    "no_endpoint": "no provider of the catalogue has it; write [[endpoints]]",
}


class CatalogueGap(NamedTuple):
    """Hold a model or provider that cannot be routed to: ``reasons`` with what they concern, the least work first."""

    name: str
    reasons: tuple[tuple[str, tuple[str, ...]], ...]


def model_gaps(catalogue: Catalogue) -> list[CatalogueGap]:
    """Return the models that no endpoint can be routed to for, with the providers that have them."""
    return _gaps({name: catalogue.endpoints.get(name, ()) for name in catalogue.models}, lambda e: e.provider)


def provider_gaps(catalogue: Catalogue) -> list[CatalogueGap]:
    """Return the providers of which no endpoint can be routed to, with their models."""
    offers: dict[str, list[Endpoint]] = {slug: [] for slug in catalogue.providers}
    for found in catalogue.endpoints.values():
        for endpoint in found:
            offers[endpoint.provider].append(endpoint)
    return _gaps(offers, lambda e: e.model)


def _gaps(offers: Mapping[str, Iterable[Endpoint]], concerned: Callable[[Endpoint], str]) -> list[CatalogueGap]:
    found = []
    for name, endpoints in sorted(offers.items()):
        every = list(endpoints)
        if any(endpoint.enabled for endpoint in every):
            continue
        by_reason: dict[str, set[str]] = {}
        for endpoint in every:
            by_reason.setdefault(endpoint.disabled_reason or "", set()).add(concerned(endpoint))
        reasons = [(reason, tuple(sorted(by_reason[reason]))) for reason in REMEDIES if reason in by_reason]
        found.append(CatalogueGap(name, tuple(reasons) or (("no_endpoint", ()),)))
    return found
