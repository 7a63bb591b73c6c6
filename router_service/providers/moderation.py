"""Recognise a provider's refusal of content, both in an error and in a successful response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.providers.adapter import ChatDelta

# Statuses with which providers refuse content; with any other a message about content means something else.
STATUSES = frozenset({400, 403, 422, 451})
# Parts of messages, in lower case, of providers whose code does not mention content:
PHRASES = (
    "content management policy",  # Azure, 400
    "content filtering policy",  # Anthropic, 400 invalid_request_error
    "content exists risk",  # DeepSeek, 400 invalid_request_error
    "content violates usage guidelines",  # xAI, 403
    "flagged as potentially violating our usage policy",  # OpenAI's reasoning models, 400 invalid_prompt
)
_CONTENT_FIELDS = ("content", "tool_calls", "reasoning", "reasoning_content", "function_call", "audio", "images")
_decoder = msgspec.json.Decoder(dict[str, Any])


def refuses_content(status: int, message: str, body: Mapping[str, Any]) -> bool:
    """Return whether a failed response refuses the content, by its message or by the reference's moderation fields."""
    if status not in STATUSES:
        return False
    if any(phrase in message.lower() for phrase in PHRASES):
        return True
    metadata = body.get("metadata")
    return isinstance(metadata, dict) and ("flagged_input" in metadata or "reasons" in metadata)


def response_refusal(choices: Sequence[Mapping[str, Any]]) -> ApiError | None:
    """Return the error for a non-streaming response in which every choice was withheld or refused, else ``None``."""
    if all(c["finish_reason"] == "content_filter" or _refuses(c["message"]) for c in choices):
        return _refusal(str(choices[0]["native_finish_reason"]))
    return None


def stream_refusal(deltas: Sequence[ChatDelta]) -> ApiError | None:
    """Return the error for the first deltas of a stream that refuse without content before it, else ``None``."""
    refused = None
    for choice in (choice for chunk in deltas for choice in chunk.choices):
        ended = choice.finish_reason == "content_filter"
        raw = choice.delta
        delta = raw if isinstance(raw, dict) else _decode_delta(raw)
        if any(delta.get(name) for name in _CONTENT_FIELDS):
            return None
        if ended or delta.get("refusal"):
            refused = _refusal(str(choice.native_finish_reason))
    return refused


def _decode_delta(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        return _decoder.decode(raw)
    except msgspec.DecodeError:
        return {}


def _refuses(message: Mapping[str, Any]) -> bool:
    return bool(message.get("refusal")) and not any(message.get(name) for name in _CONTENT_FIELDS)


def _refusal(native: str) -> ApiError:
    kind = "content_policy_violation" if native in ("content_filter", "sensitive") else "refusal"
    return ApiError(kind, "The model refused to answer", metadata={"provider_code": native})
