"""Define the answers of the format as typed structs: what decodes to them has known keys of known types."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

import msgspec
from msgspec import UNSET, UnsetType

from router_service.core.events import FinishReason
from router_service.providers.formats.openai_chat.usage import DocumentedUsage

_encoder = msgspec.json.Encoder()
NULL = msgspec.Raw(b"null")


class Function(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Hold a piece of a function call."""

    name: str | UnsetType | None = UNSET
    arguments: str | UnsetType | None = UNSET


class Custom(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Hold a piece of a call of a custom tool."""

    name: str | UnsetType | None = UNSET
    input: str | UnsetType | None = UNSET


class CallDelta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Hold a piece of a tool call."""

    index: int | UnsetType | None = UNSET
    id: str | UnsetType | None = UNSET
    type: str | UnsetType | None = UNSET
    function: Function | UnsetType | None = UNSET
    custom: Custom | UnsetType | None = UNSET


class Audio(TypedDict, total=False):
    """Hold a piece of an answer in audio."""

    id: str | None
    data: str | None
    transcript: str | None
    expires_at: int | None


class VerifiedDelta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Hold a delta of a chunk or the message of a completion. Unset fields were not sent."""

    role: Literal["assistant"] | UnsetType | None = UNSET
    content: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    reasoning: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType | None = UNSET
    reasoning_details: list[dict[str, Any]] | UnsetType | None = UNSET
    tool_calls: list[CallDelta] | UnsetType | None = UNSET
    function_call: Function | UnsetType | None = UNSET
    audio: Audio | UnsetType | None = UNSET
    annotations: list[dict[str, Any]] | UnsetType | None = UNSET
    images: list[dict[str, Any]] | UnsetType | None = UNSET


class Choice(msgspec.Struct, gc=False):
    """Hold one choice of a chunk whose delta is not decoded yet."""

    delta: msgspec.Raw
    index: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0
    finish_reason: str | None = None
    logprobs: msgspec.Raw | UnsetType = UNSET
    usage: Any = None
    error: Any = None


class Chunk(msgspec.Struct, gc=False):
    """Hold what has to be known of every chunk after the first."""

    choices: list[Choice] | None = None
    usage: DocumentedUsage | None = None
    error: Any = None
    x_groq: Any = None
    service_tier: Any = None


class OpeningChunk(Chunk, gc=False):
    """Hold what has to be known of the first chunk."""

    id: Any = None
    system_fingerprint: Any = None


class Piece(msgspec.Struct, gc=False):
    """Hold one choice of a chunk, fitted: canonical fields, dense tool-call indexes, ids once, both finish reasons.

    ``extras`` are fields that the format does not document.
    """

    index: int
    said: VerifiedDelta
    native: str | None = None
    reason: FinishReason | None = None
    logprobs: msgspec.Raw | UnsetType = UNSET
    extras: dict[str, Any] = {}


def encoded_json(value: Any) -> bytes:
    """Return ``value`` as JSON on one line."""
    return _encoder.encode(value)


FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",  # Together
    "eos_token": "stop",  # TGI
    "stop_sequence": "stop",  # TGI
    "end_turn": "stop",  # gateways that pass Anthropic's reasons on
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",  # Mistral
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",  # Z.AI
    "safety": "content_filter",  # Gemini's compatible endpoint
    "error": "error",
    # Spellings of other APIs, as gateways pass them on.
    "completed": "stop",
    "complete": "stop",
    "end": "stop",
    "max_output_tokens": "length",
    "max_length": "length",
    "model_context_window_exceeded": "length",
    "tooluse": "tool_calls",
    "tool_call": "tool_calls",
    "refusal": "content_filter",
    "recitation": "content_filter",
    "blocklist": "content_filter",
    "prohibited_content": "content_filter",
    "spii": "content_filter",
}


def finish_reason(native: str, has_calls: bool) -> FinishReason:
    """Return the reference's finish reason. An unknown one is an error, and calls are never a mere stop."""
    reason = FINISH_REASONS.get(native) or FINISH_REASONS.get(native.lower().replace("-", "_"), "error")
    return "tool_calls" if reason == "stop" and has_calls else reason


class _Alternative(msgspec.Struct, forbid_unknown_fields=True):
    token: str
    logprob: float
    bytes: list[int] | None = None


class _Token(msgspec.Struct, forbid_unknown_fields=True):
    token: str
    logprob: float
    bytes: list[int] | None = None
    top_logprobs: list[_Alternative] | None = None


class _Logprobs(msgspec.Struct, forbid_unknown_fields=True):
    content: list[_Token] | None = None
    refusal: list[_Token] | None = None


_strict_logprobs = msgspec.json.Decoder(_Logprobs | None)


class _OpenAlternative(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None


class _OpenToken(_OpenAlternative):
    top_logprobs: list[_OpenAlternative] | None = None


class _OpenLogprobs(msgspec.Struct):
    content: list[_OpenToken] | None = None
    refusal: list[_OpenToken] | None = None


_open_logprobs = msgspec.json.Decoder(_OpenLogprobs | None)


def fitted_logprobs(raw: msgspec.Raw) -> msgspec.Raw:
    """Return ``raw``, which is not null, if it has the documented shape, without undocumented fields, else null."""
    try:
        _strict_logprobs.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            return msgspec.Raw(encoded_json(_open_logprobs.decode(raw)))
        except (msgspec.DecodeError, UnicodeDecodeError):
            return NULL
    return raw
