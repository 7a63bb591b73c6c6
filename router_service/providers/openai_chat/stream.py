"""Decode streams: one JSON chunk per event, ``[DONE]`` at the end."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from router_service.core.errors import ApiError
from router_service.providers.adapter import ChatDelta, StreamedChoice
from router_service.providers.lenient_json import read_leniently
from router_service.providers.moderation import refuses_content
from router_service.providers.openai_chat.errors import CODES
from router_service.providers.openai_chat.odd_types import fitted_choices, fitted_id, fitted_logprobs
from router_service.providers.openai_chat.response import finish_reason, read_usage
from router_service.providers.service_tier import served_tier


class _Function(msgspec.Struct):
    name: str | None = None


class _Call(msgspec.Struct):
    id: str | None = None
    function: _Function | None = None
    custom: dict[str, Any] | None = None


class _Detail(msgspec.Struct):
    type: str


class _Address(msgspec.Struct):
    url: str


class _Image(msgspec.Struct):
    image_url: _Address


class _Said(msgspec.Struct):
    """Delta whose fields have the documented types, so that it can be passed on unchanged."""

    role: Literal["assistant"] | None = None
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | msgspec.UnsetType | None = msgspec.UNSET
    reasoning_details: list[_Detail] | None = None
    tool_calls: list[_Call] | None = None
    function_call: dict[str, Any] | None = None
    audio: dict[str, Any] | None = None
    annotations: list[dict[str, Any]] | None = None
    images: list[_Image] | None = None


class _ChunkChoice(msgspec.Struct):
    delta: msgspec.Raw = msgspec.Raw(b"{}")
    index: int = 0
    finish_reason: str | None = None
    logprobs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Chunk(msgspec.Struct):
    choices: list[_ChunkChoice] | None = None
    id: str | None = None
    usage: Any = None
    error: Any = None
    service_tier: Any = None


_decoder = msgspec.json.Decoder(_Chunk)
_said = msgspec.json.Decoder(_Said | None)
_object = msgspec.json.Decoder(dict[str, Any] | None)


class ChatStream:
    """Implement ``StreamDecoder``."""

    def __init__(self) -> None:
        self._begun = False

    def feed(self, event: str | None, data: bytes) -> ChatDelta | None:  # noqa: ARG002 - the format names no events
        """Return the delta of one event."""
        if data == b"[DONE]":
            return ChatDelta(done=True)
        try:
            if b"\n" in data or b"\r" in data:
                # Raw JSON that is passed on must stay on one line of the client's own stream.
                data = msgspec.json.encode(msgspec.json.decode(data))
            elif not data.isascii():
                # The decoder does not validate unknown fields, and they are passed on as well.
                data.decode()
            return self._read(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            mended = _mend(data)
        return None if mended is None else self._read(mended)

    def _read(self, data: bytes) -> ChatDelta:
        chunk = _decoder.decode(data)
        found = chunk.choices or ()
        choices = [_render(choice) for choice in found]
        if not self._begun:
            self._begun = any(map(_says_something, found))
        if chunk.error is not None:
            return ChatDelta(error=_error(chunk.error))
        usage = read_usage(chunk.usage) if chunk.usage is not None else None
        tier = served_tier(chunk.service_tier) if chunk.service_tier is not None else None
        return ChatDelta(choices, usage, chunk.id, content=self._begun and bool(choices), service_tier=tier)


def _mend(data: bytes) -> bytes | None:
    """Return an event with the documented types in place of others, or ``None`` if it has no content.

    Raises ``ApiError`` 502 when it is not JSON.
    """
    if not data.strip():
        return None
    try:
        found = read_leniently(data)
    except ValueError:
        raise ApiError("provider_unavailable", "The provider's stream is not a chat stream") from None
    if not isinstance(found, dict):
        return None
    choices = fitted_choices(found.get("choices"), "delta")
    return msgspec.json.encode(found | {"choices": choices, "id": fitted_id(found.get("id"))})


def _says_something(choice: _ChunkChoice) -> bool:
    """Return true if a choice has content. Servers send the role before the model starts, which is no token."""
    said: dict[str, Any] = _object.decode(choice.delta) or {}
    return bool(choice.finish_reason) or any(value for name, value in said.items() if name != "role")


def _render(choice: _ChunkChoice) -> StreamedChoice:
    raw, logprobs, native = choice.delta, choice.logprobs, choice.finish_reason
    said = _said.decode(raw)
    if said is not None and said.tool_calls is not None:
        for call in said.tool_calls:
            if call.function is None and call.custom is None:
                raise msgspec.ValidationError("a tool call without a function")
    plain = said is not None and said.reasoning_content is msgspec.UNSET
    if logprobs is not msgspec.UNSET:
        logprobs = fitted_logprobs(logprobs)
    delta = raw if plain else _delta(raw)
    if not native:
        return StreamedChoice(choice.index, delta, None, None, logprobs)
    return StreamedChoice(choice.index, delta, finish_reason(native), native, logprobs)


def _delta(raw: msgspec.Raw) -> dict[str, Any]:
    """Rename ``reasoning_content``, which some providers send for ``reasoning``; ``null`` becomes an empty delta."""
    delta: dict[str, Any] = _object.decode(raw) or {}
    if "reasoning_content" in delta:
        reasoning = delta.pop("reasoning_content")
        if delta.get("reasoning") is None:
            delta["reasoning"] = reasoning
    return delta


def _error(error: Any) -> ApiError:
    message, code = str(error), None
    if isinstance(error, dict):
        message, code = str(error.get("message") or error), error.get("code") or error.get("type")
    kind = CODES.get(str(code), "provider_unavailable")
    if refuses_content(400, message, error if isinstance(error, dict) else {}):
        kind = "content_policy_violation"
    return ApiError(kind, message, metadata={"provider_code": str(code)} if code is not None else None)
