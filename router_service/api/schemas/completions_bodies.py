"""Describe the bodies of legacy completions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from router_service.api.schemas.chat_bodies import ChatUsageBody, ResponseFormatSchema, StreamOptionsSchema
from router_service.api.schemas.described import ResponseSchema
from router_service.api.schemas.record_bodies import ErrorBody
from router_service.api.schemas.request_fields import Passed, SharedRequestFields
from router_service.core.wire.chat import (
    ChatCacheControl,
    Effort,
    Positive,
    ReasoningObject,
)


class CompletionRequestBody(SharedRequestFields, kw_only=True):
    """Describe a request to complete a text. One of ``model`` and ``models`` is required."""

    prompt: Annotated[str | list[str], Meta(description="A text, or an array with one")]
    model: Annotated[str | None, Meta(examples=["openai/gpt-4o-mini"])] = None
    stream_options: StreamOptionsSchema | None = None
    max_completion_tokens: Positive | None = None
    max_tokens: Positive | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    best_of: Annotated[int | None, Meta(description="At most `n`: no provider chooses among answers")] = None
    echo: Annotated[bool | None, Meta(description="True is refused: chat models do not continue a prompt")] = None
    suffix: Annotated[str | None, Meta(description="Refused unless it is empty")] = None
    reasoning: ReasoningObject | None = None
    reasoning_effort: Effort | None = None
    include_reasoning: bool | None = None
    response_format: ResponseFormatSchema | None = None
    cache_control: ChatCacheControl | None = None
    metadata: dict[str, str] | None = None
    tools: Annotated[list[Any] | None, Meta(description="Refused unless it is empty: a text has no tool calls")] = None
    tool_choice: Annotated[str | None, Meta(description="`auto` and `none` are accepted")] = None
    parallel_tool_calls: Annotated[bool | None, Meta(description="Accepted")] = None
    plugins: Passed = None
    prompt_cache_key: Passed = None


class LegacyLogprobsBody(ResponseSchema):
    """Describe the log probabilities of a text; the lists have one entry for each token."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class CompletionChoiceBody(ResponseSchema):
    """Describe one choice, whole or as a chunk adds to it."""

    index: int
    text: str
    logprobs: LegacyLogprobsBody | None
    finish_reason: str | None
    native_finish_reason: str | UnsetType | None = UNSET
    reasoning: str | UnsetType = UNSET


class CompletionBody(ResponseSchema):
    """Describe a completion."""

    id: str
    object: Literal["text_completion"]
    created: Annotated[int, Meta(description="Unix seconds")]
    model: str
    provider: str | None
    choices: list[CompletionChoiceBody]
    usage: ChatUsageBody
    openrouter_metadata: dict[str, Any] | UnsetType = UNSET


class CompletionChunkBody(ResponseSchema, kw_only=True):
    """Describe the data of one event of a stream. The last chunk has ``usage``, or ``error`` where it broke."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    provider: str | None
    choices: list[CompletionChoiceBody]
    usage: ChatUsageBody | UnsetType = UNSET
    error: ErrorBody | UnsetType = UNSET
    openrouter_metadata: dict[str, Any] | UnsetType = UNSET
