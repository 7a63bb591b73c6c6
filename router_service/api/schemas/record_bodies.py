"""Describe the bodies of the routes about generations, keys and the router itself."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from router_service.api.schemas.catalogue_bodies import PricingBody
from router_service.api.schemas.described import ResponseSchema

Usd = Annotated[float, Meta(description="USD")]
Milliseconds = Annotated[float | None, Meta(description="Milliseconds; null when not measured")]
Tokens = Annotated[int | None, Meta(description="Tokens; null when not known")]
# The reference has these; this router never knows them.
Never = Annotated[None, Meta(description="Always null")]


class ProviderResponseBody(ResponseSchema):
    """Describe one attempt at a provider."""

    endpoint_id: str
    provider_name: str
    model_permaslug: str
    status: Annotated[int | None, Meta(description="HTTP status; null when no response came")]
    latency: Milliseconds
    is_byok: bool
    routed_service_tier: Annotated[str, Meta(description="Tier that was routed to; absent for none")] | UnsetType = (
        UNSET
    )


class CancellationBody(ResponseSchema):
    """Describe a cancelled response: what its provider does when its caller disconnects, and what had come by then."""

    policy: Literal["stops", "bills_to_end", "unknown"]
    received_tokens: int
    cost_estimated: Annotated[bool, Meta(description="Tokens and costs are an estimate by the policy")]


class GenerationMetadataBody(ResponseSchema, kw_only=True):
    """Describe a generation."""

    id: str
    upstream_id: str | None
    request_id: str | None
    created_at: Annotated[str, Meta(description="ISO 8601")]
    model: str
    provider_name: str | None
    router: Never
    origin: str
    app_id: Never
    http_referer: str | None
    user_agent: str | None
    external_user: Never
    session_id: str | None
    preset_id: Never
    workspace_id: Never
    data_region: str
    api_type: str
    streamed: bool
    cancelled: bool
    cancellation: CancellationBody | UnsetType = UNSET
    finish_reason: str | None
    native_finish_reason: str | None
    tokens_prompt: Tokens
    tokens_completion: Tokens
    native_tokens_prompt: Tokens
    native_tokens_completion: Tokens
    native_tokens_reasoning: Tokens
    native_tokens_cached: Tokens
    native_tokens_completion_images: Never
    num_media_prompt: Never
    num_media_completion: Never
    num_input_audio_prompt: Never
    num_search_results: Never
    num_fetches: Never
    web_search_engine: Never
    latency: Milliseconds
    generation_time: Milliseconds
    moderation_latency: Never
    usage: Usd
    total_cost: Usd
    cache_discount: Never
    upstream_inference_cost: Usd
    is_byok: bool
    service_tier: str | None
    provider_responses: list[ProviderResponseBody]


class GenerationBody(ResponseSchema):
    """Describe the metadata of a generation under ``data``."""

    data: GenerationMetadataBody


class CandidateBody(ResponseSchema):
    """Describe an endpoint that could have served."""

    endpoint: str
    provider: str
    probability: float | None
    score: float | None


class ExclusionBody(ResponseSchema):
    """Describe an endpoint that could not serve, and why."""

    endpoint: str
    provider: str
    reason: str
    excluded_by: str | None
    sentence: str


class ArmBody(ResponseSchema):
    """Describe a policy and the share of the draws that it decides."""

    policy: str
    version: str | None
    weight: float


class DecisionBody(ResponseSchema):
    """Describe how the first endpoint was chosen."""

    policy: str | None
    policy_version: str | None
    draw: float
    propensity: float | None
    arms: list[ArmBody]
    catalogue_version: str | None
    health_epoch: int | None
    score: str


class ExplainedAttemptBody(ResponseSchema):
    """Describe an attempt with its reason."""

    endpoint: str
    provider: str
    model: str
    reason: str
    status: int | None
    error_type: str | None
    started_ms: float
    ttft_ms: Milliseconds
    duration_ms: Milliseconds


class ReplayBody(ResponseSchema):
    """Describe what the logged draw selects when it is looked up again."""

    endpoint: str | None
    policy: str | None
    agrees: bool | None
    sentence: str


class ExplanationDataBody(ResponseSchema):
    """Describe why a generation went where it went."""

    id: str
    created_at: str
    requested_model: str
    model: str | None
    endpoint: str | None
    client_region: str | None
    data_region: str | None
    stream: bool
    status: int
    error_type: str | None
    finish_reason: str | None
    cancelled: bool
    duration_ms: float
    decision: DecisionBody | None
    candidates: list[CandidateBody]
    excluded: list[ExclusionBody]
    attempts: list[ExplainedAttemptBody]
    hedge_cost: Annotated[float | None, Meta(description="USD")]
    replay: ReplayBody | None
    summary: str


class ExplanationBody(ResponseSchema):
    """Describe the explanation of a generation under ``data``."""

    data: ExplanationDataBody


class FreeRequestsBody(ResponseSchema):
    """Describe the requests to free models; there is no limit."""

    used: int
    limit: int
    remaining: int


class RateLimitBody(ResponseSchema):
    """Describe the rate limit of old clients, which there is none of."""

    requests: int
    interval: str
    note: str


class KeyDataBody(ResponseSchema):
    """Describe a key. Weeks begin on Monday; days, weeks and months are UTC."""

    label: str
    limit: Never
    limit_remaining: Never
    limit_reset: Never
    usage: Usd
    usage_daily: Usd
    usage_weekly: Usd
    usage_monthly: Usd
    byok_usage: Usd
    byok_usage_daily: Usd
    byok_usage_weekly: Usd
    byok_usage_monthly: Usd
    include_byok_in_limit: bool
    is_free_tier: bool
    is_management_key: bool
    is_provisioning_key: bool
    creator_user_id: Never
    organization_id: Never
    workspace_id: Never
    allowed_data_regions: list[str]
    budgets: list[Any]
    effective_budget: Never
    free_model_daily_requests: FreeRequestsBody
    expires_at: Never
    rate_limit: RateLimitBody
    policy: Annotated[dict[str, Any], Meta(description="Rules and defaults of the key, as `portolan keys policy` sets")]


class KeyBody(ResponseSchema):
    """Describe the caller's key under ``data``."""

    data: KeyDataBody


class AnalyticsBody(ResponseSchema):
    """Describe an answer of the analytics API."""

    data: Annotated[Any, Meta(description="Rows, or an object that has them under its own data")]
    meta: Annotated[Any, Meta(description="The days of a dataset, and the time of the answer")] = None


class LogStateBody(ResponseSchema):
    """Describe the log of all workers, in records."""

    written: int
    dropped: int
    waiting: int
    unlogged: Annotated[int, Meta(description="Requests that were served while the log could not be written")]
    required: Annotated[bool, Meta(description="Whether requests are refused while the log cannot be written")]


class KeyStateBody(ResponseSchema):
    known: int
    stale_reads: Annotated[int, Meta(description="Reads of the keys that failed; the last copy stays in use")]


class WorkerStateBody(ResponseSchema):
    """Describe one worker that runs."""

    worker: str
    status: Annotated[str, Meta(description="ok, log_unwritable, or worker_silent: it has reported nothing for 15 s")]
    catalogue_version: str
    policy_version: str | None


class HealthBody(ResponseSchema):
    """Describe the state of all workers of one server."""

    status: Annotated[str, Meta(description="The worst of the workers': ok, or another with status 503")]
    models: int
    endpoints: int
    catalogue_version: str
    policy_version: str | None
    policy_failures: int
    outages: list[str]
    log: LogStateBody
    keys: KeyStateBody
    workers: list[WorkerStateBody]


class PreviewedEndpointBody(ResponseSchema):
    """Describe an endpoint of a plan with its list prices."""

    endpoint: str
    tag: str
    provider: str
    model: str
    probability: float | None
    score: float | None
    pricing: PricingBody
    context_length: int
    max_completion_tokens: int | None
    quantization: str | None


class PlanBody(ResponseSchema):
    """Describe the plan for one model, or for several as one pool."""

    requested_models: list[str]
    model: str | None
    policies: list[ArmBody]
    score: str | None
    after_failure: str | None
    catalogue_version: str
    health_epoch: int | None
    endpoints: list[PreviewedEndpointBody]
    excluded: list[ExclusionBody]
    refusal: Annotated[dict[str, Any] | None, Meta(description="The error that a request would get")]


class FirstPlanBody(PlanBody):
    """Describe the plan that is tried first, and those of the models after it."""

    next_models: list[PlanBody]


class PreviewBody(ResponseSchema):
    """Describe the plans for a request under ``data``."""

    data: FirstPlanBody


class ErrorBody(ResponseSchema):
    """Describe an error: ``message`` says what to change, ``metadata.error_type`` is a code for programs."""

    code: Annotated[int, Meta(description="HTTP status")]
    message: str
    metadata: dict[str, Any]
    availability: Annotated[dict[str, Any], Meta(description="Why no endpoint was eligible")] | UnsetType = UNSET


class ErrorEnvelopeBody(ResponseSchema):
    """Describe an error response."""

    error: ErrorBody
    openrouter_metadata: dict[str, Any] | UnsetType = UNSET
