"""Describe the bodies of the catalogue's routes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from router_service.api.schemas.described import ResponseSchema

UsdPerToken = Annotated[str, Meta(description="USD per token, a decimal number as text")]
UsdPerTokenHour = Annotated[str, Meta(description="USD per token and hour, a decimal number as text")]
UsdPerUnit = Annotated[str, Meta(description="USD per request or search, a decimal number as text")]
Percent = Annotated[float | None, Meta(description="Percentage of requests that succeeded; null for too few")]


class ArchitectureBody(ResponseSchema):
    """Describe what a model takes and returns."""

    modality: str
    input_modalities: list[str]
    output_modalities: list[str]
    tokenizer: str
    instruct_type: str | None


class MeterPricesBody(ResponseSchema):
    """Describe prices of meters; one without a price of its own is absent."""

    input_cache_read: UsdPerToken | UnsetType = UNSET
    input_cache_write: UsdPerToken | UnsetType = UNSET
    input_cache_write_1h: UsdPerToken | UnsetType = UNSET
    internal_reasoning: UsdPerToken | UnsetType = UNSET
    audio: UsdPerToken | UnsetType = UNSET
    audio_output: UsdPerToken | UnsetType = UNSET
    image_token: UsdPerToken | UnsetType = UNSET
    image_output: UsdPerToken | UnsetType = UNSET
    cache_storage: UsdPerTokenHour | UnsetType = UNSET
    request: UsdPerUnit | UnsetType = UNSET
    web_search: UsdPerUnit | UnsetType = UNSET


class PriceOverrideBody(MeterPricesBody):
    """Describe prices that hold above a prompt's length, or within a daily window in UTC (``1630`` is 16:30)."""

    min_prompt_tokens: int | UnsetType = UNSET
    utc_start: int | UnsetType = UNSET
    utc_end: int | UnsetType = UNSET
    utc_weekdays: list[int] | UnsetType = UNSET
    prompt: UsdPerToken | UnsetType = UNSET
    completion: UsdPerToken | UnsetType = UNSET


class PricingBody(MeterPricesBody, kw_only=True):
    """Describe list prices: those of short prompts outside of every window of time, and in ``overrides`` all others."""

    prompt: UsdPerToken
    completion: UsdPerToken
    overrides: list[PriceOverrideBody] | UnsetType = UNSET


class TopProviderBody(ResponseSchema):
    """Describe the cheapest endpoint of the default tier. Limits are in tokens."""

    context_length: int | None
    max_completion_tokens: int | None
    is_moderated: bool


class ModelLinksBody(ResponseSchema):
    """Describe the path of a model's endpoints."""

    details: str


class ModelBody(ResponseSchema):
    """Describe a model."""

    id: str
    canonical_slug: str
    name: str
    created: Annotated[int, Meta(description="Unix seconds")]
    description: str
    context_length: Annotated[int | None, Meta(description="Tokens")]
    hugging_face_id: str | None
    knowledge_cutoff: str | None
    architecture: ArchitectureBody
    pricing: PricingBody
    top_provider: TopProviderBody
    per_request_limits: None
    supported_parameters: list[str]
    default_parameters: None
    supported_voices: None
    links: ModelLinksBody


class PageLinksBody(ResponseSchema):
    """Describe the path of the next page, null after the last one."""

    next: str | None


class ModelListBody(ResponseSchema):
    """Describe a list of models; ``total_count`` counts those of all pages."""

    data: list[ModelBody]
    total_count: int
    links: PageLinksBody


class CountBody(ResponseSchema):
    """Describe a number of models."""

    count: int


class ModelCountBody(ResponseSchema):
    """Describe the number of models that pass the filters."""

    data: CountBody


class OneModelBody(ResponseSchema):
    """Describe one model under ``data``."""

    data: ModelBody


class RetrievedModelBody(OneModelBody):
    """Describe one model under ``data``, and beside it in the four fields of OpenAI's model object."""

    id: str
    object: Literal["model"]
    created: Annotated[int, Meta(description="Unix seconds")]
    owned_by: Annotated[str, Meta(description="The author")]


class PercentilesBody(ResponseSchema):
    """Describe percentiles: milliseconds of latency, or tokens a second, of which 90 % reached ``p90``."""

    p50: float
    p75: float
    p90: float
    p99: float


class ToolChoiceSupportBody(ResponseSchema):
    """Describe which values of ``tool_choice`` an endpoint takes."""

    none: bool
    auto: bool
    required: bool
    function: bool


class EndpointBody(ResponseSchema):
    """Describe one model at one provider. Latency and throughput are null without a key."""

    name: str
    model_id: str
    model_name: str
    provider_name: str
    tag: Annotated[str, Meta(description="What `provider.order`, `only` and `ignore` match")]
    context_length: int
    max_prompt_tokens: int | None
    max_completion_tokens: int | None
    pricing: PricingBody
    quantization: str | None
    is_moderated: bool | None
    region: str | None
    datacenters: list[str] | None
    supported_parameters: list[str]
    supports_implicit_caching: bool
    supports_voice_cloning: bool
    supports_diarization: bool
    supports_tool_choice: ToolChoiceSupportBody
    native_tools: dict[str, Any]
    service_tier: str | None
    status: Annotated[int, Meta(description="0 is normal; negative numbers are outages and limits")]
    uptime_last_5m: Percent
    uptime_last_30m: Percent
    uptime_last_1d: Percent
    latency_last_30m: PercentilesBody | None
    throughput_last_30m: PercentilesBody | None


class ModelEndpointsBody(ResponseSchema):
    """Describe a model with its endpoints."""

    id: str
    name: str
    created: int
    description: str
    architecture: ArchitectureBody
    endpoints: list[EndpointBody]


class OneModelEndpointsBody(ResponseSchema):
    """Describe the endpoints of one model under ``data``."""

    data: ModelEndpointsBody


class EndpointListBody(ResponseSchema):
    """Describe a list of endpoints."""

    data: list[EndpointBody]


class ProviderBody(ResponseSchema):
    """Describe a provider; countries are ISO 3166 codes."""

    name: str
    slug: str
    privacy_policy_url: str | None
    terms_of_service_url: str | None
    status_page_url: str | None
    headquarters: str | None
    datacenters: list[str] | None


class ProviderListBody(ResponseSchema):
    """Describe the providers that serve a model here."""

    data: list[ProviderBody]
