"""Describe the bodies of chat completions. Messages and bounds are those of the wire structs that are read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from router_service.api.schemas.described import ResponseSchema
from router_service.api.schemas.record_bodies import ErrorBody, Usd
from router_service.api.schemas.request_fields import Passed, SharedRequestFields
from router_service.core.wire.chat import (
    AnyTurn,
    ChatCacheControl,
    Effort,
    Logprobs,
    Positive,
    ReasoningDetail,
    ReasoningObject,
    ToolChoiceObject,
)
from router_service.planning.service_tiers import ACCEPTED_SPEEDS


class FunctionSchema(msgspec.Struct, kw_only=True):
    """Describe a function; ``parameters`` is a JSON schema."""

    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    cache_control: ChatCacheControl | None = None


class CustomToolSchema(msgspec.Struct, kw_only=True):
    """Describe a tool that takes free text."""

    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    format: dict[str, Any] | None = None


class ToolSchema(msgspec.Struct, kw_only=True):
    """Describe a tool: ``function``, ``custom``, or a type that the provider runs itself."""

    type: Annotated[str, Meta(min_length=1)] = "function"
    function: FunctionSchema | None = None
    custom: CustomToolSchema | None = None
    cache_control: ChatCacheControl | None = None


class JsonSchemaFormat(msgspec.Struct, kw_only=True):
    """Describe the schema that an answer shall have."""

    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseFormatSchema(msgspec.Struct, kw_only=True):
    """Describe the form of an answer: text, json_object, json_schema, grammar or python."""

    type: str
    json_schema: JsonSchemaFormat | None = None


class StreamOptionsSchema(msgspec.Struct, kw_only=True):
    """Describe options of a stream. Usage is always sent."""

    include_usage: bool | None = None


class ChatRequestBody(SharedRequestFields, kw_only=True):
    """Describe a chat completion request. One of ``model`` and ``models`` is required."""

    messages: Annotated[list[AnyTurn], Meta(min_length=1)]
    model: Annotated[str | None, Meta(examples=["openai/gpt-4o-mini"])] = None
    stream_options: StreamOptionsSchema | None = None
    max_completion_tokens: Positive | None = None
    max_tokens: Positive | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    tools: list[ToolSchema] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoiceObject | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[dict[str, Any]] | None, Meta(description="Older form of `tools`")] = None
    function_call: Annotated[str | dict[str, Any] | None, Meta(description="Older form of `tool_choice`")] = None
    response_format: ResponseFormatSchema | None = None
    reasoning: ReasoningObject | None = None
    reasoning_effort: Effort | None = None
    include_reasoning: bool | None = None
    verbosity: str | None = None
    modalities: list[str] | None = None
    speed: Annotated[str | None, Meta(extra_json_schema={"enum": [*ACCEPTED_SPEEDS, None]})] = None
    cache_control: ChatCacheControl | None = None
    metadata: dict[str, str] | None = None
    debug: Passed = None
    image_config: Passed = None
    plugins: Passed = None
    prediction: Passed = None
    prompt_cache_key: Passed = None
    prompt_cache_options: Passed = None
    stop_server_tools_when: Passed = None


class PreviewRequestBody(ChatRequestBody, kw_only=True):
    """Describe a chat completion request in which ``messages`` may be left out."""

    messages: list[AnyTurn] = []


class PromptDetailsBody(ResponseSchema):
    """Describe prompt tokens by kind."""

    cached_tokens: int
    cache_write_tokens: int
    audio_tokens: int
    video_tokens: int


class CompletionDetailsBody(ResponseSchema):
    """Describe completion tokens by kind."""

    reasoning_tokens: int
    audio_tokens: int
    image_tokens: int
    accepted_prediction_tokens: int | None
    rejected_prediction_tokens: int | None


class CostDetailsBody(ResponseSchema):
    """Describe the cost by kind."""

    upstream_inference_cost: Usd
    upstream_inference_prompt_cost: Usd
    upstream_inference_completions_cost: Usd


class ChatUsageBody(ResponseSchema):
    """Describe tokens and cost."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetailsBody
    completion_tokens_details: CompletionDetailsBody
    cost: Usd
    is_byok: bool
    cost_details: CostDetailsBody


class ChatMessageBody(msgspec.Struct, kw_only=True):
    """Describe a message of a model. Fields that the message does not need may be absent."""

    role: Literal["assistant"]
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | UnsetType = UNSET
    tool_calls: list[dict[str, Any]] | UnsetType = UNSET
    annotations: list[dict[str, Any]] | UnsetType = UNSET
    images: list[dict[str, Any]] | UnsetType = UNSET
    audio: dict[str, Any] | UnsetType = UNSET


class ChatChoiceBody(ResponseSchema):
    """Describe one choice."""

    index: int
    message: ChatMessageBody
    logprobs: Logprobs | None
    finish_reason: str | None
    native_finish_reason: str | None
    error: ErrorBody | UnsetType = UNSET


class ChatCompletionBody(ResponseSchema):
    """Describe a chat completion."""

    id: str
    object: Literal["chat.completion"]
    created: Annotated[int, Meta(description="Unix seconds")]
    model: str
    provider: str | None
    system_fingerprint: str | None
    service_tier: str | None
    choices: list[ChatChoiceBody]
    usage: ChatUsageBody
    openrouter_metadata: dict[str, Any] | UnsetType = UNSET


class ChatDeltaBody(msgspec.Struct, kw_only=True):
    """Describe what a chunk adds to a message."""

    role: str | UnsetType = UNSET
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | UnsetType = UNSET
    tool_calls: list[dict[str, Any]] | UnsetType = UNSET
    annotations: list[dict[str, Any]] | UnsetType = UNSET
    images: list[dict[str, Any]] | UnsetType = UNSET
    audio: dict[str, Any] | UnsetType = UNSET


class ChunkChoiceBody(ResponseSchema):
    """Describe one choice of a chunk."""

    index: int
    delta: ChatDeltaBody
    finish_reason: str | None
    native_finish_reason: str | None
    logprobs: Logprobs | UnsetType | None = UNSET


class ChatChunkBody(ResponseSchema, kw_only=True):
    """Describe the data of one event of a stream. The last chunk has ``usage``, or ``error`` where it broke."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    provider: str | None
    system_fingerprint: str | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    choices: list[ChunkChoiceBody]
    usage: ChatUsageBody | UnsetType = UNSET
    error: ErrorBody | UnsetType = UNSET
    openrouter_metadata: dict[str, Any] | UnsetType = UNSET
