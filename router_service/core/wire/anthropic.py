"""Define the wire structs of the Anthropic messages dialect: requests, content blocks, tools and usage.

Sources: the types of the official ``anthropic`` SDK 2.14 and https://platform.claude.com/docs/en/api/messages. Unknown
fields are ignored by the structs; readers keep them as raw JSON where they have to be sent on.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

DIALECT = "anthropic_messages"
# The reference's name of the kind of token that Anthropic makes.
REASONING_FORMAT = "anthropic-claude-v1"
# Keys of ``GenerationRequest.extras[DIALECT]`` that are no fields of the body. No field can have these names:
# the list of values of the header, and true where the client's address had the query ``beta=true``.
BETA_HEADER = "anthropic-beta"
BETA_QUERY = "?beta"
# The only key of a tool's ``input`` whose arguments are no JSON object; its value is the model's text.
INVALID_ARGUMENTS = "_invalid_arguments"
# A field of raw JSON that is not there; msgspec reads no union of raw JSON and null.
ABSENT = msgspec.Raw()

TokenLimit = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Sampled = Annotated[float, Meta(ge=0, le=2)]
Effort = Literal["low", "medium", "high", "xhigh", "max"]
StopReason = Literal[
    "end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal", "model_context_window_exceeded"
]


class CacheControl(msgspec.Struct):
    """Mark the end of a cached prefix."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class BlockHead(msgspec.Struct):
    """Hold what every content block may have."""

    type: str
    cache_control: CacheControl | None = None


class TextBlock(BlockHead, kw_only=True):
    """Hold text; ``citations`` are objects whose ``type`` names the kind of location."""

    text: str
    citations: list[msgspec.Raw] | None = None


class Source(msgspec.Struct):
    """Say where the bytes of an image or document come from: ``base64``, ``url``, ``file``, ``text``, ``content``."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: msgspec.Raw = ABSENT


class ImageBlock(BlockHead, kw_only=True):
    """Hold an image."""

    source: Source
    transformations: msgspec.Raw = ABSENT


class DocumentBlock(BlockHead, kw_only=True):
    """Hold a document; ``context`` is text for the model that is never cited."""

    source: Source
    title: str | None = None
    context: str | None = None
    citations: msgspec.Raw = ABSENT


class ThinkingBlock(BlockHead, kw_only=True):
    """Hold readable reasoning and the proof that it is unchanged."""

    thinking: str
    signature: str = ""


class RedactedThinkingBlock(BlockHead, kw_only=True):
    """Hold reasoning that only its maker can read."""

    data: str


class ToolUseBlock(BlockHead, kw_only=True):
    """Hold a tool call; ``input`` is a JSON object."""

    id: Annotated[str, Meta(min_length=1)]
    name: Annotated[str, Meta(min_length=1)]
    input: msgspec.Raw
    caller: msgspec.Raw = ABSENT
    toolset_name: str | None = None


class ToolResultBlock(BlockHead, kw_only=True):
    """Hold the result of a tool call."""

    tool_use_id: Annotated[str, Meta(min_length=1)]
    content: str | list[msgspec.Raw] | None = None
    is_error: bool | None = None
    toolset_name: str | None = None


class WireMessage(msgspec.Struct):
    """Hold one turn."""

    role: Literal["user", "assistant", "system"]
    content: str | list[msgspec.Raw]


class CustomTool(msgspec.Struct, kw_only=True):
    """Define a tool that the client runs, by the JSON schema of its input."""

    name: Annotated[str, Meta(min_length=1)]
    input_schema: msgspec.Raw
    type: Literal["custom"] | None = None
    description: str | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None


class TypedTool(msgspec.Struct, kw_only=True):
    """Name a tool whose definition Anthropic keeps; ``mcp_server_name`` stands for the name of an MCP toolset."""

    type: str | None = None
    name: str | None = None
    mcp_server_name: str | None = None
    cache_control: CacheControl | None = None


class WireToolChoice(msgspec.Struct):
    """Say whether tools may or must be used."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(msgspec.Struct):
    """Configure thinking."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Annotated[int, Meta(ge=1, le=2**31 - 1)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class JsonFormat(msgspec.Struct):
    """Ask for an answer that follows a JSON schema."""

    type: Literal["json_schema"]
    schema: msgspec.Raw


class OutputConfig(msgspec.Struct):
    """Configure the answer."""

    effort: Effort | None = None
    format: JsonFormat | None = None


class Metadata(msgspec.Struct):
    """Describe the request."""

    user_id: str | None = None


class CacheCreation(msgspec.Struct):
    """Count tokens written to the cache by lifetime."""

    ephemeral_5m_input_tokens: int
    ephemeral_1h_input_tokens: int


class OutputTokensDetails(msgspec.Struct):
    """Count the output tokens that are reasoning."""

    thinking_tokens: int


class ServerToolUse(msgspec.Struct):
    """Count what the provider's own tools did."""

    web_search_requests: int
    web_fetch_requests: int


class WireUsage(msgspec.Struct, kw_only=True):
    """Count tokens; ``input_tokens`` are those neither read from nor written to a cache.

    The reference and the official SDKs require all fields; what is not known is null.
    """

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    inference_geo: str | None = None
    output_tokens_details: OutputTokensDetails | None = None
    server_tool_use: ServerToolUse | None = None
    service_tier: Literal["standard", "priority", "batch"] | None = None
