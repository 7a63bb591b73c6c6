"""Decode non-streaming responses."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import msgspec

from router_service.core.errors import ApiError
from router_service.core.usage import Usage
from router_service.providers.adapter import ChatResponse
from router_service.providers.counts import MAX_TOKENS, token_count
from router_service.providers.lenient_json import read_leniently
from router_service.providers.openai_chat.odd_types import (
    NULL,
    fitted_choices,
    fitted_id,
    fitted_logprobs,
    fitted_message,
)
from router_service.providers.service_tier import served_tier

FINISH_REASONS = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",  # Z.AI
    "error": "error",
}


Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKENS)]


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count | None = None


_NO_PROMPT_DETAILS, _NO_COMPLETION_DETAILS = _PromptDetails(), _CompletionDetails()


class _Usage(msgspec.Struct):
    """Hold counts whose types are the documented ones."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None

    def counts(self) -> Usage:
        prompt = self.prompt_tokens_details or _NO_PROMPT_DETAILS
        completion = self.completion_tokens_details or _NO_COMPLETION_DETAILS
        return Usage(
            self.prompt_tokens or 0,
            self.completion_tokens or 0,
            prompt.cached_tokens,
            prompt.cache_write_tokens,
            completion.reasoning_tokens,
        )


def read_usage(usage: Any) -> Usage | None:
    """Return the counts of ``usage``, or ``None`` if it is not an object.

    A count whose type is not the documented one is converted or ignored.
    """
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    prompt = prompt if isinstance(prompt, dict) else {}
    completion = completion if isinstance(completion, dict) else {}
    return Usage(
        prompt_tokens=token_count(usage.get("prompt_tokens")) or 0,
        completion_tokens=token_count(usage.get("completion_tokens")) or 0,
        cached_tokens=token_count(prompt.get("cached_tokens")),
        cache_write_tokens=token_count(prompt.get("cache_write_tokens")),
        reasoning_tokens=token_count(completion.get("reasoning_tokens")),
    )


class _ChatChoice(msgspec.Struct):
    message: dict[str, Any]
    index: int = 0
    finish_reason: str | None = None
    logprobs: msgspec.Raw = NULL


class _ChatCompletion(msgspec.Struct):
    """Hold a response whose fields have the documented types."""

    choices: list[_ChatChoice]
    id: str | None = None
    usage: _Usage | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None


class _OddCompletion(msgspec.Struct):
    """Hold a response whose choices were fitted, with anything in its other fields."""

    choices: list[_ChatChoice]
    id: Any = None
    usage: Any = None
    system_fingerprint: Any = None
    service_tier: Any = None


_decoder = msgspec.json.Decoder(_ChatCompletion)
_odd_decoder = msgspec.json.Decoder(_OddCompletion)


def finish_reason(native: str | None) -> str | None:
    """Return the reference's finish reason for ``native``; empty means not finished, an unknown one means stop."""
    return FINISH_REASONS.get(native, "stop") if native else None


def decode_response(body: bytes) -> ChatResponse:
    """Decode a chat completion. Raises ``ApiError`` 502 if ``body`` is not one."""
    try:
        parsed = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_odd_response(body)
    return ChatResponse(
        _rendered(parsed.choices),
        parsed.usage.counts() if parsed.usage else None,
        parsed.id,
        parsed.system_fingerprint,
        served_tier(parsed.service_tier),
    )


def _decode_odd_response(body: bytes) -> ChatResponse:
    """Decode leniently, so that one malformed field does not lose a response."""
    with contextlib.suppress(ValueError):
        found = read_leniently(body)
        if isinstance(found, dict) and isinstance(found.get("choices"), list):
            found["choices"] = fitted_choices(found["choices"], "message")
            parsed = _odd_decoder.decode(msgspec.json.encode(found))
            fingerprint = parsed.system_fingerprint
            return ChatResponse(
                _rendered(parsed.choices),
                read_usage(parsed.usage),
                fitted_id(parsed.id),
                fingerprint if isinstance(fingerprint, str) else None,
                served_tier(parsed.service_tier),
            )
    raise ApiError("provider_unavailable", "The provider's answer is not a chat completion")


def _rendered(choices: list[_ChatChoice]) -> list[dict[str, Any]]:
    if not choices:
        raise ApiError("provider_unavailable", "The provider's answer has no choices")
    return [_render(choice) for choice in choices]


def _render(choice: _ChatChoice) -> dict[str, Any]:
    message = fitted_message(choice.message)
    message["role"] = "assistant"
    message.setdefault("content", None)
    message.setdefault("refusal", None)
    reasoning = message.pop("reasoning_content", None)
    if message.get("reasoning") is None:
        message["reasoning"] = reasoning
    return {
        "index": choice.index,
        "message": message,
        "logprobs": fitted_logprobs(choice.logprobs),
        "finish_reason": finish_reason(choice.finish_reason),
        "native_finish_reason": choice.finish_reason,
    }
