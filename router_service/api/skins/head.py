"""Build the head of a request that did not come as a chat body: routing and the record read it alike for all skins.

The messages are written as chat messages, so that a conversation has the same digest through every skin.
"""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.generation import GenerationRequest, Message
from router_service.core.parts import Media, Opaque, Reasoning, Refusal, Text, ToolCall, ToolResult
from router_service.core.request import Head
from router_service.core.wire.anthropic import BETA_HEADER, BETA_QUERY
from router_service.core.wire.chat import DIALECT as CHAT

# Parameters of the chat dialect by the field of ``GenerationRequest`` that holds them.
_PLAIN = ("metadata", "modalities", "user", "verbosity")
# Fields of other dialects whose meaning the request has, and those that are no fields of a body.
_READ_OF_OTHERS = frozenset({"thinking", "output_config", BETA_HEADER, BETA_QUERY})
_encode = msgspec.json.Encoder().encode
_MEDIA_KEYS = {"image": "image_url", "audio": "input_audio", "video": "video_url"}
# Parameters of the chat dialect by the field of ``Sampling`` that holds them.
_SAMPLING = (
    "temperature", "top_p", "top_k", "min_p", "top_a", "frequency_penalty", "presence_penalty", "repetition_penalty",
    "seed", "logit_bias", "logprobs", "top_logprobs",
)  # fmt: skip


def head_of(
    generation: GenerationRequest, model: str | None, *, provider: bytes = b"", session_id: str | None = None
) -> Head:
    """Return the head of ``generation`` for ``model``; ``provider`` is the raw ``provider`` object of the body."""
    turns = [_turn(message) for message in (*generation.instructions, *generation.messages)]
    messages = _encode(turns)
    fields = {name: msgspec.Raw(_encode(value)) for name, value in _fields(generation).items()}
    own_dialect, own_fields = _own_fields(generation)
    fields["messages"] = msgspec.Raw(messages)
    return Head(
        fields=fields,
        model=model,
        models=[],
        stream=generation.stream,
        provider=provider,
        completion_limit=generation.max_tokens,
        tool_count=len(generation.tools),
        session_id=session_id,
        trace_id=None,
        names=sorted({*fields, *own_fields, "model", *(["stream"] if generation.stream else [])}),
        messages=messages,
        service_tier=generation.service_tier,
        modality=_modality(generation),
        own_dialect=own_dialect,
        own_fields=own_fields,
    )


def _fields(generation: GenerationRequest) -> dict[str, Any]:
    """Return the parameters that the request sets, by the chat dialect's names."""
    sampling = generation.sampling
    found: dict[str, Any] = {name: value for name in _SAMPLING if (value := getattr(sampling, name)) is not None}
    if sampling.n != 1:
        found["n"] = sampling.n
    if sampling.stop:
        found["stop"] = sampling.stop
    if generation.max_tokens is not None:
        found["max_tokens"] = generation.max_tokens
    if generation.tools:
        found["tools"] = [
            {"type": "function", "function": {"name": tool.name, "parameters": tool.schema}}
            for tool in generation.tools
            if tool.kind == "function"
        ]
    if generation.tool_choice is not None:
        found["tool_choice"] = generation.tool_choice.name or generation.tool_choice.mode
        if generation.tool_choice.parallel is not None:
            found["parallel_tool_calls"] = generation.tool_choice.parallel
    if generation.output.kind != "text":
        found["response_format"] = {"type": generation.output.kind}
    reasoning = generation.reasoning
    if reasoning is not None and reasoning.enabled is not False:
        found["reasoning"] = {"effort": reasoning.effort} if reasoning.effort else {}
    found |= {name: value for name in _PLAIN if (value := getattr(generation, name)) is not None}
    return found | generation.extras.get(CHAT, {})


def _own_fields(generation: GenerationRequest) -> tuple[str, frozenset[str]]:
    """Return the dialect whose own fields the request has, and their names. A skin writes those of one dialect."""
    dialect, extras = next(((name, found) for name, found in generation.extras.items() if name != CHAT), ("", {}))
    return dialect, frozenset(extras) - _READ_OF_OTHERS


def _turn(message: Message) -> dict[str, Any]:
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    role = "tool" if results and len(results) == len(message.parts) else message.role
    if all(isinstance(part, Text) for part in message.parts):
        return {"role": role, "content": "".join(part.text for part in message.parts if isinstance(part, Text))}
    return {"role": role, "content": [_content(part) for part in message.parts]}


def _content(part: object) -> dict[str, Any]:
    match part:
        case Text() | Refusal():
            return {"type": "text", "text": part.text}
        case Reasoning():
            return {"type": "reasoning", "text": part.text, "signature": part.signature or part.encrypted}
        case Media():
            key = _MEDIA_KEYS.get(part.kind, "file_data")
            return {"type": part.kind, key: part.url or part.file_id or "data"}
        case ToolCall():
            return {"type": "tool_call", "name": part.name, "arguments": part.arguments}
        case ToolResult():
            return {"type": "tool_result", "tool_call_id": part.call_id, "content": [_content(p) for p in part.content]}
        case Opaque():
            return {"type": "text", "text": part.text or ""}
    raise TypeError(part)


def _modality(generation: GenerationRequest) -> str:
    for message in generation.messages:
        for part in message.parts:
            for one in part.content if isinstance(part, ToolResult) else [part]:
                if isinstance(one, Media):
                    return one.kind if one.kind in ("image", "audio") else "file"
    return "text"
