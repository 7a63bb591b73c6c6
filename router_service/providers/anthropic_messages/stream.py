"""Message streams to chat chunks."""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.providers.adapter import ChatDelta, StreamedChoice
from router_service.providers.anthropic_messages.errors import CODES
from router_service.providers.anthropic_messages.response import FORMAT, STOP_REASONS, WireUsage
from router_service.providers.moderation import blocks
from router_service.providers.service_tier import served


class MessageStream:
    """Decoder of one stream: blocks become deltas, tool blocks are numbered apart from text blocks."""

    def __init__(self) -> None:
        self._usage = WireUsage()
        self._tools: dict[int, int] = {}

    def feed(self, event: str | None, data: bytes) -> ChatDelta | None:  # noqa: ARG002 - the data repeat the type
        try:
            body = msgspec.json.decode(data)
            return self._event(body)
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            raise ApiError("provider_unavailable", "The provider's stream is not a message stream") from None

    def _event(self, body: dict[str, Any]) -> ChatDelta | None:
        match body["type"]:
            case "message_start":
                message = body["message"]
                usage = message.get("usage") or {}
                self._count(usage)
                return ChatDelta(upstream_id=message.get("id"), service_tier=served(usage.get("service_tier")))
            case "content_block_start":
                return self._start(body["index"], body["content_block"])
            case "content_block_delta":
                return self._delta(body["index"], body["delta"])
            case "message_delta":
                self._count(body.get("usage") or {})
                native = body["delta"].get("stop_reason")
                choice = _choice({}, STOP_REASONS.get(native or "", "stop"), native)
                # A refusal, or an empty turn, has no block: its end is the answer.
                return ChatDelta([choice], self._usage.native(), content=bool(native))
            case "message_stop":
                return ChatDelta(usage=self._usage.native(), done=True)
            case "error":
                error = body["error"]
                kind = CODES.get(error.get("type"), "provider_unavailable")
                if blocks(400, str(error["message"]), error):
                    kind = "content_policy_violation"
                return ChatDelta(error=ApiError(kind, error["message"], metadata={"provider_code": error["type"]}))
            case _:
                return None

    def _count(self, usage: dict[str, Any]) -> None:
        for name in WireUsage.__struct_fields__:
            if isinstance(usage.get(name), int):
                setattr(self._usage, name, usage[name])

    def _start(self, index: int, block: dict[str, Any]) -> ChatDelta | None:
        if block["type"] != "tool_use":
            return None
        number = self._tools[index] = len(self._tools)
        call = {
            "index": number,
            "id": block["id"],
            "type": "function",
            "function": {"name": block["name"], "arguments": ""},
        }
        return ChatDelta([_choice({"role": "assistant", "tool_calls": [call]})], content=True)

    def _delta(self, index: int, delta: dict[str, Any]) -> ChatDelta | None:
        match delta["type"]:
            case "text_delta":
                found = {"role": "assistant", "content": delta["text"]}
            case "input_json_delta":
                call = {"index": self._tools[index], "function": {"arguments": delta["partial_json"]}}
                found = {"tool_calls": [call]}
            case "thinking_delta":
                detail = {
                    "type": "reasoning.text",
                    "text": delta["thinking"],
                    "format": FORMAT,
                    "index": index,
                }
                found = {"role": "assistant", "reasoning": delta["thinking"], "reasoning_details": [detail]}
            case "signature_delta":
                detail = {"type": "reasoning.text", "text": "", "signature": delta["signature"]}
                found = {"reasoning_details": [detail | {"format": FORMAT, "index": index}]}
            case _:
                return None
        return ChatDelta([_choice(found)], content=True)


def _choice(delta: dict[str, Any], finish: str | None = None, native: str | None = None) -> StreamedChoice:
    return StreamedChoice(0, delta, finish, native)
