"""Translate message streams to chat chunks."""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.providers.adapter import ChatDelta, StreamedChoice
from router_service.providers.anthropic_messages.response import FORMAT, STOP_REASONS, Counts, text_of
from router_service.providers.formats.anthropic_messages.errors import CODES
from router_service.providers.lenient_json import read_leniently
from router_service.providers.moderation import refuses_content
from router_service.providers.service_tier import served_tier

# Where each kind of delta has its text.
_SAID = {
    "text_delta": "text",
    "input_json_delta": "partial_json",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
}


class MessageStream:
    """Implement ``StreamDecoder``: blocks become deltas, and tool blocks are numbered apart from text blocks."""

    def __init__(self) -> None:
        self._counts = Counts()
        self._tools: dict[str, int] = {}

    def feed(self, event: str | None, data: bytes) -> ChatDelta | None:  # noqa: ARG002 - the data repeat the type
        if not data.strip():
            return None
        try:
            body = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            try:
                body = read_leniently(data)
            except ValueError:
                raise ApiError("provider_unavailable", "The provider's stream is not a message stream") from None
        return self._event(body) if isinstance(body, dict) else None

    def _event(self, body: dict[str, Any]) -> ChatDelta | None:
        match body.get("type"):
            case "message_start":
                message = _object(body, "message")
                self._counts.update(message.get("usage"))
                tier = served_tier(self._counts.service_tier)
                return ChatDelta(upstream_id=text_of(message.get("id")), service_tier=tier)
            case "content_block_start":
                return self._start(body.get("index"), _object(body, "content_block"))
            case "content_block_delta":
                return self._delta(body.get("index"), _object(body, "delta"))
            case "message_delta":
                self._counts.update(body.get("usage"))
                native = text_of(_object(body, "delta").get("stop_reason"))
                choice = _choice({}, STOP_REASONS.get(native or "", "stop"), native)
                # A refusal or an empty turn has no block, so its end is all the content there is.
                return ChatDelta([choice], self._counts.native(), content=bool(native))
            case "message_stop":
                return ChatDelta(usage=self._counts.native(), done=True)
            case "error":
                return ChatDelta(error=_error(_object(body, "error")))
            case _:
                return None

    def _start(self, index: Any, block: dict[str, Any]) -> ChatDelta | None:
        if block.get("type") != "tool_use":
            return None
        number = self._tools[str(index)] = len(self._tools)
        call = {
            "index": number,
            "id": text_of(block.get("id")) or f"call_{number}",
            "type": "function",
            "function": {"name": text_of(block.get("name")) or "", "arguments": ""},
        }
        return ChatDelta([_choice({"role": "assistant", "tool_calls": [call]})], content=True)

    def _delta(self, index: Any, delta: dict[str, Any]) -> ChatDelta | None:
        kind = delta.get("type")
        said = text_of(delta.get(_SAID.get(kind, ""))) if isinstance(kind, str) else None
        if said is None:
            return None
        if kind == "text_delta":
            found: dict[str, Any] = {"role": "assistant", "content": said}
        elif kind == "input_json_delta":
            number = self._tools.get(str(index))
            if number is None:
                # This is the input of a tool that the provider runs itself.
                return None
            found = {"tool_calls": [{"index": number, "function": {"arguments": said}}]}
        elif kind == "thinking_delta":
            detail = {"type": "reasoning.text", "text": said, "format": FORMAT, "index": _position(index)}
            found = {"role": "assistant", "reasoning": said, "reasoning_details": [detail]}
        else:
            detail = {"type": "reasoning.text", "text": "", "signature": said}
            found = {"reasoning_details": [detail | {"format": FORMAT, "index": _position(index)}]}
        return ChatDelta([_choice(found)], content=True)


def _position(index: Any) -> int:
    return index if isinstance(index, int) else 0


def _object(body: dict[str, Any], name: str) -> dict[str, Any]:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _error(error: dict[str, Any]) -> ApiError:
    code, message = text_of(error.get("type")), text_of(error.get("message"))
    message = message or "The provider reported an error without a message"
    kind = CODES.get(code or "", "provider_unavailable")
    if refuses_content(400, message, error):
        kind = "content_policy_violation"
    return ApiError(kind, message, metadata={"provider_code": code} if code else None)


def _choice(delta: dict[str, Any], finish: str | None = None, native: str | None = None) -> StreamedChoice:
    return StreamedChoice(0, delta, finish, native)
