"""Translate a chat completions request to the canonical one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from router_service.api.skins.cache_control import read_cache_mark
from router_service.api.skins.chat.tools import read_tools
from router_service.api.skins.chat.turns import read_messages
from router_service.api.skins.field_errors import EXPECTED, bad_field, read_field
from router_service.api.skins.reasoning_options import read_reasoning_options
from router_service.api.skins.response_format import read_response_format
from router_service.api.skins.sampling import SAMPLING, read_sampling
from router_service.core.generation import GenerationRequest, ReasoningOptions
from router_service.core.wire.chat import (
    DIALECT,
    Positive,
)

_TEXT = msgspec.json.Decoder(str | None)
_FLAG = msgspec.json.Decoder(bool | None)
_LIMIT = msgspec.json.Decoder(Positive | None)
_METADATA = msgspec.json.Decoder(dict[str, str] | None)
_TEXTS = msgspec.json.Decoder(list[str] | None)
_OTHER: tuple[tuple[str, msgspec.json.Decoder[Any], str], ...] = (
    ("user", _TEXT, "a string"),
    ("metadata", _METADATA, "an object of strings"),
    ("modalities", _TEXTS, "an array such as ['text', 'audio']"),
    ("verbosity", _TEXT, "a string such as 'low'"),
)
_LIMIT_FIELDS = ("max_completion_tokens", "max_tokens")
_TIERS_OF_SPEED = {"fast": "priority"}
# Fields for the router itself: they are read elsewhere and are never sent to a provider. Those that ask for a service
# that the router does not have stay among the extras, so that the formats report them.
ROUTER_FIELDS = frozenset(
    {
        "include_reasoning", "model", "models", "provider", "route", "session_id", "speed", "stream_options", "trace",
        "usage",
    }
)  # fmt: skip
_READ_FIELDS = ROUTER_FIELDS.union(
    SAMPLING,
    _LIMIT_FIELDS,
    {
        "cache_control", "function_call", "functions", "messages", "metadata", "modalities", "parallel_tool_calls",
        "reasoning", "reasoning_effort", "response_format", "service_tier", "stream", "tool_choice", "tools", "user",
        "verbosity",
    },
)  # fmt: skip

# What routing reads itself, or what the provider's format reads.
_ROUTED_FIELDS = frozenset(
    {"max_completion_tokens", "max_tokens", "messages", "model", "models", "provider", "stream", "stream_options",
     "session_id", "tool_choice", "tools", "trace", "usage"}
)  # fmt: skip


def check_parameters(fields: Mapping[str, Raw]) -> ReasoningOptions | None:
    """Return what is asked for of reasoning; messages and tools are not read.

    Raises ``ApiError`` 400 like ``parse_generation`` for a malformed parameter, which no provider is asked to judge.
    """
    if fields.keys() <= _ROUTED_FIELDS:
        return None
    read_sampling(fields)
    read_response_format(fields, {})
    read_cache_mark(fields)
    for name, decoder, expected in _OTHER:
        read_field(fields, name, decoder, expected)
    _service_tier(fields)
    return read_reasoning_options(fields)


def parse_generation(fields: Mapping[str, Raw]) -> GenerationRequest:
    """Translate the top-level ``fields`` of a body.

    Raises ``ApiError`` 400 naming the field that is malformed, with the index of its message, and what to send.
    """
    if "messages" not in fields:
        raise bad_field("messages", f"is missing; send {EXPECTED['messages']}")
    instructions, messages = read_messages(fields["messages"])
    tools, tool_choice = read_tools(fields)
    others = {name: read_field(fields, name, decoder, expected) for name, decoder, expected in _OTHER}
    extras: dict[str, Any] = {name: raw for name, raw in fields.items() if name not in _READ_FIELDS}
    return GenerationRequest(
        instructions=instructions,
        messages=messages,
        tools=tools,
        tool_choice=tool_choice,
        output=read_response_format(fields, extras),
        sampling=read_sampling(fields),
        reasoning=read_reasoning_options(fields),
        max_tokens=_limit(fields),
        cache=read_cache_mark(fields),
        user=others["user"],
        metadata=others["metadata"],
        service_tier=_service_tier(fields),
        modalities=others["modalities"],
        verbosity=others["verbosity"],
        stream=bool(read_field(fields, "stream", _FLAG, "true or false")),
        extras={DIALECT: extras} if extras else {},
    )


def _limit(fields: Mapping[str, Raw]) -> int | None:
    limits = [read_field(fields, name, _LIMIT, "a whole number of at least 1") for name in _LIMIT_FIELDS]
    found: int | None = next((limit for limit in limits if limit is not None), None)
    return found


def _service_tier(fields: Mapping[str, Raw]) -> str | None:
    tier: str | None = read_field(fields, "service_tier", _TEXT, "a string such as 'priority'")
    return tier or _TIERS_OF_SPEED.get(read_field(fields, "speed", _TEXT, "a string such as 'fast'") or "")
