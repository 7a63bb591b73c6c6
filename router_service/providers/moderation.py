"""What a provider's refusal on grounds of content looks like: as an error, and as an answer without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.providers.adapter import ChatDelta

# Statuses with which providers refuse content; with all others a message about content says something else.
STATUSES = frozenset({400, 403, 422, 451})
# Parts of messages, in lower case, of providers whose code says nothing of content:
PHRASES = (
    "content management policy",  # Azure, 400
    "content filtering policy",  # Anthropic, 400 invalid_request_error
    "content exists risk",  # DeepSeek, 400 invalid_request_error
    "content violates usage guidelines",  # xAI, 403
    "flagged as potentially violating our usage policy",  # OpenAI's reasoning models, 400 invalid_prompt
)
_SAID = ("content", "tool_calls", "reasoning", "reasoning_content", "function_call", "audio", "images")
_object = msgspec.json.Decoder(dict[str, Any])


def blocks(status: int, message: str, body: Mapping[str, Any]) -> bool:
    """Whether a failed answer refuses the content: by its words, or by the moderation fields of the reference."""
    if status not in STATUSES:
        return False
    if any(phrase in message.lower() for phrase in PHRASES):
        return True
    metadata = body.get("metadata")
    return isinstance(metadata, dict) and ("flagged_input" in metadata or "reasons" in metadata)


def refused_whole(choices: Sequence[Mapping[str, Any]]) -> ApiError | None:
    """The error that a whole answer stands for in which every choice was withheld or refused."""
    if all(c["finish_reason"] == "content_filter" or _refuses(c["message"]) for c in choices):
        return _refusal(str(choices[0]["native_finish_reason"]))
    return None


def refused_stream(deltas: Sequence[ChatDelta]) -> ApiError | None:
    """The same for the beginning of a stream: a refusal, and nothing said before it."""
    refused = None
    for choice in (choice for delta in deltas for choice in delta.choices):
        ended = choice.finish_reason == "content_filter"
        raw = choice.delta
        said = raw if isinstance(raw, dict) else _decoded(raw)
        if any(said.get(name) for name in _SAID):
            return None
        if ended or said.get("refusal"):
            refused = _refusal(str(choice.native_finish_reason))
    return refused


def _decoded(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        return _object.decode(raw)
    except msgspec.DecodeError:
        return {}


def _refuses(message: Mapping[str, Any]) -> bool:
    return bool(message.get("refusal")) and not any(message.get(name) for name in _SAID)


def _refusal(native: str) -> ApiError:
    kind = "content_policy_violation" if native in ("content_filter", "sensitive") else "refusal"
    return ApiError(kind, "The model refused to answer", metadata={"provider_code": native})
