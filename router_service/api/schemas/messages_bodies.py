"""Describe the bodies of the messages API, in the words of https://platform.claude.com/docs/en/api/messages."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from router_service.api.schemas.described import ResponseSchema
from router_service.core.preferences import Preferences
from router_service.core.request_bounds import MAX_ITEMS
from router_service.core.wire.anthropic import CacheControl, Metadata, Sampled, StopReason, TokenLimit, WireUsage

Blocks = str | list[dict[str, Any]]
Accepted = Annotated[Any, Meta(description="Accepted and not used by the router")]
Extra = Annotated[Any, Meta(description="Sent to providers of this dialect; elsewhere it is dropped")]


class InputMessageBody(msgspec.Struct, kw_only=True):
    """Describe a message: text or content blocks."""

    role: Literal["user", "assistant", "system"]
    content: Blocks


class CountTokensRequestBody(msgspec.Struct, kw_only=True):
    """Describe a request whose tokens are counted: that of a message, of which no limit is required."""

    model: Annotated[str, Meta(description="Any name that Anthropic's clients use, or an id of this router")]
    messages: Annotated[list[InputMessageBody], Meta(min_length=1, max_length=MAX_ITEMS)]
    system: Blocks | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    output_format: dict[str, Any] | None = None
    max_tokens: TokenLimit | None = None
    temperature: Sampled | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: TokenLimit | None = None
    stop_sequences: Annotated[list[str], Meta(max_length=1000)] | None = None
    stream: bool | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None
    speed: Literal["standard", "fast"] | None = None
    cache_control: CacheControl | None = None
    provider: Preferences | None = None
    context_management: Extra = None
    fallbacks: Extra = None
    stop_server_tools_when: Extra = None
    user: Extra = None
    models: Accepted = None
    plugins: Accepted = None
    route: Accepted = None
    session_id: Accepted = None
    trace: Accepted = None


class MessagesRequestBody(CountTokensRequestBody, kw_only=True):
    """Describe a request for a message."""

    max_tokens: TokenLimit


class MessageBody(msgspec.Struct, kw_only=True):
    """Describe a message of a model."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: Annotated[str, Meta(description="The client's name for the model")]
    content: list[dict[str, Any]]
    stop_reason: StopReason | None
    stop_sequence: str | None
    stop_details: dict[str, Any] | UnsetType = UNSET
    usage: WireUsage


class TokenCountBody(ResponseSchema):
    """Describe an estimate of the tokens of a prompt."""

    input_tokens: int


class MessagesErrorDataBody(ResponseSchema):
    """Describe an error; ``type`` is a code for programs."""

    type: str
    message: str
    details: dict[str, Any] | UnsetType = UNSET


class MessagesErrorBody(ResponseSchema):
    """Describe an error response of the messages API."""

    type: Literal["error"]
    error: MessagesErrorDataBody
    request_id: str
