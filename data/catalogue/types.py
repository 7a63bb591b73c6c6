"""Define the types of the catalogue: providers, models, and the endpoints that join them."""

from __future__ import annotations

from datetime import date
from typing import Literal

import msgspec

from data.catalogue.price import Price as Price

# The name of a provider's protocol: one of the router's own, or one that an installed package adds.
WireFormat = str
# What an endpoint is asked for. Each task but chat has client APIs and translators of its own.
Task = Literal["chat", "embeddings", "rerank", "images"]
# The modality of the output by which the models of a task are told apart.
OUTPUT_OF: dict[Task, str] = {"embeddings": "embeddings", "rerank": "rerank", "images": "image"}
# Seconds for a provider that documents nothing: the reference's sticky routing expires after 10 minutes.
CACHE_LIFETIME_S = 600.0
# A provider stops writing and billing when its caller disconnects, or works and bills to the end.
CancellationPolicy = Literal["stops", "bills_to_end"]
# The tier that a provider serves when a request names none.
DEFAULT_TIER = "default"


class CancellationFact(msgspec.Struct, frozen=True):
    """State what a provider does when its caller disconnects, its source and the date when that was read."""

    policy: CancellationPolicy
    source: str
    read: date


class AddressTemplate(msgspec.Struct, frozen=True):
    """Hold an address in which names in braces stand for values of the operator's configuration.

    ``models`` is a pattern of the names of the models that are served there, in ``wire_format`` alone if there is one.
    """

    url: str
    models: str = ""
    wire_format: WireFormat | None = None


class Provider(msgspec.Struct, frozen=True):
    """Describe a company that serves models. ``key_env`` lists environment variables that may hold its API key.

    ``key_header`` is the header for the key, where that is not the wire format's. A provider whose addresses contain an
    account has ``addresses``, and in ``address_variables`` the values that they need, with their variables.
    """

    slug: str
    name: str
    wire_format: WireFormat
    base_url: str | None
    key_env: tuple[str, ...]
    doc_url: str | None = None
    headquarters: str | None = None
    datacenters: tuple[str, ...] = ()
    aggregator: bool = False
    cancellation: CancellationFact | None = None
    privacy_policy_url: str | None = None
    terms_of_service_url: str | None = None
    status_page_url: str | None = None
    key_header: str | None = None
    addresses: tuple[AddressTemplate, ...] = ()
    address_variables: tuple[tuple[str, str], ...] = ()


class DataPolicy(msgspec.Struct, frozen=True):
    """State how a provider treats prompts and responses. ``None`` is unknown, which routing reads as ``True``."""

    trains: bool | None = None
    retains: bool | None = None
    source: str | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """Describe one model at one provider. ``id`` is ``provider_slug:upstream_model``, unique in a catalogue, followed
    by ``@`` and the ``service_tier`` where that is not the provider's default tier.

    ``price`` is ``None`` when the source gives none or a subscription's 0: such an endpoint is not
    free and is ``enabled=False`` with ``disabled_reason``. ``free`` marks real zero prices.
    ``tag`` is what ``provider.order/only/ignore`` match (``deepinfra``, ``deepinfra/turbo``).
    ``region``, a country or an area in lower case, is ``None`` where the place of processing is not known;
    ``datacenters`` are the countries of all places where that may be, empty where not known. ``distillable`` is true
    only where the model's author is known to allow training on its outputs. ``cache_lifetime_s`` is the time for which
    the provider caches a prompt after its last use, seconds. ``moderated`` is true where the provider's filter may
    block prompts or responses and ``None`` where that is not known. ``tier_prices`` has the price of every tier,
    including the default one, where the provider sells more than one: the tier that was served is billed. ``dialect``
    names the dialect of the wire format that the endpoint speaks, where that is not the one of its provider. ``task``
    is what it is asked for; no other task is ever routed to it. ``cancellation`` is what
    happens when its caller disconnects, ``None`` where that is not known. ``deployment`` is the name that the
    operator's account has for the model, where that is another one; requests name it. In the packaged catalogue
    ``base_url`` may contain names in braces, see ``AddressTemplate``; one that is called has none.
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
    service_tier: str | None = None
    tier_prices: tuple[tuple[str, Price], ...] = ()
    dialect: str | None = None
    task: Task = "chat"
    deployment: str | None = None
    cancellation: CancellationPolicy | None = None

    @property
    def sent_model(self) -> str:
        """Return the name of the model in requests."""
        return self.deployment or self.upstream_model

    def price_served(self, tier: str | None) -> Price:
        """Return the price to bill when the provider reports that it served ``tier``, or reports none (``None``).

        The endpoint must have a price: without one it is never eligible.
        """
        assert self.price is not None
        if tier is None or not self.tier_prices:
            return self.price
        return next((price for name, price in self.tier_prices if name == tier), self.price)


class Model(msgspec.Struct, frozen=True):
    """Describe a canonical model. ``id`` is ``author/slug`` as the reference writes it, ``created`` Unix seconds.

    ``dimensions`` is the length of the vectors of an embeddings model, where it is known.
    """

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
    dimensions: int | None = None

    @property
    def task(self) -> Task:
        """Return what the model is asked for, which its outputs tell. A model that writes text is asked in a chat."""
        outputs = self.output_modalities
        if "text" in outputs:
            return "chat"
        return next((task for task, output in OUTPUT_OF.items() if output in outputs), "chat")


class Catalogue(msgspec.Struct, frozen=True):
    """Hold a snapshot. ``version`` is a content hash; ``endpoints`` maps a canonical model id to its endpoints.

    ``unplaced`` holds ``(provider:model, reason)`` for each row of the source that is not an offer.
    """

    version: str
    models: dict[str, Model]
    providers: dict[str, Provider]
    endpoints: dict[str, tuple[Endpoint, ...]]
    aliases: dict[str, str]
    unplaced: tuple[tuple[str, str], ...] = ()

    def resolve(self, name: str) -> str | None:
        """Return the canonical id of ``name`` (canonical id, dated id or other known alias), or ``None``."""
        if name in self.models:
            return name
        return self.aliases.get(name) or self.aliases.get(name.lower())
