"""The nouns of the catalogue: providers, models, and the endpoints that join them."""

from __future__ import annotations

from typing import Literal

import msgspec

WireFormat = Literal["openai_chat", "anthropic_messages"]
# Of a provider that says nothing: the reference's sticky routing expires after 10 minutes.
CACHE_LIFETIME_S = 600.0


class Price(msgspec.Struct, frozen=True):
    """List price of an endpoint. Every figure is integer nano-USD per **million** tokens.

    ``cost_nano = tokens * figure // 1_000_000``, rounded once per part. ``None`` means that the
    source gives no figure of its own: cached tokens are then billed at ``prompt``.
    """

    prompt: int
    completion: int
    cache_read: int | None = None
    cache_write: int | None = None


class Provider(msgspec.Struct, frozen=True):
    """A company that answers requests. ``key_env`` lists environment variables that may hold its key."""

    slug: str
    name: str
    wire_format: WireFormat
    base_url: str | None
    key_env: tuple[str, ...]
    doc_url: str | None = None
    headquarters: str | None = None
    datacenters: tuple[str, ...] = ()
    aggregator: bool = False
    supports_cancellation: bool = True
    privacy_policy_url: str | None = None
    terms_of_service_url: str | None = None
    status_page_url: str | None = None


class DataPolicy(msgspec.Struct, frozen=True):
    """What a provider does with prompts and answers. ``None`` is unknown, which routing reads as ``True``."""

    trains: bool | None = None
    retains: bool | None = None
    source: str | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """One model at one provider. ``id`` is ``provider_slug:upstream_model``, unique in a catalogue.

    ``price`` is ``None`` when the source gives none or a subscription's 0: such an endpoint is not
    free and is ``enabled=False`` with ``disabled_reason``. ``free`` marks real zero prices.
    ``tag`` is what ``provider.order/only/ignore`` match (``deepinfra``, ``deepinfra/turbo``).
    ``region``, a country or an area in lower case, is ``None`` where the place of processing is not known;
    ``datacenters`` are the countries of all places where that may be, empty where not known. ``distillable`` is true
    only where the model's author is known to allow training on its answers. ``cache_lifetime_s`` is how long a prompt
    stays in its cache after the last use, seconds. ``moderated``: a filter of the provider's may block prompts or
    answers; ``None`` where that is not known.
    """

    id: str
    tag: str
    provider: str
    provider_name: str
    model: str
    upstream_model: str
    wire_format: WireFormat
    base_url: str | None
    key_env: tuple[str, ...]
    price: Price | None
    context_length: int
    max_completion_tokens: int | None = None
    quantization: str = "unknown"
    supported_parameters: frozenset[str] = frozenset()
    enabled: bool = True
    disabled_reason: str | None = None
    free: bool = False
    region: str | None = None
    datacenters: tuple[str, ...] = ()
    data_policy: DataPolicy = DataPolicy()
    distillable: bool = False
    cache_lifetime_s: float = CACHE_LIFETIME_S
    moderated: bool | None = None


class Model(msgspec.Struct, frozen=True):
    """A canonical model, ``id`` = ``author/slug`` as the reference writes it. ``created`` is Unix seconds."""

    id: str
    author: str
    name: str
    created: int
    context_length: int
    input_modalities: tuple[str, ...]
    output_modalities: tuple[str, ...]
    supported_parameters: tuple[str, ...] = ()
    tokenizer: str = "Other"
    description: str = ""
    knowledge_cutoff: str | None = None
    hugging_face_id: str | None = None
    open_weights: bool = False


class Catalogue(msgspec.Struct, frozen=True):
    """A snapshot. ``version`` is a content hash; ``endpoints`` maps a canonical model id to its offers.

    ``unplaced`` holds ``(provider:model, reason)`` of the rows of the source that became no offer.
    """

    version: str
    models: dict[str, Model]
    providers: dict[str, Provider]
    endpoints: dict[str, tuple[Endpoint, ...]]
    aliases: dict[str, str]
    unplaced: tuple[tuple[str, str], ...] = ()

    def resolve(self, name: str) -> str | None:
        """Canonical id of ``name`` (canonical id, dated id or other known alias), or ``None``."""
        if name in self.models:
            return name
        return self.aliases.get(name) or self.aliases.get(name.lower())
