"""Messages answers to chat answers."""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.core.usage import Usage
from router_service.providers.adapter import ChatResponse
from router_service.providers.service_tier import served

STOP_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
FORMAT = "anthropic-claude-v1"


class WireUsage(msgspec.Struct):
    """``usage`` as the format counts: ``input_tokens`` are those neither read from nor written to a cache."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    service_tier: Any = None

    def native(self) -> Usage:
        read, written = self.cache_read_input_tokens, self.cache_creation_input_tokens
        return Usage(
            prompt_tokens=(self.input_tokens or 0) + (read or 0) + (written or 0),
            completion_tokens=self.output_tokens or 0,
            cached_tokens=read,
            cache_write_tokens=written,
        )


class _Body(msgspec.Struct):
    content: list[dict[str, Any]]
    id: str | None = None
    stop_reason: str | None = None
    usage: WireUsage | None = None


_decoder = msgspec.json.Decoder(_Body)


def decode_answer(body: bytes) -> ChatResponse:
    """Raises ``ApiError`` 502 when ``body`` is not a message."""
    try:
        parsed = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ApiError("provider_unavailable", "The provider's answer is not a message") from None
    choice = {
        "index": 0,
        "message": _message(parsed.content),
        "logprobs": None,
        "finish_reason": STOP_REASONS.get(parsed.stop_reason or "", "stop"),
        "native_finish_reason": parsed.stop_reason,
    }
    usage = parsed.usage
    tier = served(usage.service_tier) if usage else None
    return ChatResponse([choice], usage.native() if usage else None, parsed.id, service_tier=tier)


def _message(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    texts = [b["text"] for b in blocks if b.get("type") == "text"]
    thoughts = [b for b in blocks if b.get("type") in ("thinking", "redacted_thinking")]
    calls = [_call(b) for b in blocks if b.get("type") == "tool_use"]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": None,
    }
    message["reasoning"] = "".join(b.get("thinking", "") for b in thoughts) or None
    if thoughts:
        message["reasoning_details"] = [_detail(b, i) for i, b in enumerate(thoughts)]
    if calls:
        message["tool_calls"] = calls
    return message


def _call(block: dict[str, Any]) -> dict[str, Any]:
    arguments = msgspec.json.encode(block.get("input") or {}).decode()
    return {
        "id": block["id"],
        "type": "function",
        "function": {"name": block["name"], "arguments": arguments},
    }


def _detail(block: dict[str, Any], index: int) -> dict[str, Any]:
    if block["type"] == "redacted_thinking":
        return {"type": "reasoning.encrypted", "data": block["data"], "format": FORMAT, "index": index}
    return {
        "type": "reasoning.text",
        "text": block["thinking"],
        "signature": block.get("signature"),
        "format": FORMAT,
        "index": index,
    }
