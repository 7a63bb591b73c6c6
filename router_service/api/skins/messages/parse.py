"""Read the body of a messages request as a ``GenerationRequest``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from router_service.api.skins.messages.blocks import cache_mark, read_content
from router_service.api.skins.messages.checked_json import T, checked, decode_at, invalid
from router_service.api.skins.messages.errors import DETAILS
from router_service.api.skins.messages.system import read_system
from router_service.api.skins.messages.tools import read_tool_choice, read_tools
from router_service.core.errors import ApiError
from router_service.core.generation import (
    GenerationRequest,
    Message,
    OutputFormat,
    ReasoningOptions,
    Role,
    Sampling,
)
from router_service.core.large_json import decode_items
from router_service.core.large_text import decode_with_long_text
from router_service.core.parts import AnyPart, Reasoning, ToolCall, ToolResult
from router_service.core.request_bounds import MAX_ITEMS
from router_service.core.wire.anthropic import (
    BETA_HEADER,
    BETA_QUERY,
    DIALECT,
    CacheControl,
    JsonFormat,
    Metadata,
    OutputConfig,
    Sampled,
    Thinking,
    TokenLimit,
    WireMessage,
)

_MESSAGES = msgspec.json.Decoder(Annotated[list[WireMessage], Meta(min_length=1, max_length=MAX_ITEMS)])
_MESSAGE = msgspec.json.Decoder(WireMessage)
_MAX_TOKENS = msgspec.json.Decoder(TokenLimit)
_TEMPERATURE = msgspec.json.Decoder(Sampled | None)
_TOP_P = msgspec.json.Decoder(Annotated[float, Meta(ge=0, le=1)] | None)
_TOP_K = msgspec.json.Decoder(TokenLimit | None)
_STOP = msgspec.json.Decoder(Annotated[list[str], Meta(max_length=1_000)] | None)
_THINKING = msgspec.json.Decoder(Thinking | None)
_CONFIG = msgspec.json.Decoder(OutputConfig | None)
_FORMAT = msgspec.json.Decoder(JsonFormat | None)
_SCHEMA = msgspec.json.Decoder(dict[str, Any])
_METADATA = msgspec.json.Decoder(Metadata | None)
_CACHE = msgspec.json.Decoder(CacheControl | None)
_FLAG = msgspec.json.Decoder(bool | None)
_WORD = msgspec.json.Decoder(str | None)
_SPEED = msgspec.json.Decoder(Literal["standard", "fast"] | None)
_ONE = msgspec.json.Decoder(int | None)
# Fields that the middle holds, and those that are for the router alone and are never sent upstream.
_READ = frozenset(
    {"messages", "system", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "tools", "tool_choice"}
    | {"thinking", "output_config", "output_format", "metadata", "service_tier", "speed", "cache_control", "stream"}
    | {"n", "thread"}
)
_ROUTER_ONLY = frozenset(
    {"model", "models", "provider", "plugins", "route", "transforms", "usage", "session_id", "trace", "debug", "preset"}
)
_KNOWN_CONFIG = frozenset(OutputConfig.__struct_fields__)


def parse_generation(
    fields: Mapping[str, msgspec.Raw],
    *,
    betas: Sequence[str] = (),
    beta_query: bool = False,
    counting: bool = False,
) -> GenerationRequest:
    """Translate the top-level ``fields`` of a body. Raises ``ApiError`` 400 that names the field to change.

    ``betas`` are the values of the ``anthropic-beta`` header, ``beta_query`` says that the address had ``beta=true``;
    both stay in the extras of the dialect, under the keys ``BETA_HEADER`` and ``BETA_QUERY``. ``max_tokens`` is
    required unless ``counting``. The extras have ``thinking`` and ``output_config`` too where they say more than the
    middle can: a ``display``, thinking between tools, a task budget.
    """
    _refuse_choices(fields)
    _refuse_threads(fields)
    instructions, messages = _turns(fields)
    if "max_tokens" not in fields and not counting:
        raise invalid("max_tokens", "the field is required; send the most tokens that the answer may have")
    metadata = _read(fields, "metadata", _METADATA)
    speed = _read(fields, "speed", _SPEED)
    return GenerationRequest(
        instructions=instructions,
        messages=messages,
        tools=read_tools(fields["tools"]) if "tools" in fields else [],
        tool_choice=read_tool_choice(fields["tool_choice"]) if "tool_choice" in fields else None,
        output=_output(fields),
        sampling=Sampling(
            temperature=_read(fields, "temperature", _TEMPERATURE),
            top_p=_read(fields, "top_p", _TOP_P),
            top_k=_read(fields, "top_k", _TOP_K),
            stop=_read(fields, "stop_sequences", _STOP) or [],
        ),
        reasoning=_reasoning(fields),
        max_tokens=_read(fields, "max_tokens", _MAX_TOKENS),
        cache=cache_mark(_read(fields, "cache_control", _CACHE)),
        user=metadata.user_id if metadata else None,
        service_tier=_read(fields, "service_tier", _WORD) or ("fast" if speed == "fast" else None),
        stream=_read(fields, "stream", _FLAG) or False,
        extras=_extras(fields, betas, beta_query),
    )


def _read(fields: Mapping[str, msgspec.Raw], name: str, decoder: msgspec.json.Decoder[T]) -> T | None:
    return decode_at(fields[name], decoder, name) if name in fields else None


def _refuse_choices(fields: Mapping[str, msgspec.Raw]) -> None:
    if (_read(fields, "n", _ONE) or 1) != 1:
        raise invalid("n", "this API returns one choice; leave the field out, or use /v1/chat/completions")


def _refuse_threads(fields: Mapping[str, msgspec.Raw]) -> None:
    """Refuse a conversation that the server is to keep: the next turn may go to another provider, which has not got it.

    With this code the SDKs' tool runners, which begin a thread unasked, continue by sending the full conversation.
    Source: https://platform.claude.com/docs/en/build-with-claude/message-threads.
    """
    if "thread" in fields and bytes(fields["thread"]) != b"null":
        raise ApiError(
            "invalid_request",
            "thread: this router keeps no conversations; leave the field out and send all messages with each request",
            metadata={DETAILS: {"error_code": "thread_unsupported_request"}},
        )


def _turns(fields: Mapping[str, msgspec.Raw]) -> tuple[list[Message], list[Message]]:
    if "messages" not in fields:
        raise invalid("messages", "the field is required; send an array with at least one message")
    instructions = [Message(role="system", parts=read_system(fields["system"]))] if "system" in fields else []
    messages: list[Message] = []
    turns = decode_items(
        fields["messages"],
        lambda: decode_at(fields["messages"], _MESSAGES, "messages"),
        lambda turn, index: decode_with_long_text(
            turn, "content", lambda raw: decode_at(raw, _MESSAGE, f"messages.{index}")
        ),
    )
    for index, turn in enumerate(turns):
        path = f"messages.{index}.content"
        parts = read_content(turn.content, path)
        _check_places(turn.role, parts, path)
        found = _split(turn.role, parts)
        if turn.role == "system" and not messages:
            instructions += found
        else:
            messages += found
    return [one for one in instructions if one.parts], messages


def _check_places(role: Role, parts: list[AnyPart], path: str) -> None:
    for index, part in enumerate(parts):
        if role != "assistant" and isinstance(part, ToolCall | Reasoning):
            raise invalid(f"{path}.{index}.type", "tool_use and thinking blocks belong to turns of the assistant")
        if role != "user" and isinstance(part, ToolResult):
            raise invalid(f"{path}.{index}.type", "tool_result blocks belong to turns of the user")


def _split(role: Role, parts: list[AnyPart]) -> list[Message]:
    """Return one turn for each run of tool results, and of other parts."""
    found: list[Message] = []
    for part in parts:
        wanted: Role = "tool" if isinstance(part, ToolResult) else role
        if not found or found[-1].role != wanted:
            found.append(Message(role=wanted))
        found[-1].parts.append(part)
    return found or [Message(role=role)]


def _reasoning(fields: Mapping[str, msgspec.Raw]) -> ReasoningOptions | None:
    thinking, config = _read(fields, "thinking", _THINKING), _read(fields, "output_config", _CONFIG)
    effort = config.effort if config else None
    if thinking is None:
        return None if effort is None else ReasoningOptions(effort=effort)
    if thinking.type == "enabled" and thinking.budget_tokens is None:
        raise invalid("thinking.budget_tokens", "the field is required for thinking of type 'enabled'")
    budget = thinking.budget_tokens if thinking.type == "enabled" else None
    return ReasoningOptions(enabled=thinking.type != "disabled", effort=effort, max_tokens=budget)


def _output(fields: Mapping[str, msgspec.Raw]) -> OutputFormat:
    config = _read(fields, "output_config", _CONFIG)
    path, found = "output_config.format", config.format if config else None
    if found is None:
        # The name of the field before it became part of output_config.
        path, found = "output_format", _read(fields, "output_format", _FORMAT)
    if found is None:
        return OutputFormat()
    decode_at(found.schema, _SCHEMA, f"{path}.schema")
    return OutputFormat(kind="json_schema", schema=found.schema, strict=True)


def _extras(fields: Mapping[str, msgspec.Raw], betas: Sequence[str], beta_query: bool) -> dict[str, dict[str, Any]]:
    found: dict[str, Any] = {}
    for name, raw in fields.items():
        if name not in _READ and name not in _ROUTER_ONLY:
            checked(raw, name)
            found[name] = raw
    thinking = _read(fields, "thinking", _THINKING)
    if thinking is not None and (thinking.display is not None or thinking.type == "between_tools"):
        found["thinking"] = fields["thinking"]
    config = checked(fields["output_config"], "output_config") if "output_config" in fields else None
    if config and config.keys() - _KNOWN_CONFIG:
        found["output_config"] = fields["output_config"]
    named = [word for value in betas for part in value.split(",") if (word := part.strip())]
    if named:
        found[BETA_HEADER] = list(dict.fromkeys(named))
    if beta_query:
        found[BETA_QUERY] = True
    return {DIALECT: found} if found else {}
