"""Define the tables of ``portolan.toml``: names, types and limits of every key."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints
from pydantic_core import PydanticKnownError

from data.catalogue.addresses import PLACEHOLDERS
from data.catalogue.geography import is_place
from data.catalogue.names import QUANTIZATIONS
from data.catalogue.pricing import NANO
from data.catalogue.types import CancellationPolicy
from router_service.configuration.google_cloud import GLOBAL, service_account_at, vertex_address
from router_service.core.errors import ApiError
from router_service.providers.formats import format_names
from router_service.upstream.transport import check_head

# More than any provider asks for; what is above it is a slip of the decimal point.
MAX_USD_PER_MILLION = Decimal(100_000)
MAX_TOKENS = 2**31
# A part of an address that cannot be mistaken for another part of it.
ADDRESS_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_VARIABLE = re.compile(r"\$\{\w+\}")


# The publisher of a project's models by the wire format in which they are called.
VERTEX_PUBLISHERS = {"gemini": "google", "anthropic_messages": "anthropic"}


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _place(value: str) -> str:
    if not is_place(value.lower()):
        raise ValueError("must be a country's ISO 3166 code or an area such as eu")
    return value.lower()


def _wire_format(value: str) -> str:
    *others, last = (f"'{name}'" for name in format_names())
    if f"'{value}'" not in (*others, last):
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})
    return value


def _base_url(value: str) -> str:
    plain = _VARIABLE.sub(lambda match: "http://x" if match.start() == 0 else "x", value)
    named = set(re.findall(r"\{(\w*)\}", plain))
    if unknown := sorted(named - PLACEHOLDERS):
        known = ", ".join(f"{{{name}}}" for name in sorted(PLACEHOLDERS))
        raise ValueError(f"must not have {{{unknown[0]}}}; known are {known}, and ${{VARIABLE}} of the environment")
    for name in named:
        plain = plain.replace(f"{{{name}}}", "x")
    try:
        check_head(plain, ())
    except ApiError:
        raise ValueError("must be an address such as http://gpu.example:8000/v1") from None
    if "?" in value or "#" in value or "@" in value:
        raise ValueError("must have no query, fragment or user; write keys as key_env, and a version as api_version")
    return value.rstrip("/").removesuffix("/chat/completions")


def _address_part(value: str) -> str:
    if not ADDRESS_PART.fullmatch(value):
        raise ValueError("must have letters, digits, '.', '_' and '-' alone, since it becomes a part of an address")
    return value


def _key_header(value: str) -> str:
    try:
        check_head("http://localhost", [(value, "x")])
    except ApiError as error:
        raise ValueError(str(error).partition(": ")[2]) from None
    return value.lower()


def _by_name(value: Any) -> Any:
    return {name: name for name in value} if isinstance(value, list | tuple) else value


def _headers(value: dict[str, str]) -> dict[str, str]:
    try:
        check_head("http://localhost", value.items())
    except ApiError as error:
        raise ValueError(str(error).partition(": ")[2]) from None
    if signing := [name for name in value if name.lower() == "content-type"]:
        raise ValueError(f"{signing[0]} is set by the wire format")
    return {name.lower(): text for name, text in value.items()}


def _whole_nano(value: Decimal) -> Decimal:
    if value * NANO != (value * NANO).to_integral_value():
        raise ValueError("has more than nine decimals")
    return value


def _share(value: Decimal) -> Decimal:
    if not 0 <= value <= 1:
        raise ValueError("must be a share from 0 to 1, such as 0.15 for 15 %")
    return value


Usd = Annotated[Decimal, Field(ge=0, le=MAX_USD_PER_MILLION), AfterValidator(_whole_nano)]
Discount = Annotated[Decimal, AfterValidator(_share)]
Place = Annotated[str, AfterValidator(_place)]
Tokens = Annotated[int, Field(gt=0, le=MAX_TOKENS)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
WireFormatName = Annotated[Name, AfterValidator(_wire_format)]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
ModelId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*$", max_length=200)]
AddressPart = Annotated[str, AfterValidator(_address_part)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=10_000)]
Quantization = Literal["unknown", *QUANTIZATIONS]  # type: ignore[valid-type]


class Table(BaseModel):
    """Refuse unknown keys, and never show a value, which may be a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PriceTable(Table):
    """Hold prices in USD per million tokens."""

    prompt: Usd
    completion: Usd
    cache_read: Usd | None = None
    cache_write: Usd | None = None


class DataPolicyTable(Table):
    """State how a provider treats prompts and responses; what is left out is unknown."""

    trains: bool | None = None
    retains: bool | None = None
    source: Name | None = None


class AwsTable(Table):
    """Say for which region of Amazon Web Services requests are signed, and with which access key.

    ``instance_metadata`` allows asking the metadata service of the machine for the keys of its role.
    """

    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}(-[a-z0-9]+){2,4}$", max_length=40)] | None = None
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    access_key_id_env: Name = "AWS_ACCESS_KEY_ID"
    secret_access_key_env: Name = "AWS_SECRET_ACCESS_KEY"
    session_token_env: Name = "AWS_SESSION_TOKEN"
    instance_metadata: bool = False
    metadata_url: Annotated[str, AfterValidator(_base_url)] | None = None

    @property
    def named_region(self) -> str | None:
        """Return the region of the table, else that of the environment."""
        return self.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None

    @property
    def address(self) -> str | None:
        """Return the address of Bedrock in the region."""
        region = self.named_region
        suffix = ".cn" if region and region.startswith("cn-") else ""
        return f"https://bedrock-runtime.{region}.amazonaws.com{suffix}" if region else None


class ProviderTable(Table):
    """Describe a provider of the operator's own, or change one of the catalogue's."""

    name: Name | None = None
    base_url: Annotated[str, AfterValidator(_base_url)] | None = None
    account: AddressPart | None = None
    gateway: AddressPart | None = None
    api_version: AddressPart | None = None
    deployments: Annotated[dict[Name, AddressPart], BeforeValidator(_by_name)] = {}
    project: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.:-]{1,62}$")] | None = None
    location: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{2,40}$")] = GLOBAL
    service_account: Annotated[Any, BeforeValidator(service_account_at)] = None
    aws: AwsTable | None = None
    wire_format: WireFormatName | None = None
    dialect: Name | None = None
    key: Annotated[tuple[Secret, ...], BeforeValidator(_listed)] = ()
    key_env: Annotated[tuple[Name, ...], BeforeValidator(_listed)] = ()
    key_header: Annotated[Name, AfterValidator(_key_header)] | None = None
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = {}
    region: Place | None = None
    data_policy: DataPolicyTable | None = None
    price: PriceTable | None = None
    context_length: Tokens | None = None
    supported_parameters: tuple[Name, ...] | None = None
    discover_models: bool | None = None
    on_disconnect: CancellationPolicy | None = None

    @property
    def address(self) -> str | None:
        """Return the address that the table gives, be it that of a project of Google Cloud or of a region of AWS."""
        return self.address_in("gemini")

    def address_in(self, wire_format: str) -> str | None:
        """Return the address of the models that are called in ``wire_format``, which a project has one for each."""
        if self.base_url or self.project is None:
            return self.base_url or (self.aws.address if self.aws is not None else None)
        return vertex_address(self.project, self.location, VERTEX_PUBLISHERS.get(wire_format, "google"))


class ModelTable(Table):
    """Describe a model of the operator's own."""

    name: Name | None = None
    description: Annotated[str, StringConstraints(max_length=10_000)] = ""
    context_length: Tokens | None = None
    input_modalities: tuple[Literal["text", "image", "file", "audio", "video"], ...] = ("text",)
    output_modalities: tuple[Literal["text", "image", "audio", "embeddings", "rerank"], ...] = ("text",)
    open_weights: bool = False


class EndpointTable(Table):
    """Join a model and a provider."""

    provider: Name
    model: Name
    upstream_model: Name
    deployment: AddressPart | None = None
    price: PriceTable | None = None
    context_length: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    quantization: Quantization = "unknown"
    supported_parameters: tuple[Name, ...] | None = None
    region: Place | None = None
    wire_format: WireFormatName | None = None
    dialect: Name | None = None


class CatalogueTable(Table):
    """Say which providers of the catalogue are used: the ``enabled`` ones alone if any are named, none ``disabled``."""

    enabled: tuple[Name, ...] | None = None
    disabled: tuple[Name, ...] = ()


class PortolanToml(Table):
    """Hold the file. ``settings`` are checked by the settings themselves."""

    settings: dict[str, Any] = {}
    catalogue: CatalogueTable = CatalogueTable()
    providers: dict[Slug, ProviderTable] = {}
    models: dict[ModelId, ModelTable] = {}
    endpoints: tuple[EndpointTable, ...] = ()
    prices: dict[Name, PriceTable] = {}
    discounts: dict[Name, Discount] = {}
    aliases: dict[Name, Name] = {}
