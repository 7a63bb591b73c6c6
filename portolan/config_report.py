"""Format the output of ``portolan config``: remarks on a file, and what is in force with its sources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from data.catalogue.types import Catalogue, Price
from router_service.configuration.addresses import address_gaps, is_complete
from router_service.configuration.live import LiveConfiguration
from router_service.configuration.market import Market, account_of, named_keys, own_catalogue, price_of_table
from router_service.configuration.read_file import Configuration, environment_variable, is_in_environment
from router_service.configuration.tables import ProviderTable
from router_service.settings import Settings

NAME_WIDTH = 28


def report(live: LiveConfiguration) -> Iterator[str]:
    """Return lines on every setting, provider, price and alias in force, each with its source."""
    configuration, (settings, market) = live.configuration, live.in_force
    yield f"file        {configuration.path or 'none'}"
    yield f"catalogue   version {market.catalogue.version}"
    yield from ("", "settings")
    yield from _settings(settings, configuration)
    yield from ("", "providers with a key, at the lab or in the file")
    yield from _providers(live)
    yield from _catalogue_lists(configuration)
    for title, names in (
        ("models", configuration.tables.models),
        ("prices", configuration.tables.prices),
        ("discounts", configuration.tables.discounts),
        ("aliases", configuration.tables.aliases),
    ):
        if names:
            yield from ("", title)
        for name, value in names.items():
            yield f"  {name} = {_table_value(value)}  ({configuration.source(title, name)})"


def remarks(configuration: Configuration, catalogue: Catalogue) -> Iterator[str]:
    """Return lines on what is valid and yet may not be meant: keys in the file, variables that are not set."""
    tables = configuration.tables
    own = own_catalogue(catalogue, tables, {})
    for slug, table in tables.providers.items():
        if table.key:
            place = configuration.source("providers", slug, "key")
            yield f"{place}: the file holds a key of {slug}; key_env with a variable's name keeps it out"
        if table.aws is not None and (table.aws.secret_access_key or table.aws.session_token):
            place = configuration.source("providers", slug, "aws")
            yield f"{place}: the file holds an access key of {slug}; variables of the environment keep it out"
        account = account_of(slug, own, tables)
        signs = account is not None and account.aws is not None
        for name, value in () if signs else named_keys(slug, own, tables):
            if not value:
                place = configuration.source("providers", slug)
                yield f"{place}: {name} is not set in this environment, so that {slug} has one key less"
        if account is None:
            yield f"{configuration.source('providers', slug)}: {slug} has no key and is not called"
        place = configuration.source("providers", slug, *(("base_url",) if table.base_url else ()))
        yield from (f"{place}: {gap.sentence(slug)}" for gap in address_gaps(own.providers[slug], table))
    for slug, provider in own.providers.items():
        has_key = any(value for _, value in named_keys(slug, own, tables))
        if provider.addresses and slug not in tables.providers and not provider.aggregator and has_key:
            gaps = address_gaps(provider, ProviderTable())
            yield from (f"{configuration.path or 'environment'}: {gap.sentence(slug)}" for gap in gaps)


def _settings(settings: Settings, configuration: Configuration) -> Iterator[str]:
    for name in type(settings).model_fields:
        if name == "config":
            continue
        if is_in_environment(name):
            source = environment_variable(name)
        elif configuration.path and name in configuration.tables.settings:
            source = configuration.source("settings", name)
        else:
            source = "default"
        yield f"  {name:{NAME_WIDTH}} {_shown(getattr(settings, name))}  ({source})"


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, dict):
        value = {key: _without_user(text) for key, text in value.items()}
    if isinstance(value, str):
        value = _without_user(value)
    return "unset" if value is None else json.dumps(value, default=str, ensure_ascii=False)


def _without_user(text: str) -> str:
    """Return an address without the user and password that it may contain; any other text unchanged."""
    try:
        parts = urlsplit(text)
        return parts._replace(netloc=f"********@{parts.netloc.rpartition('@')[2]}").geturl() if parts.username else text
    except ValueError:
        return text


def _providers(live: LiveConfiguration) -> Iterator[str]:
    configuration, (settings, market) = live.configuration, live.in_force
    tables, counts = configuration.tables, dict[str, int]()
    addresses: dict[str, str] = {}
    for offers in market.endpoints.values():
        for endpoint in offers:
            counts[endpoint.provider] = counts.get(endpoint.provider, 0) + 1
            addresses[endpoint.provider] = endpoint.base_url or ""
    sources = {one.provider: one.url for one in live.sources()}
    for slug in sorted({*counts, *tables.providers}):
        provider, table = market.catalogue.providers[slug], tables.providers.get(slug)
        url = addresses.get(slug) or provider.base_url or "no address"
        source = configuration.source("providers", slug) if table else "catalogue"
        dialect = f", dialect {table.dialect}" if table and table.dialect else ""
        yield f"  {slug:{NAME_WIDTH}} {_without_user(url)}  {provider.wire_format}{dialect}  ({source})"
        yield f"  {'':{NAME_WIDTH}} {_keys(slug, settings, market, configuration)}"
        if table and table.headers:
            yield f"  {'':{NAME_WIDTH}} headers: {', '.join(f'{name}: ********' for name in table.headers)}"
        listed = f"models are read from {sources[slug]}" if slug in sources else f"{counts.get(slug, 0)} endpoints"
        yield f"  {'':{NAME_WIDTH}} {listed}"


def _keys(slug: str, settings: Settings, market: Market, configuration: Configuration) -> str:
    tables = configuration.tables
    table = tables.providers.get(slug)
    if settings.lab_url and not (table and table.base_url):
        complete = is_complete(market.catalogue.providers[slug], table or ProviderTable())
        return "imitated by the lab" if complete else "off: its address is not complete"
    account = account_of(slug, market.catalogue, tables)
    if account is not None and account.aws is not None:
        signing = account.aws
        key = f"access key {signing.keys.access_key_id}" if signing.keys else "the role of this machine"
        return f"signed with {key} for {signing.region}"
    found = named_keys(slug, market.catalogue, tables)
    if not found or (table and table.base_url and not table.key and not table.key_env and not found[0][1]):
        return "no key needed"
    words = []
    for name, value in found:
        place = configuration.source("providers", slug, "key") if name == "key" else name
        words.append(f"{place} {'********' if value else 'is not set'}")
    return f"key: {', '.join(words)}"


def _catalogue_lists(configuration: Configuration) -> Iterator[str]:
    lists = configuration.tables.catalogue
    for name, slugs in (("enabled", lists.enabled), ("disabled", lists.disabled or None)):
        if slugs is not None:
            yield from (
                "",
                f"catalogue providers {name}: {', '.join(slugs)}  ({configuration.source('catalogue', name)})",
            )


def _table_value(value: Any) -> str:
    if hasattr(value, "prompt"):
        return _price(price_of_table(value))
    return value.name or "" if hasattr(value, "context_length") else str(value)


def _price(price: Price) -> str:
    return f"${price.prompt / 1e9:g} in, ${price.completion / 1e9:g} out per M"
