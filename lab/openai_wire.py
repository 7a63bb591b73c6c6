"""Implement the provider's side of the OpenAI chat format."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lab.conversation import Conversation, read_chat
from lab.openai_errors import OpenAIErrors
from lab.openai_refusals import refuse_chat
from lab.openai_script import chat_events, unsaid_in_chat, whole_chat
from lab.prefixes import Prefixes
from lab.script import Script
from lab.text import Ask, Completion, characters


class OpenAIWire(OpenAIErrors):
    """Implement ``Wire``. Every prompt is cached, and cache writes are not charged."""

    turns = "messages"

    def __init__(self) -> None:
        self._prefixes = Prefixes()

    def cache(self, body: dict[str, Any], completion: Completion, endpoint: str) -> Completion:
        """Return ``completion`` with the prompt tokens that were read from the endpoint's cache."""
        known = self._prefixes.read(endpoint, body.get("messages", []))
        return replace(completion, cached_tokens=min(known, completion.prompt_tokens))

    def read(self, body: dict[str, Any]) -> Ask:
        size = sum(characters(message.get("content")) for message in body.get("messages", []))
        answered = body.get("messages", [{}])[-1].get("role") == "tool"
        tools = () if answered else read_chat(body).tools
        tool = tools[0].name if tools else None
        return Ask(size, body.get("max_completion_tokens") or body.get("max_tokens"), tool)

    def whole(self, completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": completion.text or None}
        if completion.tool:
            message = {"role": "assistant", "content": None, "tool_calls": [_call(completion)]}
        return {
            "id": f"chatcmpl-{completion.number:x}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(completion)}],
            "usage": _usage(completion),
            **_tier(body),
        }

    def events(self, completion: Completion, body: dict[str, Any]) -> list[bytes]:
        head = {
            "id": f"chatcmpl-{completion.number:x}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": body["model"],
            **_tier(body),
        }
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        if completion.tool:
            call = _call(completion)
            first = call | {"index": 0, "function": call["function"] | {"arguments": ""}}
            deltas.append({"tool_calls": [first]})
            arguments = {"function": {"arguments": call["function"]["arguments"]}}
            deltas.append({"tool_calls": [{"index": 0} | arguments]})
        else:
            deltas += [{"content": piece} for piece in completion.pieces]
        chunks = [head | {"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
        last = {"index": 0, "delta": {}, "finish_reason": _reason(completion)}
        chunks.append(head | {"choices": [last]})
        if (body.get("stream_options") or {}).get("include_usage"):
            chunks.append(head | {"choices": [], "usage": _usage(completion)})
        return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]

    def refuse(self, body: dict[str, Any], headers: Mapping[str, str]) -> None:
        refuse_chat(body, headers)

    def converse(self, body: dict[str, Any]) -> Conversation:
        return read_chat(body)

    def unsaid(self, script: Script) -> str | None:
        return unsaid_in_chat(script)

    def whole_script(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> dict[str, Any]:
        return whole_chat(scripts, completion, body)

    def script_events(self, scripts: Sequence[Script], completion: Completion, body: dict[str, Any]) -> list[bytes]:
        return chat_events(scripts, completion, body)

    def error_event(self, request_id: str, number: int) -> bytes:
        return b"data: " + json.dumps(self.envelope(self.failure(500), request_id)).encode() + b"\n\n"


def _call(completion: Completion) -> dict[str, Any]:
    function = {"name": completion.tool_name, "arguments": completion.arguments}
    return {"id": f"call_{completion.number:x}", "type": "function", "function": function}


def _reason(completion: Completion) -> str:
    if completion.ending:
        return "content_filter" if completion.ending == "refusal" else completion.ending
    if completion.tool:
        return "tool_calls"
    return "length" if completion.length_limited else "stop"


def _tier(body: dict[str, Any]) -> dict[str, str]:
    """Return the tier that serves, for requests that name one."""
    asked = body.get("service_tier")
    return {"service_tier": "default" if asked == "auto" else asked} if asked else {}


def _usage(completion: Completion) -> dict[str, Any]:
    return {
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": completion.completion_tokens,
        "total_tokens": completion.prompt_tokens + completion.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": completion.cached_tokens},
    }
