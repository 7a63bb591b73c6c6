"""Streams: one JSON chunk per event, ``[DONE]`` at the end."""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.providers.adapter import ChatDelta, StreamedChoice
from router_service.providers.moderation import blocks
from router_service.providers.openai_chat.errors import CODES
from router_service.providers.openai_chat.response import WireUsage, finish_reason
from router_service.providers.service_tier import served


class _Choice(msgspec.Struct):
    delta: msgspec.Raw = msgspec.Raw(b"{}")
    index: int = 0
    finish_reason: str | None = None
    logprobs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    id: str | None = None
    usage: WireUsage | None = None
    error: Any = None
    service_tier: Any = None


_decoder = msgspec.json.Decoder(_Chunk)
_object = msgspec.json.Decoder(dict[str, Any] | None)


class ChatStream:
    """Decoder of one stream."""

    def __init__(self) -> None:
        self._begun = False

    def feed(self, event: str | None, data: bytes) -> ChatDelta | None:  # noqa: ARG002 - the format names no events
        if data == b"[DONE]":
            return ChatDelta(done=True)
        try:
            if b"\n" in data or b"\r" in data:
                # What is passed on raw must stay on one line of the client's own stream.
                data = msgspec.json.encode(msgspec.json.decode(data))
            chunk = _decoder.decode(data)
            found = chunk.choices or ()
            choices = [_render(choice) for choice in found]
            if not self._begun:
                self._begun = any(map(_says_something, found))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ApiError("provider_unavailable", "The provider's stream is not a chat stream") from None
        if chunk.error is not None:
            return ChatDelta(error=_error(chunk.error))
        usage = chunk.usage.native() if chunk.usage else None
        tier = served(chunk.service_tier) if chunk.service_tier is not None else None
        return ChatDelta(choices, usage, chunk.id, content=self._begun and bool(choices), service_tier=tier)


def _says_something(choice: _Choice) -> bool:
    """Servers send the role before the model has begun its work: that is no token yet."""
    said: dict[str, Any] = _object.decode(choice.delta) or {}
    return bool(choice.finish_reason) or any(value for name, value in said.items() if name != "role")


def _render(choice: _Choice) -> StreamedChoice:
    raw = choice.delta
    content = bytes(raw)
    plain = content.startswith(b"{") and b'"reasoning_content"' not in content
    native = choice.finish_reason
    delta = raw if plain else _delta(raw)
    if not native:
        return StreamedChoice(choice.index, delta, None, None, choice.logprobs)
    return StreamedChoice(choice.index, delta, finish_reason(native), native, choice.logprobs)


def _delta(raw: msgspec.Raw) -> dict[str, Any]:
    """Some providers say ``reasoning_content`` for ``reasoning``, and ``null`` for nothing."""
    delta: dict[str, Any] = _object.decode(raw) or {}
    if "reasoning_content" in delta:
        delta.setdefault("reasoning", delta.pop("reasoning_content"))
    return delta


def _error(error: Any) -> ApiError:
    message, code = str(error), None
    if isinstance(error, dict):
        message, code = str(error.get("message") or error), error.get("code") or error.get("type")
    kind = CODES.get(str(code), "provider_unavailable")
    if blocks(400, message, error if isinstance(error, dict) else {}):
        kind = "content_policy_violation"
    return ApiError(kind, message, metadata={"provider_code": str(code)} if code is not None else None)
