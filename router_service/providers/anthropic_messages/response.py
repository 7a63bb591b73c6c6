"""Translate messages responses to chat responses."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.core.usage import Usage
from router_service.providers.adapter import ChatResponse
from router_service.providers.counts import token_count
from router_service.providers.lenient_json import read_leniently
from router_service.providers.service_tier import served_tier

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
_COUNTS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class Counts:
    """Token counts of one message. If a later object lacks a count or has an invalid one, the earlier is kept.

    ``input_tokens`` are those neither read from nor written to a cache.
    """

    def __init__(self) -> None:
        self.service_tier: Any = None
        self._found: dict[str, int] = {}

    def update(self, usage: Any) -> None:
        """Update the counts from a ``usage`` object."""
        if not isinstance(usage, dict):
            return
        self.service_tier = usage.get("service_tier") or self.service_tier
        for name in _COUNTS:
            count = token_count(usage.get(name))
            if count is not None:
                self._found[name] = count

    def native(self) -> Usage:
        found = self._found
        read, written = found.get("cache_read_input_tokens"), found.get("cache_creation_input_tokens")
        return Usage(
            prompt_tokens=found.get("input_tokens", 0) + (read or 0) + (written or 0),
            completion_tokens=found.get("output_tokens", 0),
            cached_tokens=read,
            cache_write_tokens=written,
        )


class _AnthropicMessage(msgspec.Struct):
    content: list[Any]
    id: Any = None
    stop_reason: Any = None
    usage: Any = None


_decoder = msgspec.json.Decoder(_AnthropicMessage)


def decode_response(body: bytes) -> ChatResponse:
    """Translate a message. Raises ``ApiError`` 502 if ``body`` is not one."""
    parsed = _parse(body)
    native = parsed.stop_reason if isinstance(parsed.stop_reason, str) else None
    choice = {
        "index": 0,
        "message": _message([block for block in parsed.content if isinstance(block, dict)]),
        "logprobs": None,
        "finish_reason": STOP_REASONS.get(native or "", "stop"),
        "native_finish_reason": native,
    }
    counts = Counts()
    counts.update(parsed.usage)
    usage = counts.native() if isinstance(parsed.usage, dict) else None
    return ChatResponse([choice], usage, text_of(parsed.id), service_tier=served_tier(counts.service_tier))


def text_of(value: Any) -> str | None:
    """Return ``value`` if it is text."""
    return value if isinstance(value, str) else None


def _parse(body: bytes) -> _AnthropicMessage:
    """Decode strictly, then leniently, so that malformed JSON does not lose a response."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decoder.decode(body)
    with contextlib.suppress(ValueError):
        found = read_leniently(body)
        if isinstance(found, dict) and isinstance(found.get("content"), list):
            return msgspec.convert(found, _AnthropicMessage)
    raise ApiError("provider_unavailable", "The provider's answer is not a message")


def _message(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    texts = [text for b in blocks if b.get("type") == "text" and (text := text_of(b.get("text"))) is not None]
    thoughts = [b for b in blocks if b.get("type") in ("thinking", "redacted_thinking")]
    calls = [_call(b, i) for i, b in enumerate(blocks) if b.get("type") == "tool_use"]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": None,
    }
    message["reasoning"] = "".join(text_of(b.get("thinking")) or "" for b in thoughts) or None
    if thoughts:
        message["reasoning_details"] = [_detail(b, i) for i, b in enumerate(thoughts)]
    if calls:
        message["tool_calls"] = calls
    return message


def _call(block: dict[str, Any], index: int) -> dict[str, Any]:
    return {
        "id": text_of(block.get("id")) or f"call_{index}",
        "type": "function",
        "function": {
            "name": text_of(block.get("name")) or "",
            "arguments": msgspec.json.encode(block.get("input") or {}).decode(),
        },
    }


def _detail(block: dict[str, Any], index: int) -> dict[str, Any]:
    if block["type"] == "redacted_thinking":
        data = text_of(block.get("data")) or ""
        return {"type": "reasoning.encrypted", "data": data, "format": FORMAT, "index": index}
    return {
        "type": "reasoning.text",
        "text": text_of(block.get("thinking")) or "",
        "signature": text_of(block.get("signature")),
        "format": FORMAT,
        "index": index,
    }
