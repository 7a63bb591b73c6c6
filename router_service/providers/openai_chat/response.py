"""Whole answers."""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.core.usage import Usage
from router_service.providers.adapter import ChatResponse
from router_service.providers.service_tier import served

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


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """``usage`` as providers of this format send it."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None

    def native(self) -> Usage:
        prompt, completion = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            prompt_tokens=self.prompt_tokens or 0,
            completion_tokens=self.completion_tokens or 0,
            cached_tokens=prompt.cached_tokens if prompt else None,
            cache_write_tokens=prompt.cache_write_tokens if prompt else None,
            reasoning_tokens=completion.reasoning_tokens if completion else None,
        )


class _Choice(msgspec.Struct):
    message: dict[str, Any]
    index: int = 0
    finish_reason: str | None = None
    logprobs: msgspec.Raw | None = None


class _Body(msgspec.Struct):
    choices: list[_Choice]
    id: str | None = None
    usage: WireUsage | None = None
    system_fingerprint: str | None = None
    service_tier: Any = None


_decoder = msgspec.json.Decoder(_Body)


def finish_reason(native: str | None) -> str | None:
    """The reference's word for ``native``; empty means not finished, an unknown word means stop."""
    return FINISH_REASONS.get(native, "stop") if native else None


def decode_answer(body: bytes) -> ChatResponse:
    """Raises ``ApiError`` 502 when ``body`` is not a chat completion."""
    try:
        parsed = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ApiError("provider_unavailable", "The provider's answer is not a chat completion") from None
    if not parsed.choices:
        raise ApiError("provider_unavailable", "The provider's answer has no choices")
    return ChatResponse(
        choices=[_render(choice) for choice in parsed.choices],
        usage=parsed.usage.native() if parsed.usage else None,
        upstream_id=parsed.id,
        system_fingerprint=parsed.system_fingerprint,
        service_tier=served(parsed.service_tier),
    )


def _render(choice: _Choice) -> dict[str, Any]:
    message = choice.message
    message.setdefault("role", "assistant")
    message.setdefault("content", None)
    message.setdefault("refusal", None)
    message.setdefault("reasoning", message.pop("reasoning_content", None))
    return {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": finish_reason(choice.finish_reason),
        "native_finish_reason": choice.finish_reason,
    }
