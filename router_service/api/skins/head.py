"""Build the head of a request that did not come as a chat body: routing and the record read it alike for all skins.

The messages are written as chat messages, so that a conversation has the same key through every skin.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from router_service.core.canonical_turns import data_ends
from router_service.core.generation import GenerationRequest, Message
from router_service.core.large_json import encode_json
from router_service.core.parts import AnyPart, Media, Opaque, Reasoning, Refusal, Text, ToolCall, ToolResult
from router_service.core.request import Head
from router_service.core.wire.anthropic import BETA_HEADER, BETA_QUERY
from router_service.core.wire.chat import DIALECT as CHAT

# Parameters of the chat dialect by the field of ``GenerationRequest`` that holds them.
_PLAIN = ("metadata", "modalities", "user", "verbosity")
# Fields of other dialects whose meaning the request has, and those that are no fields of a body.
_READ_OF_OTHERS = frozenset({"thinking", "output_config", BETA_HEADER, BETA_QUERY})
_encode = msgspec.json.Encoder().encode
# Parameters of the chat dialect by the field of ``Sampling`` that holds them.
_SAMPLING = (
    "temperature", "top_p", "top_k", "min_p", "top_a", "frequency_penalty", "presence_penalty", "repetition_penalty",
    "seed", "logit_bias", "logprobs", "top_logprobs",
)  # fmt: skip


def head_of(
    generation: GenerationRequest,
    model: str | None,
    *,
    client_model: str = "",
    provider: bytes = b"",
    session_id: str | None = None,
) -> Head:
    """Return the head of ``generation`` for ``model``; ``provider`` is the raw ``provider`` object of the body."""
    turns = [turn for message in (*generation.instructions, *generation.messages) for turn in _turns(message)]
    messages = encode_json(turns)
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
        client_model=client_model,
    )


def head_like(generation: GenerationRequest, sent: Head) -> Head:
    """Return the head of ``generation`` with what ``sent``, the head of the client's body, says to routing."""
    made = head_of(
        generation, sent.model, client_model=sent.client_model, provider=sent.provider, session_id=sent.session_id
    )
    return msgspec.structs.replace(made, models=sent.models, trace_id=sent.trace_id)


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


def _turns(message: Message) -> Iterator[dict[str, Any]]:
    """Yield the chat messages of ``message``: each tool result is one, and what else it says is another."""
    content: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    reasoning: list[dict[str, Any]] = []
    answers = False
    for part in message.parts:
        match part:
            case ToolResult():
                answers = True
                said = [one for each in part.content if (one := _content(each)) is not None]
                yield {"role": "tool", "tool_call_id": part.call_id, "content": _plain(said)}
            case ToolCall():
                called = {"name": part.name, "arguments": part.arguments}
                calls.append({"id": part.call_id, "type": "function", "function": called})
            case Reasoning():
                signature = part.signature or part.encrypted
                reasoning.append({"type": "reasoning.text", "text": part.text, "signature": signature})
            case _ if (one := _content(part)) is not None:
                content.append(one)
    if answers and not content:
        return
    turn = {"role": message.role, "content": _plain(content)}
    if calls:
        turn["tool_calls"] = calls
    if reasoning:
        turn["reasoning_details"] = reasoning
    yield turn


def _plain(content: list[dict[str, Any]]) -> str | list[dict[str, Any]] | None:
    """Return a single text as clients write it."""
    if len(content) == 1 and content[0]["type"] == "text":
        text: str = content[0]["text"]
        return text
    return content or None


def _content(part: AnyPart) -> dict[str, Any] | None:
    match part:
        case Text() | Refusal():
            return {"type": "text", "text": part.text}
        case Opaque(text=str(text)):
            return {"type": "text", "text": text}
        case Media(kind="image" | "video"):
            key = f"{part.kind}_url"
            return {"type": key, key: {"url": _address(part)}}
        case Media(kind="audio"):
            return {"type": "input_audio", "input_audio": {"data": part.url or data_ends(part.data or "")}}
        case Media():
            return {"type": "file", "file": {"file_data": _address(part)}}
    return None


def _address(media: Media) -> str | None:
    """Return the URL or id of a medium. Of data only the ends are kept: it is not sent on from here."""
    if media.data is None:
        return media.url or media.file_id
    return f"data:{media.media_type or ''};base64,{data_ends(media.data)}"


def _modality(generation: GenerationRequest) -> str:
    for message in generation.messages:
        for part in message.parts:
            for one in part.content if isinstance(part, ToolResult) else [part]:
                if isinstance(one, Media):
                    return one.kind if one.kind in ("image", "audio") else "file"
    return "text"
