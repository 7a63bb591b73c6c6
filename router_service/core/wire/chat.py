"""Define the wire structs of the chat completions dialect, types only.

Requests follow ``ChatRequest`` of the reference and the OpenAI API, answers ``ChatResult`` and ``ChatStreamChunk``.
Unknown fields of a message are ignored. A field that may be ``null`` in the messages of real SDKs may be so here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw

DIALECT = "openai_chat"
NULL = Raw(b"null")

Count = Annotated[int, Meta(ge=0, le=2**53)]
Positive = Annotated[int, Meta(ge=1, le=2**53)]
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
ZeroToTwo = Annotated[float, Meta(ge=0, le=2)]
Bias = Annotated[float, Meta(ge=-100, le=100)]


class ChatCacheControl(msgspec.Struct):
    """Mark the end of a prefix to cache."""

    type: Literal["ephemeral"] = "ephemeral"
    ttl: Literal["5m", "1h"] | None = None


class PromptCacheBreakpoint(msgspec.Struct):
    """Mark the end of a prefix to cache, as OpenAI writes it."""

    mode: str | None = None


class ContentPart(msgspec.Struct, tag_field="type"):
    """Hold what every content part may carry."""

    cache_control: ChatCacheControl | None = None
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class TextPart(ContentPart, kw_only=True, tag="text"):
    text: str


class RefusalPart(ContentPart, kw_only=True, tag="refusal"):
    refusal: str


class ThinkingPart(ContentPart, kw_only=True, tag="thinking"):
    """Hold reasoning within the content, as Mistral (a list of texts) and Anthropic (text and signature) write it."""

    thinking: str | list[TextPart]
    signature: str | None = None


class ImageUrl(msgspec.Struct):
    url: str
    detail: str | None = None


class ImagePart(ContentPart, kw_only=True, tag="image_url"):
    image_url: ImageUrl | str


class InputAudio(msgspec.Struct):
    data: str
    format: str


class AudioPart(ContentPart, kw_only=True, tag="input_audio"):
    input_audio: InputAudio


class FileData(msgspec.Struct):
    filename: str | None = None
    file_data: str | None = None
    file_id: str | None = None


class FilePart(ContentPart, kw_only=True, tag="file"):
    file: FileData


class VideoUrl(msgspec.Struct):
    url: str


class VideoPart(ContentPart, kw_only=True, tag="video_url"):
    video_url: VideoUrl | str


class InputVideoPart(ContentPart, kw_only=True, tag="input_video"):
    """Hold a video under the older name of the type."""

    video_url: VideoUrl | str


AnyContentPart = TextPart | RefusalPart | ThinkingPart | ImagePart | AudioPart | FilePart | VideoPart | InputVideoPart
Content = str | list[AnyContentPart] | None


class FunctionCall(msgspec.Struct):
    name: str
    # Ollama's own API has an object here, which clients made for it send back.
    arguments: str | dict[str, msgspec.Raw] | None = None


class CustomCall(msgspec.Struct):
    name: str
    input: str | None = None


class MessageToolCall(msgspec.Struct):
    """Hold a call of a function or, under ``custom``, of a custom tool."""

    id: str | None = None
    type: str | None = None
    function: FunctionCall | None = None
    custom: CustomCall | None = None
    cache_control: ChatCacheControl | None = None


class AudioAnswer(msgspec.Struct):
    """Hold an audio answer or, by ``id`` alone, refer to one."""

    id: str | None = None
    data: str | None = None
    transcript: str | None = None


class AnswerImage(msgspec.Struct):
    image_url: ImageUrl


class UrlCitation(msgspec.Struct):
    url: str | None = None
    title: str | None = None
    content: str | None = None
    start_index: Count | None = None
    end_index: Count | None = None


class Annotation(msgspec.Struct):
    type: str
    url_citation: UrlCitation | None = None


class ReasoningDetail(msgspec.Struct, omit_defaults=True):
    """Hold an entry of ``reasoning_details``, which is one of several kinds or, in a stream, a piece of one.

    ``index`` names the part of reasoning that the entry belongs to; entries of one index are merged.
    """

    type: str
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    id: str | None = None
    format: str | None = None
    index: Whole | None = None


class Turn(msgspec.Struct, tag_field="role"):
    """Hold what the messages of all roles may have."""

    content: Content = None
    name: str | None = None
    cache_control: ChatCacheControl | None = None


class SystemTurn(Turn, tag="system"):
    pass


class DeveloperTurn(Turn, tag="developer"):
    pass


class UserTurn(Turn, tag="user"):
    pass


class AssistantTurn(Turn, kw_only=True, tag="assistant"):
    """Hold an answer of a model; ``function_call`` is the older form of ``tool_calls``."""

    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: list[Raw] | None = None
    tool_calls: list[MessageToolCall] | None = None
    function_call: FunctionCall | None = None
    annotations: list[Raw] | None = None
    images: list[AnswerImage] | None = None
    audio: AudioAnswer | None = None


class ToolTurn(Turn, kw_only=True, tag="tool"):
    tool_call_id: str


class FunctionTurn(Turn, tag="function"):
    """Hold the result of a ``function_call``, which has a name in place of an id."""


AnyTurn = SystemTurn | DeveloperTurn | UserTurn | AssistantTurn | ToolTurn | FunctionTurn


class FunctionDefinition(msgspec.Struct):
    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    parameters: Raw = NULL
    strict: bool | None = None
    cache_control: ChatCacheControl | None = None


class CustomDefinition(msgspec.Struct):
    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None


class ToolDefinition(msgspec.Struct):
    """Hold a tool. A ``type`` besides ``function`` and ``custom`` is a tool that the provider runs."""

    type: Annotated[str, Meta(min_length=1)] = "function"
    function: FunctionDefinition | None = None
    custom: CustomDefinition | None = None
    cache_control: ChatCacheControl | None = None


class NamedTool(msgspec.Struct):
    name: Annotated[str, Meta(min_length=1)]


class ToolReference(msgspec.Struct):
    """Name a tool, as ``tool_choice`` and the list of allowed tools do."""

    type: str = "function"
    function: NamedTool | None = None
    custom: NamedTool | None = None


class AllowedTools(msgspec.Struct):
    mode: Literal["auto", "required"]
    tools: list[ToolReference]


class ToolChoiceObject(ToolReference):
    allowed_tools: AllowedTools | None = None


class JsonSchema(msgspec.Struct):
    name: str | None = None
    description: str | None = None
    schema: Raw = NULL
    strict: bool | None = None


class ResponseFormat(msgspec.Struct):
    type: str
    json_schema: JsonSchema | None = None


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ReasoningObject(msgspec.Struct):
    enabled: bool | None = None
    effort: Effort | None = None
    max_tokens: Positive | None = None
    exclude: bool | None = None
    summary: str | None = None


class TokenLogprob(msgspec.Struct):
    """Hold the log probability of a token; SDKs require the field ``bytes``, which may be null."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class PositionLogprob(TokenLogprob):
    top_logprobs: list[TokenLogprob] = []


class Logprobs(msgspec.Struct):
    content: list[PositionLogprob] | None = None
    refusal: list[PositionLogprob] | None = None


class Delta(msgspec.Struct, omit_defaults=True):
    """Hold what a chunk adds to a message."""

    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_details: Sequence[ReasoningDetail | dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None
    audio: dict[str, Any] | None = None
    images: list[dict[str, Any]] | None = None
    annotations: list[dict[str, Any]] | None = None


class ChunkChoice(msgspec.Struct):
    """Hold one choice of a chunk, with the finish reasons of the reference and of the provider."""

    index: int
    delta: Delta
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    logprobs: Logprobs | msgspec.UnsetType = msgspec.UNSET
