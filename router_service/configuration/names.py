"""Find names in ``portolan.toml`` that nothing has: providers, models, endpoints, dialects and parameters."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources

from data.catalogue.addresses import placeholders
from data.catalogue.types import Catalogue, Provider
from router_service.configuration.amazon import region_of
from router_service.configuration.mistakes import Mistake, nearest, shown
from router_service.configuration.tables import EndpointTable, PortolanToml, ProviderTable
from router_service.configuration.toml_positions import TomlPath
from router_service.providers.chat_parameters import SERVED_BY_ROUTER, UNSERVED
from router_service.providers.formats import FORMATS
from router_service.providers.sigv4 import MISSING as SIGNING_MISSING
from router_service.providers.sigv4 import can_sign

# Keys that give the address of a provider besides base_url, by the wire format whose vendor has them.
_ADDRESS_KEYS = {
    "gemini": "project or base_url",
    "anthropic_messages": "project or base_url",
    "bedrock_converse": "aws.region or base_url",
}
# Fields of a request that are no parameters of a model.
NO_PARAMETERS = SERVED_BY_ROUTER | UNSERVED | {"messages", "model", "stream"}


@cache
def dialects_by_format() -> Mapping[str, frozenset[str]]:
    """Return the names of the dialects of each wire format."""
    text = resources.files("router_service.providers").joinpath("dialects.toml").read_text(encoding="utf-8")
    return {name: frozenset(rows) for name, rows in tomllib.loads(text).items()}


@cache
def parameter_names() -> frozenset[str]:
    """Return the parameters that an endpoint can be said to support."""
    reached = {name for name in FORMATS["openai_chat"].support if "." not in name}
    return frozenset(reached | {"include_reasoning"}) - (NO_PARAMETERS - {"include_reasoning"})


def misspelt(tables: PortolanToml, catalogue: Catalogue) -> Iterator[Mistake]:
    """Yield a mistake for every name that neither the file nor ``catalogue`` has."""
    for check in (_providers, _catalogue_lists, _models, _endpoints, _prices, _aliases, unknown_addresses):
        yield from check(tables, catalogue)


def discovers(slug: str, tables: PortolanToml, catalogue: Catalogue) -> bool:
    """Return whether the models of a provider are read from the provider itself.

    Unless the file says so, they are if it is a provider of the operator's own without endpoints in the file.
    """
    table = tables.providers.get(slug)
    if table is None or table.base_url is None:
        return False
    if table.discover_models is not None:
        return table.discover_models
    if table.aws is not None:
        # Bedrock lists its models at another address, and the catalogue knows them.
        return False
    listed = any(endpoint.provider == slug for endpoint in tables.endpoints)
    return not listed and not any(
        e.enabled for offers in catalogue.endpoints.values() for e in offers if e.provider == slug
    )


def unknown_addresses(
    tables: PortolanToml, catalogue: Catalogue, addresses: Iterable[str] | None = None
) -> Iterator[Mistake]:
    """Yield a mistake for every provider of ``provider_urls`` that does not exist."""
    known = {*catalogue.providers, *tables.providers}
    if addresses is None:
        found = tables.settings.get("provider_urls", {})
        addresses = found if isinstance(found, dict) else ()
    for slug in addresses:
        if slug not in known:
            path = ("settings", "provider_urls", slug)
            yield Mistake(path, f"provider_urls: {slug} is no provider. {nearest(slug, known)}".strip(), True)


def wire_format_of(slug: str, table: ProviderTable | None, catalogue: Catalogue) -> str:
    """Return the wire format of a provider: that of the file, of the catalogue, or chat completions."""
    known = catalogue.providers.get(slug)
    return (table.wire_format if table else None) or (known.wire_format if known else "openai_chat")


def _providers(tables: PortolanToml, catalogue: Catalogue) -> Iterator[Mistake]:
    for slug, table in tables.providers.items():
        path = ("providers", slug)
        if slug not in catalogue.providers and table.address is None:
            advice = nearest(slug, catalogue.providers)
            advice = f"{advice} A" if "Did" in advice else "A"
            sentence = f"{shown(path)} is no provider of the catalogue. {advice} provider of your own needs base_url"
            yield Mistake(path, sentence, True)
        elif slug in catalogue.providers and not table.address and not _has_address(catalogue.providers[slug]):
            wanted = _ADDRESS_KEYS.get(wire_format_of(slug, table, catalogue), "base_url")
            yield Mistake(path, f"{shown(path)} needs {wanted}: the catalogue has no address for it", True)
        yield from _address_parts(path, table, catalogue.providers.get(slug))
        yield from _deployments(path, table, tables, catalogue)
        if table.service_account is not None and table.project is None:
            at = (*path, "service_account")
            yield Mistake(at, f"{shown(at)} is for a project of Google Cloud; write project", True)
        yield from _aws((*path, "aws"), table, catalogue.providers.get(slug))
        yield from _dialect((*path, "dialect"), table.dialect, wire_format_of(slug, table, catalogue))
        yield from _parameters((*path, "supported_parameters"), table.supported_parameters)
        if table.key and table.key_env:
            yield Mistake((*path, "key"), f"{shown(path)} has key and key_env; write one of them", True)


def _aws(path: TomlPath, table: ProviderTable, known: Provider | None) -> Iterator[Mistake]:
    if table.aws is None:
        return
    if region_of(table) is None:
        yield Mistake(path, f"{shown(path)} needs region, which neither base_url nor AWS_REGION names", True)
    if (table.aws.access_key_id is None) != (table.aws.secret_access_key is None):
        yield Mistake(path, f"{shown(path)} needs access_key_id and secret_access_key together", True)
    has_key = bool(table.key or table.key_env) or any(map(os.environ.get, known.key_env if known else ()))
    if not has_key and not can_sign():
        yield Mistake(path, f"{shown(path)}: {SIGNING_MISSING}", True)


def _has_address(provider: Provider) -> bool:
    return provider.base_url is not None or bool(provider.addresses)


def _address_parts(path: TomlPath, table: ProviderTable, known: Provider | None) -> Iterator[Mistake]:
    """Yield a mistake for every part of an address that the provider's address does not have."""
    urls = [one.url for one in known.addresses] if known is not None and table.base_url is None else [table.base_url]
    taken = {name for url in urls if url is not None for name in placeholders(url)}
    if table.base_url is not None:
        taken.add("api_version")
    for name in ("account", "api_version", "gateway"):
        if getattr(table, name) is not None and name not in taken:
            at = (*path, name)
            yield Mistake(
                at, f"{shown(at)} is no part of this provider's address; write base_url with {{{name}}}", True
            )


def _deployments(path: TomlPath, table: ProviderTable, tables: PortolanToml, catalogue: Catalogue) -> Iterator[Mistake]:
    """Yield a mistake for every deployment of a model that the provider does not have."""
    slug = path[1]
    known = {e.upstream_model for offers in catalogue.endpoints.values() for e in offers if e.provider == slug}
    known |= {one.upstream_model for one in tables.endpoints if one.provider == slug}
    for name in table.deployments:
        if name not in known:
            at = (*path, "deployments", name)
            yield Mistake(at, f"{shown(at)}: {name} is no model of {slug}. {nearest(name, known)}".strip())


def _dialect(path: TomlPath, name: str | None, wire_format: str) -> Iterator[Mistake]:
    known = dialects_by_format().get(wire_format, frozenset())
    if name is not None and name not in known:
        yield Mistake(path, f"{shown(path)}: {name} is no dialect of {wire_format}. {nearest(name, known)}".strip())


def _parameters(path: TomlPath, names: Iterable[str] | None) -> Iterator[Mistake]:
    for number, name in enumerate(names or ()):
        if name not in parameter_names():
            at = (*path, number)
            yield Mistake(at, f"{shown(at)}: {name} is no parameter. {nearest(name, parameter_names())}".strip())


def _catalogue_lists(tables: PortolanToml, catalogue: Catalogue) -> Iterator[Mistake]:
    lists = {"enabled": tables.catalogue.enabled or (), "disabled": tables.catalogue.disabled}
    for key, names in lists.items():
        for number, slug in enumerate(names):
            path = ("catalogue", key, number)
            if slug not in catalogue.providers:
                advice = nearest(slug, catalogue.providers)
                yield Mistake(path, f"{shown(path)}: {slug} is no provider of the catalogue. {advice}".strip())
            elif key == "disabled" and slug in lists["enabled"]:
                yield Mistake(path, f"{shown(path)}: {slug} is enabled as well; leave it in one of the lists")


def _models(tables: PortolanToml, catalogue: Catalogue) -> Iterator[Mistake]:
    for name in tables.models:
        if name in catalogue.models:
            path = ("models", name)
            sentence = f"{shown(path)} is a model of the catalogue already; endpoints can name it without this table"
            yield Mistake(path, sentence, True)


def _endpoints(tables: PortolanToml, catalogue: Catalogue) -> Iterator[Mistake]:
    seen: set[str] = set()
    providers = {*catalogue.providers, *tables.providers}
    models = {*catalogue.models, *tables.models}
    for number, table in enumerate(tables.endpoints):
        path: TomlPath = ("endpoints", number)
        if table.provider not in providers:
            at = (*path, "provider")
            advice = nearest(table.provider, providers)
            yield Mistake(at, f"{shown(at)}: {table.provider} is no provider. {advice}".strip())
        if table.model not in tables.models and catalogue.resolve(table.model) is None:
            at = (*path, "model")
            advice = nearest(table.model, models)
            own = f'A model of your own needs a table such as [models."author/{table.model.rsplit("/")[-1].lower()}"]'
            yield Mistake(at, f"{shown(at)}: {table.model} is no model. {f'{advice} ' if advice else ''}{own}")
        if endpoint_id(table) in seen:
            at = (*path, "upstream_model")
            yield Mistake(at, f"{shown(at)}: {endpoint_id(table)} is an endpoint of this file already")
        seen.add(endpoint_id(table))
        theirs = wire_format_of(table.provider, tables.providers.get(table.provider), catalogue)
        wire_format = table.wire_format or theirs
        yield from _dialect((*path, "dialect"), table.dialect, wire_format)
        yield from _parameters((*path, "supported_parameters"), table.supported_parameters)


def endpoint_id(table: EndpointTable) -> str:
    """Return the id of an endpoint of the file."""
    return f"{table.provider}:{table.upstream_model}"


def _prices(tables: PortolanToml, catalogue: Catalogue) -> Iterator[Mistake]:
    ids = {e.id for offers in catalogue.endpoints.values() for e in offers} | {*map(endpoint_id, tables.endpoints)}
    providers = {*catalogue.providers, *tables.providers}
    for key, names, known in (
        ("prices", tables.prices, ids),
        ("discounts", tables.discounts, ids | providers),
    ):
        for name in names:
            if name in known or discovers(name.partition(":")[0], tables, catalogue):
                continue
            path = (key, name)
            what = "an endpoint is named provider:model as the provider names it"
            what += ", or a provider by its name" if key == "discounts" else ""
            yield Mistake(path, f"{shown(path)} is no endpoint; {what}. {nearest(name, known)}".strip(), True)


def _aliases(tables: PortolanToml, catalogue: Catalogue) -> Iterator[Mistake]:
    models = {*catalogue.models, *tables.models}
    for name, target in tables.aliases.items():
        path = ("aliases", name)
        if name in models:
            yield Mistake(path, f"{shown(path)} is the name of a model; an alias needs another", True)
        found = target in models or catalogue.resolve(target) is not None
        if not found and not discovers(target.partition("/")[0], tables, catalogue):
            yield Mistake(path, f"{shown(path)}: {target} is no model. {nearest(target, models)}".strip())
