"""Make the market of an installation: the catalogue with the operator's own providers, models, prices and keys."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

import msgspec

from data.catalogue.addresses import own_wire_format
from data.catalogue.names import resolve_name
from data.catalogue.offers import task_by_name
from data.catalogue.pricing import NANO
from data.catalogue.task_facts import task_is_spoken
from data.catalogue.types import Catalogue, DataPolicy, Endpoint, Model, Price, Provider
from router_service.configuration.addresses import called_address, lab_address
from router_service.configuration.amazon import aws_account_of
from router_service.configuration.google_cloud import usual_service_account
from router_service.configuration.mistakes import ConfigurationError
from router_service.configuration.names import unknown_addresses, wire_format_of
from router_service.configuration.read_file import Configuration
from router_service.configuration.tables import DataPolicyTable, EndpointTable, PortolanToml, PriceTable, ProviderTable
from router_service.providers.credentials import KEY_HEADERS, Account, AccountAddress
from router_service.providers.formats import format_names, with_supported_parameters
from router_service.settings import Settings

# What a server of the operator's own is taken to support, unless the file or its dialect says less.
OWN_PARAMETERS = frozenset(
    {
        "frequency_penalty", "include_reasoning", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens",
        "min_p", "parallel_tool_calls", "presence_penalty", "reasoning", "reasoning_effort", "repetition_penalty",
        "response_format", "seed", "stop", "structured_outputs", "temperature", "tool_choice", "tools", "top_k",
        "top_logprobs", "top_p",
    }
)  # fmt: skip
# What is taken to be supported of the parameters of other tasks than chat.
OWN_TASK_PARAMETERS = frozenset({"dimensions"})
MESSAGES = "anthropic_messages"
# Reasons for which the catalogue leaves an endpoint out and that an address in the file removes.
NO_ADDRESS = ("account_address", "unsupported_protocol")


class DiscoveredModel(NamedTuple):
    """Hold a model that a provider has listed; ``context_length`` is 0 where the provider does not say."""

    upstream_model: str
    context_length: int = 0


class Market(NamedTuple):
    """Hold what the router sells: ``endpoints`` are those that it can call, ``accounts`` what they are called with."""

    catalogue: Catalogue
    endpoints: Mapping[str, tuple[Endpoint, ...]]
    accounts: Mapping[AccountAddress, Account]


def make_market(
    catalogue: Catalogue,
    configuration: Configuration,
    settings: Settings,
    discovered: Mapping[str, Sequence[DiscoveredModel]] | None = None,
) -> Market:
    """Return the market of ``catalogue`` under the file and the settings; ``discovered`` are models by provider.

    Raises ``ConfigurationError`` for a provider of ``provider_urls`` that does not exist.
    """
    tables = configuration.tables
    unknown = [one.sentence for one in unknown_addresses(tables, catalogue, settings.provider_urls)]
    if unknown:
        raise ConfigurationError(unknown)
    own = own_catalogue(catalogue, tables, discovered or {})
    accounts = {slug: account_of(slug, own, tables) for slug in own.providers}
    usable: dict[str, tuple[Endpoint, ...]] = {}
    signed: dict[AccountAddress, Account] = {}
    for model, offers in own.endpoints.items():
        kept = []
        for endpoint in offers:
            found = _callable(endpoint, own.providers[endpoint.provider], tables, settings, accounts)
            if found is not None:
                kept.append(with_supported_parameters(found[0]))
                signed[AccountAddress(endpoint.provider, found[0].base_url, endpoint.wire_format)] = found[1]
        usable[model] = tuple(kept)
    return Market(own, usable, signed)


def account_of(slug: str, catalogue: Catalogue, tables: PortolanToml) -> Account | None:
    """Return the account of a provider, or ``None`` where it needs a key and none is set."""
    table = tables.providers.get(slug, ProviderTable())
    keys = tuple(dict.fromkeys(value for _, value in named_keys(slug, catalogue, tables) if value))
    named = key_headers_of(catalogue.providers[slug], table)
    if table.project:
        service = table.service_account or usual_service_account()
        return Account(keys, table.headers, service, key_headers=named) if keys or service is not None else None
    if table.aws is not None:
        # An API key needs no signature.
        signing = None if keys else aws_account_of(table)
        return Account(keys, table.headers, aws=signing, key_headers=named) if keys or signing is not None else None
    # A server at an address of the file that names no key needs none.
    needs_key = table.base_url is None or _names_key(table)
    return Account(keys, table.headers, key_headers=named) if keys or not needs_key else None


def key_headers_of(provider: Provider, table: ProviderTable) -> dict[str, str]:
    """Return the headers for keys by wire format, where they are not the wire format's own."""
    if table.key_header is not None:
        return dict.fromkeys(format_names(), table.key_header)
    if table.aws is not None and table.wire_format == MESSAGES:
        # An API key of Amazon Bedrock is a bearer token in every format.
        return {MESSAGES: "authorization"}
    if provider.key_header is None:
        return {}
    return {name: provider.key_header for name in format_names() if name not in KEY_HEADERS}


def named_keys(slug: str, catalogue: Catalogue, tables: PortolanToml) -> list[tuple[str, str]]:
    """Return where the keys of a provider may come from, each with its value, or with an empty string.

    Of the variables that the catalogue names, the first that is set counts: they are names of one key.
    """
    table = tables.providers.get(slug, ProviderTable())
    if table.key:
        return [("key", secret.get_secret_value().strip()) for secret in table.key]
    if table.key_env:
        return [(name, os.environ.get(name, "").strip()) for name in table.key_env]
    named = [(name, os.environ.get(name, "").strip()) for name in catalogue.providers[slug].key_env]
    return next(([one] for one in named if one[1]), named[:1])


def own_catalogue(
    catalogue: Catalogue, tables: PortolanToml, discovered: Mapping[str, Sequence[DiscoveredModel]]
) -> Catalogue:
    """Return ``catalogue`` as the file changes it; the same object where the file has nothing to change."""
    if tables == PortolanToml(settings=tables.settings):
        return catalogue
    providers = dict(catalogue.providers)
    for slug, table in tables.providers.items():
        providers[slug] = _provider(slug, table, catalogue)
    models = dict(catalogue.models)
    for name, described in tables.models.items():
        author = name.partition("/")[0]
        models[name] = Model(
            name, author, described.name or name, 0, described.context_length or 0, described.input_modalities,
            described.output_modalities, description=described.description, open_weights=described.open_weights,
        )  # fmt: skip
    endpoints = {name: [_changed(e, tables) for e in offers] for name, offers in catalogue.endpoints.items()}
    aliases = dict(catalogue.aliases)
    added = [(_named(one.model, models, aliases), one) for one in tables.endpoints]
    for slug, listed in discovered.items():
        for one in listed:
            name = _discovered_name(slug, one.upstream_model, models)
            task = task_by_name(one.upstream_model)
            outputs = ("text",) if task == "chat" else (task,)
            models.setdefault(name, Model(name, slug, one.upstream_model, 0, one.context_length, ("text",), outputs))
            aliases.setdefault(f"{slug}/{one.upstream_model}", name)
            length = one.context_length or None
            added.append(
                (
                    name,
                    EndpointTable(provider=slug, model=name, upstream_model=one.upstream_model, context_length=length),
                )
            )
    replaced = {f"{offer.provider}:{offer.upstream_model}" for _, offer in added}
    endpoints = {name: [e for e in offers if e.id not in replaced] for name, offers in endpoints.items()}
    for name, offer in added:
        endpoints.setdefault(name, []).append(_own_endpoint(name, offer, providers, models, tables))
    wanted = {alias: _named(target, models, aliases) for alias, target in tables.aliases.items()}
    aliases |= {alias: name for alias, name in wanted.items() if name in models}
    frozen = {name: tuple(offers) for name, offers in sorted(endpoints.items())}
    content = msgspec.json.encode((models, frozen, providers, aliases), order="deterministic")
    version = hashlib.sha256(content).hexdigest()[:12]
    return Catalogue(version, models, providers, frozen, aliases, catalogue.unplaced)


def price_of_table(table: PriceTable) -> Price:
    """Return a price of the file, USD per million tokens, in nano-USD per million tokens."""
    read, write = (None if usd is None else int(usd * NANO) for usd in (table.cache_read, table.cache_write))
    return Price(int(table.prompt * NANO), int(table.completion * NANO), read, write)


def _callable(
    endpoint: Endpoint,
    provider: Provider,
    tables: PortolanToml,
    settings: Settings,
    accounts: Mapping[str, Account | None],
) -> tuple[Endpoint, Account] | None:
    """Return ``endpoint`` with the address that it is called at and its account, or ``None`` if it cannot be called."""
    if endpoint.price is None:
        return None
    if endpoint.disabled_reason == "aggregator" and settings.allow_aggregators:
        endpoint = msgspec.structs.replace(endpoint, enabled=True, disabled_reason=None)
    if not endpoint.enabled:
        return None
    table = tables.providers.get(endpoint.provider, ProviderTable())
    url = settings.provider_urls.get(endpoint.provider, "").rstrip("/")
    if settings.lab_url and not table.address:
        url = url or lab_address(endpoint, provider, table, settings.lab_url) or ""
        if not url:
            return None
        imitated = Account(("lab",), key_headers=key_headers_of(provider, table))
        return msgspec.structs.replace(endpoint, base_url=url), imitated
    account, url = accounts[endpoint.provider], url or called_address(endpoint, provider, table) or ""
    if account is None or not url:
        return None
    return (endpoint if url == endpoint.base_url else msgspec.structs.replace(endpoint, base_url=url)), account


def _names_key(table: ProviderTable) -> bool:
    return bool(table.key or table.key_env)


def _provider(slug: str, table: ProviderTable, catalogue: Catalogue) -> Provider:
    known = catalogue.providers.get(slug)
    wire_format = wire_format_of(slug, table, catalogue)
    if known is None:
        return Provider(slug, table.name or slug, wire_format, table.address_in(wire_format), table.key_env)
    return msgspec.structs.replace(
        known,
        name=table.name or known.name,
        wire_format=wire_format,
        base_url=table.address_in(wire_format) or known.base_url,
        key_env=table.key_env or (() if table.key else known.key_env),
    )


def _changed(endpoint: Endpoint, tables: PortolanToml) -> Endpoint:
    """Return an endpoint of the catalogue as the file changes it."""
    changes: dict[str, object] = {}
    table = tables.providers.get(endpoint.provider)
    reason = endpoint.disabled_reason
    if table is not None:
        changes |= _provider_changes(endpoint, table)
        # A project has Google's own models in Google's own format: its other models need other protocols.
        is_spoken = not table.project or endpoint.wire_format == table.wire_format or reason == "account_address"
        if table.address and reason in NO_ADDRESS and is_spoken:
            reason = None
        if reason is None and not task_is_spoken(endpoint.task, table.wire_format or endpoint.wire_format):
            reason = "unsupported_protocol"
        if reason is None and table.base_url and not table.wire_format and _has_own_format(endpoint):
            # The address is one of the provider's other wire format.
            reason = "account_address"
        if reason is None and table.deployments and endpoint.upstream_model not in table.deployments:
            reason = "not_deployed"
    price = tables.prices.get(endpoint.id) or (table.price if table and endpoint.price is None else None)
    if price is not None:
        changes["price"] = price_of_table(price)
        reason = None if reason == "no_price" else reason
    listed = tables.catalogue
    off = endpoint.provider in listed.disabled or (
        listed.enabled is not None and endpoint.provider not in listed.enabled and table is None
    )
    if off:
        reason = "configuration"
    elif reason == "aggregator" and listed.enabled is not None and endpoint.provider in listed.enabled:
        reason = None
    if reason is None and changes.get("price", endpoint.price) is None:
        reason = "no_price"
    changed = msgspec.structs.replace(endpoint, enabled=reason is None, disabled_reason=reason, **changes)
    return _discounted(changed, tables)


def _provider_changes(endpoint: Endpoint, table: ProviderTable) -> dict[str, object]:
    wire_format = table.wire_format or endpoint.wire_format
    if table.aws is not None and wire_format == MESSAGES and not endpoint.model.startswith("anthropic/"):
        # At Amazon Bedrock that format is Claude's alone.
        wire_format = endpoint.wire_format
    changes: dict[str, object] = {
        "provider_name": table.name,
        "base_url": table.address_in(wire_format),
        "wire_format": wire_format,
        "dialect": table.dialect,
        "key_env": table.key_env or None,
        "region": table.region,
        "data_policy": _data_policy(table.data_policy),
        "deployment": _deployment(endpoint.upstream_model, table),
        "cancellation": table.on_disconnect,
    }
    if table.supported_parameters is not None:
        changes["supported_parameters"] = endpoint.supported_parameters & frozenset(table.supported_parameters)
    return {name: value for name, value in changes.items() if value is not None}


def _deployment(upstream_model: str, table: ProviderTable) -> str | None:
    """Return the account's own name for a model, ``None`` where that is the model's name at the provider."""
    name = table.deployments.get(upstream_model)
    return None if name == upstream_model else name


def _has_own_format(endpoint: Endpoint) -> bool:
    return own_wire_format(endpoint.provider, endpoint.upstream_model) is not None


def _data_policy(table: DataPolicyTable | None) -> DataPolicy | None:
    return None if table is None else DataPolicy(table.trains, table.retains, table.source)


def _discounted(endpoint: Endpoint, tables: PortolanToml) -> Endpoint:
    share = tables.discounts.get(endpoint.id, tables.discounts.get(endpoint.provider))
    tiers = endpoint.tier_prices
    if endpoint.price is not None and tiers:
        # The default tier is billed by its own row.
        tiers = tuple(
            (tier, endpoint.price if tier == (endpoint.service_tier or "default") else p) for tier, p in tiers
        )
    if not share or endpoint.price is None:
        return endpoint if tiers == endpoint.tier_prices else msgspec.structs.replace(endpoint, tier_prices=tiers)
    tiers = tuple((tier, _reduced(price, share)) for tier, price in tiers)
    return msgspec.structs.replace(endpoint, price=_reduced(endpoint.price, share), tier_prices=tiers)


def _reduced(price: Price, share: Decimal) -> Price:
    def less(nano: int | None) -> int | None:
        return None if nano is None else int((nano * (1 - share)).to_integral_value(ROUND_HALF_UP))

    changes = {name: less(getattr(price, name)) for name in ("prompt", "completion", "cache_read", "cache_write")}
    return msgspec.structs.replace(price, **changes)


def _own_endpoint(
    name: str,
    table: EndpointTable,
    providers: Mapping[str, Provider],
    models: Mapping[str, Model],
    tables: PortolanToml,
) -> Endpoint:
    provider = providers[table.provider]
    theirs = tables.providers.get(table.provider, ProviderTable())
    endpoint_id = f"{table.provider}:{table.upstream_model}"
    price = tables.prices.get(endpoint_id) or table.price or theirs.price
    parameters = theirs.supported_parameters if table.supported_parameters is None else table.supported_parameters
    suffix = "" if table.quantization == "unknown" else f"/{table.quantization}"
    task = models[name].task
    own_format = own_wire_format(table.provider, name.rsplit("/", 1)[-1])
    wire_format = table.wire_format or theirs.wire_format or own_format or provider.wire_format
    disabled = "configuration" if table.provider in tables.catalogue.disabled else None
    if disabled is None and not task_is_spoken(task, wire_format):
        disabled = "unsupported_protocol"
    own_parameters = OWN_PARAMETERS if task == "chat" else OWN_TASK_PARAMETERS
    endpoint = Endpoint(
        id=endpoint_id,
        tag=f"{provider.slug}{suffix}",
        provider=table.provider,
        provider_name=provider.name,
        model=name,
        upstream_model=table.upstream_model,
        wire_format=wire_format,
        base_url=provider.base_url,
        key_env=provider.key_env,
        price=price_of_table(price) if price else Price(0, 0),
        context_length=table.context_length or theirs.context_length or models[name].context_length,
        max_completion_tokens=table.max_completion_tokens,
        quantization=table.quantization,
        supported_parameters=own_parameters if parameters is None else frozenset(parameters),
        enabled=disabled is None,
        disabled_reason=disabled,
        region=table.region or theirs.region,
        datacenters=provider.datacenters,
        data_policy=_data_policy(theirs.data_policy) or DataPolicy(),
        dialect=table.dialect or theirs.dialect,
        task=task,
        cancellation=theirs.on_disconnect or (provider.cancellation.policy if provider.cancellation else None),
        deployment=table.deployment or _deployment(table.upstream_model, theirs),
    )
    return _discounted(endpoint, tables)


def _named(name: str, models: Mapping[str, Model], aliases: Mapping[str, str]) -> str:
    return name if name in models else aliases.get(name) or aliases.get(name.lower()) or name


def _discovered_name(slug: str, upstream_model: str, models: Mapping[str, Model]) -> str:
    """Return the model of the catalogue that a provider's own name says, else a model of the provider's own."""
    found = resolve_name(slug, upstream_model)
    if found is not None and found.canonical in models:
        return found.canonical
    return f"{slug}/{upstream_model.rsplit('/', 1)[-1].lower().replace(':', '-').replace(' ', '-')}"
