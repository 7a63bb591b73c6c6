"""Define the wire structs of the responses dialect, types only.

Requests follow ``ResponsesRequest`` of the reference, the OpenAI API and the Open Responses specification. Unknown
fields of an item are ignored. A field that may be ``null`` in the items of real SDKs may be so here.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

from router_service.core.wire.chat import ChatCacheControl, Effort, InputAudio, Positive, PromptCacheBreakpoint

DIALECT = "openai_responses"
# The reference's name of the kind of tokens that OpenAI writes into ``encrypted_content``.
REASONING_FORMAT = "openai-responses-v1"
NULL = Raw(b"null")

Name = Annotated[str, Meta(min_length=1)]


class ItemHead(msgspec.Struct):
    """Hold what says of which kind an item is. A message needs no ``type``."""

    type: str | None = None
    role: str | None = None


class MessageItem(msgspec.Struct):
    """Hold a message of any role; ``phase`` tells a comment from the final answer of an assistant."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Raw] | None = None
    id: str | None = None
    phase: str | None = None


class FunctionCallItem(msgspec.Struct):
    call_id: str
    name: Name
    arguments: str = ""
    id: str | None = None
    namespace: str | None = None


class CustomCallItem(msgspec.Struct):
    call_id: str
    name: Name
    input: str = ""
    id: str | None = None
    namespace: str | None = None


class CallOutputItem(msgspec.Struct):
    """Hold the result of a call of a function or of a custom tool."""

    call_id: str
    output: str | list[Raw] | None = None


class SummaryText(msgspec.Struct):
    """Hold a piece of reasoning, in ``summary`` or in ``content``."""

    text: str = ""


class ReasoningItem(msgspec.Struct):
    id: str | None = None
    summary: list[SummaryText] | None = None
    content: list[SummaryText] | None = None
    encrypted_content: str | None = None
    format: str | None = None
    signature: str | None = None


class ImageCallItem(msgspec.Struct):
    """Hold an image that was generated; ``result`` is base64, ``output_format`` such as ``webp``."""

    id: str | None = None
    result: str | None = None
    output_format: str | None = None


class AdditionalToolsItem(msgspec.Struct):
    tools: list[Raw]


class InputPart(msgspec.Struct):
    """Hold what every part of a message's content may carry."""

    type: str
    cache_control: ChatCacheControl | None = None
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class InputText(msgspec.Struct):
    text: str


class OutputText(msgspec.Struct):
    text: str
    annotations: list[Raw] | None = None


class UrlAnnotation(msgspec.Struct):
    """Hold what is read of an annotation of any type."""

    type: str | None = None
    url: str | None = None
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    content: str | None = None


class RefusalContent(msgspec.Struct):
    refusal: str


class InputImage(msgspec.Struct):
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None


class InputFile(msgspec.Struct):
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None


class InputAudioPart(msgspec.Struct):
    input_audio: InputAudio


class InputVideo(msgspec.Struct):
    video_url: str


class ToolHead(msgspec.Struct):
    type: Name


class FunctionTool(msgspec.Struct):
    name: Name
    description: str | None = None
    parameters: Raw = NULL
    strict: bool | None = None


class GrammarFormat(msgspec.Struct):
    """Hold the format of a custom tool's input; ``syntax`` and ``definition`` are those of a grammar."""

    type: str
    syntax: str | None = None
    definition: str | None = None


class FreeformTool(msgspec.Struct):
    name: Name
    description: str | None = None
    format: GrammarFormat | None = None


class NamespaceTool(msgspec.Struct):
    name: Name
    tools: list[Raw]
    description: str | None = None


class NamedChoice(msgspec.Struct):
    name: Name
    namespace: str | None = None


class ChosenTool(msgspec.Struct):
    """Name a tool, as ``tool_choice`` and the list of allowed tools do. Chat clients nest the name."""

    type: str
    name: str | None = None
    namespace: str | None = None
    function: NamedChoice | None = None
    custom: NamedChoice | None = None


class ToolChoiceItem(ChosenTool):
    mode: Literal["auto", "required"] | None = None
    tools: list[ChosenTool] | None = None


class TextFormat(msgspec.Struct):
    type: str
    name: str | None = None
    description: str | None = None
    schema: Raw = NULL
    strict: bool | None = None


class TextConfig(msgspec.Struct):
    format: TextFormat | None = None
    verbosity: str | None = None


class ReasoningConfig(msgspec.Struct):
    """Configure reasoning; ``enabled``, ``max_tokens`` and ``exclude`` are the reference's."""

    effort: Effort | None = None
    summary: str | None = None
    generate_summary: str | None = None
    enabled: bool | None = None
    max_tokens: Positive | None = None
    exclude: bool | None = None


class TokenCounts(msgspec.Struct):
    cached_tokens: int
    cache_write_tokens: int


class ReasoningCounts(msgspec.Struct):
    reasoning_tokens: int


class CostDetails(msgspec.Struct):
    """Hold the parts of the cost in US dollars."""

    upstream_inference_cost: float
    upstream_inference_input_cost: float
    upstream_inference_output_cost: float


class HostedToolUse(msgspec.Struct):
    web_search_requests: int


class ResponseUsage(msgspec.Struct, omit_defaults=True):
    """Count tokens; ``cost`` is in US dollars, a field of the reference like those after it."""

    input_tokens: int
    input_tokens_details: TokenCounts
    output_tokens: int
    output_tokens_details: ReasoningCounts
    total_tokens: int
    cost: float
    is_byok: bool
    cost_details: CostDetails
    server_tool_use_details: HostedToolUse | None = None
