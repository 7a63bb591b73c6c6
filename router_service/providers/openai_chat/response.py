"""Decode non-streaming responses."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.core.usage import Usage
from router_service.providers.adapter import ChatResponse
from router_service.providers.counts import token_count
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
    choices: list[_ChatChoice]
    id: Any = None
    usage: Any = None
    system_fingerprint: Any = None
    service_tier: Any = None


_decoder = msgspec.json.Decoder(_ChatCompletion)


def finish_reason(native: str | None) -> str | None:
    """Return the reference's finish reason for ``native``; empty means not finished, an unknown one means stop."""
    return FINISH_REASONS.get(native, "stop") if native else None


def decode_response(body: bytes) -> ChatResponse:
    """Decode a chat completion. Raises ``ApiError`` 502 if ``body`` is not one."""
    parsed = _parse(body)
    if not parsed.choices:
        raise ApiError("provider_unavailable", "The provider's answer has no choices")
    fingerprint = parsed.system_fingerprint
    return ChatResponse(
        choices=[_render(choice) for choice in parsed.choices],
        usage=read_usage(parsed.usage),
        upstream_id=fitted_id(parsed.id),
        system_fingerprint=fingerprint if isinstance(fingerprint, str) else None,
        service_tier=served_tier(parsed.service_tier),
    )


def _parse(body: bytes) -> _ChatCompletion:
    """Decode strictly, then leniently, so that one malformed field does not lose a response."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decoder.decode(body)
    with contextlib.suppress(ValueError):
        found = read_leniently(body)
        if isinstance(found, dict) and isinstance(found.get("choices"), list):
            found["choices"] = fitted_choices(found["choices"], "message")
            return _decoder.decode(msgspec.json.encode(found))
    raise ApiError("provider_unavailable", "The provider's answer is not a chat completion")


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
