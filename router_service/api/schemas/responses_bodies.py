"""Describe the bodies of the responses API, in the words of the reference's OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from router_service.api.schemas.described import ResponseSchema
from router_service.api.schemas.request_fields import Passed, SharedRequestFields
from router_service.core.wire.chat import ChatCacheControl, Positive
from router_service.core.wire.responses import ReasoningConfig, ResponseUsage

Unkept = Annotated[Any, Meta(description="Refused unless it is null: this router keeps no responses")]


class TextFormatSchema(msgspec.Struct, kw_only=True):
    """Describe the form of the text: text, json_object or json_schema."""

    type: str
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class TextConfigSchema(msgspec.Struct, kw_only=True):
    """Describe the text that is asked for."""

    format: TextFormatSchema | None = None
    verbosity: str | None = None


class ResponsesRequestBody(SharedRequestFields, kw_only=True):
    """Describe a request for a response. One of ``model`` and ``models`` is required."""

    input: Annotated[str | list[dict[str, Any]], Meta(description="A text, or items in their order")]
    model: Annotated[str | None, Meta(examples=["openai/gpt-5-mini"])] = None
    instructions: str | None = None
    stream_options: dict[str, Any] | None = None
    max_output_tokens: Positive | None = None
    max_tool_calls: Positive | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfigSchema | None = None
    reasoning: ReasoningConfig | None = None
    include: list[str] | None = None
    truncation: str | None = None
    modalities: list[str] | None = None
    cache_control: ChatCacheControl | None = None
    metadata: Annotated[dict[str, str] | None, Meta(description="At most 16 pairs, which the response repeats")] = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    store: Annotated[bool | None, Meta(description="Accepted; the response says false")] = None
    background: Annotated[bool | None, Meta(description="True is refused: this router keeps no responses")] = None
    previous_response_id: Unkept = None
    conversation: Unkept = None
    prompt: Unkept = None
    n: Annotated[Literal[1] | None, Meta(description="There is one answer")] = None
    debug: Passed = None
    image_config: Passed = None
    plugins: Passed = None
    prompt_cache_options: Passed = None
    stop_server_tools_when: Passed = None
    client_metadata: Annotated[dict[str, Any] | None, Meta(description="Accepted; not sent to providers")] = None


class ResponseErrorField(ResponseSchema):
    """Describe why a response failed, by a code of the reference."""

    code: str
    message: str


class IncompleteDetailsBody(ResponseSchema):
    """Describe why a response is incomplete."""

    reason: Literal["max_output_tokens", "content_filter"]


class ResponseBody(msgspec.Struct, kw_only=True):
    """Describe a response. Fields of the request are repeated, with OpenAI's defaults where they were not sent."""

    id: str
    object: Literal["response"]
    created_at: Annotated[int, Meta(description="Unix seconds")]
    completed_at: int | None
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    error: ResponseErrorField | None
    incomplete_details: IncompleteDetailsBody | None
    model: str
    output: list[dict[str, Any]]
    usage: ResponseUsage
    service_tier: str
    store: Literal[False]
    background: Literal[False] | None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    previous_response_id: None
    prompt_cache_key: str | None
    reasoning: dict[str, Any]
    safety_identifier: str | None
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float
    truncation: str
    user: str | None
    frequency_penalty: float
    presence_penalty: float
    error_type: str | UnsetType = UNSET
    openrouter_metadata: dict[str, Any] | UnsetType = UNSET


class ResponseEventBody(msgspec.Struct, kw_only=True):
    """Describe the data of one event; ``type`` decides which further fields it has."""

    type: str
    sequence_number: int


class ResponsesErrorDataBody(ResponseSchema):
    """Describe an error; ``param`` is the path of the field at fault."""

    code: int
    message: str
    type: str
    param: str | None
    metadata: dict[str, Any]
    availability: dict[str, Any] | UnsetType = UNSET


class ResponsesErrorBody(msgspec.Struct, kw_only=True):
    """Describe an error response of the responses API."""

    error: ResponsesErrorDataBody
    error_type: str
    id: str
    status: Literal["failed"]
    openrouter_metadata: dict[str, Any] | UnsetType = UNSET
