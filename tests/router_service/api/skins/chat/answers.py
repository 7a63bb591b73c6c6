"""Reads answers as the official SDKs do, and makes what tests of answers share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openrouter.components import ChatResult, ChatStreamChunk

from router_service.api.skins.chat.parse import parse_generation
from router_service.api.skins.chat.render import ResponseHead
from router_service.core.events import Event
from router_service.core.generation import Message
from router_service.core.json_fields import read_fields

HEAD = ResponseHead(id="gen-1-abc", created=1_700_000_000, model="acme/one", provider="Acme", service_tier="default")
USAGE = {
    "prompt_tokens": 1,
    "completion_tokens": 2,
    "total_tokens": 3,
    "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0, "video_tokens": 0},
    "cost": 0.1,
    "is_byok": False,
}


def chunks_of(stream: bytes) -> list[dict[str, Any]]:
    """Return the chunks of complete server-sent events, without the last ``[DONE]``."""
    assert stream.endswith(b"\n\n") or not stream
    events = stream.split(b"\n\n")[:-1]
    assert all(event.startswith(b"data: ") and b"\n" not in event for event in events)
    found = [event[6:] for event in events]
    return [json.loads(data) for data in found if data != b"[DONE]"]


def accumulate(chunks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the choices that the openai SDK makes of ``chunks``."""
    state = ChatCompletionStreamState()
    for chunk in chunks:
        list(state.handle_chunk(ChatCompletionChunk.construct(**json.loads(json.dumps(chunk)))))
    found: list[dict[str, Any]] = state.current_completion_snapshot.to_dict(mode="json")["choices"]
    for choice in found:
        for call in choice["message"].get("tool_calls") or ():
            # The SDK adds this field of its own, and the function to calls of custom tools.
            if call.get("function") is None:
                call.pop("function", None)
            else:
                call["function"].pop("parsed_arguments", None)
    return found


def parse_message(message: dict[str, Any]) -> Message:
    """Return the turn that comes back when a client sends ``message`` as a part of a conversation."""
    body = msgspec.json.encode({"messages": [{"role": "user", "content": "hi"}, message]})
    return parse_generation(read_fields(body)).messages[1]


def validate_completion(body: dict[str, Any]) -> None:
    """Validate a completion with the models of both SDKs, as strictly as they can."""
    ChatCompletion.model_validate(body)
    ChatResult.model_validate(body)


def validate_chunk(chunk: dict[str, Any]) -> None:
    """Validate a chunk with the models of both SDKs, as strictly as they can."""
    ChatCompletionChunk.model_validate(chunk)
    ChatStreamChunk.model_validate(chunk)


def without_kinds(events: Sequence[Event], kinds: tuple[type, ...], keep: Any) -> list[Event]:
    """Return ``events`` without those of the parts that ``keep`` refuses."""
    gone: set[tuple[int, int]] = set()
    found: list[Event] = []
    for event in events:
        part = getattr(event, "part", None)
        if isinstance(part, kinds) and not keep(part):
            gone.add((event.choice, event.index))  # type: ignore[union-attr]
        place = getattr(event, "choice", None), getattr(event, "index", None)
        if place not in gone:
            found.append(event)
    return found
