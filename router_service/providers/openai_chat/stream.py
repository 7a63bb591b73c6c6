"""Streams: one JSON chunk per event, ``[DONE]`` at the end."""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.contract.errors import ApiError
from router_service.providers.contract import Delta
from router_service.providers.openai_chat.errors import CODES
from router_service.providers.openai_chat.response import WireUsage, finish_reason


class _Choice(msgspec.Struct):
    delta: dict[str, Any] | None = None
    index: int = 0
    finish_reason: str | None = None
    logprobs: msgspec.Raw | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    id: str | None = None
    usage: WireUsage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Chunk)


class ChatStream:
    """Decoder of one stream."""

    def feed(self, event: str | None, data: bytes) -> Delta | None:  # noqa: ARG002 - the format names no events
        if data == b"[DONE]":
            return Delta(done=True)
        try:
            chunk = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ApiError("provider_unavailable", "The provider's stream is not a chat stream") from None
        if chunk.error is not None:
            return Delta(error=_error(chunk.error))
        choices = [_render(choice) for choice in chunk.choices or ()]
        return Delta(
            choices=choices,
            usage=chunk.usage.native() if chunk.usage else None,
            upstream_id=chunk.id,
            content=bool(choices),
        )


def _render(choice: _Choice) -> dict[str, Any]:
    delta = choice.delta or {}
    if "reasoning_content" in delta:
        delta.setdefault("reasoning", delta.pop("reasoning_content"))
    rendered = {
        "index": choice.index,
        "delta": delta,
        "finish_reason": finish_reason(choice.finish_reason),
        "native_finish_reason": choice.finish_reason or None,
    }
    if choice.logprobs is not None:
        rendered["logprobs"] = choice.logprobs
    return rendered


def _error(error: Any) -> ApiError:
    message, code = str(error), None
    if isinstance(error, dict):
        message, code = str(error.get("message") or error), error.get("code") or error.get("type")
    kind = CODES.get(str(code), "provider_unavailable")
    return ApiError(kind, message, metadata={"provider_code": str(code)} if code is not None else None)
