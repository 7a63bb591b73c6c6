"""Encode a body of the same dialect by copying the bytes of all top-level fields that need no change."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple, get_args

import msgspec
from msgspec import Raw

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.generation import ReasoningEffort, ReasoningOptions
from router_service.core.http_request import HttpRequest, request_url
from router_service.core.large_json import encode_json
from router_service.core.request_source import RequestSource
from router_service.core.wire.chat_traits import (
    CALLS,
    DEVELOPER,
    FOREIGN,
    INVALID_ARGUMENTS,
    LONG_CALL_IDS,
    NAMES,
    PARTS,
)
from router_service.providers.chat_parameters import limited_tokens
from router_service.providers.formats.openai_chat.dialect import NAME, Dialect, ToolChoiceMode, dialect_of, origin_of
from router_service.providers.formats.openai_chat.encode import encode_request
from router_service.providers.formats.openai_chat.parameters import clamped, read_value, reported
from router_service.providers.formats.openai_chat.reasoning import encode_reasoning
from router_service.providers.formats.openai_chat.support import ROUTER_ONLY, TOOL_FIELDS, left_out
from router_service.providers.formats.openai_chat.tools import encode_tools
from router_service.providers.formats.openai_chat.turns import TurnEncoder
from router_service.providers.service_tier import encode_tier, requested_tier
from router_service.providers.wire_format import DecodeContext, Encoded

_encode = msgspec.json.Encoder().encode
_NULL = Raw(b"null")
_TRUE = Raw(b"true")
_INCLUDE_USAGE = Raw(b'{"include_usage":true}')
_NO_TOOLS = (_NULL, Raw(b"[]"))
_LIMITS = ("max_completion_tokens", "max_tokens")
_effort_decoder = msgspec.json.Decoder(ReasoningEffort)
_reasoning_decoder: msgspec.json.Decoder[ReasoningOptions | None] = msgspec.json.Decoder(ReasoningOptions | None)


def encode_source(source: RequestSource, endpoint: Endpoint, generation_id: str) -> Encoded:
    """Translate a chat body, given as raw top-level fields, to what ``encode`` makes of the request that it says.

    The request is parsed only if messages or tools have to change, or if it has no body of this dialect. All other
    fields keep their bytes. Raises ``ApiError`` 400 for a malformed field that has to be read.
    """
    if source.dialect != NAME:
        return encode_request(source.parsed, endpoint, generation_id)
    fields = source.fields
    has_tools = "tools" in fields and fields["tools"] not in _NO_TOOLS
    plan = _plan(endpoint.provider, endpoint.dialect, endpoint.upstream_model, endpoint.base_url, has_tools)
    if plan.is_translated and plan.translates(source):
        return encode_request(source.parsed, endpoint, generation_id)
    dialect, sent_as = plan.dialect, plan.sent_as.get
    dropped: set[str] = set()
    body: dict[str, Any] = {"model": endpoint.sent_model}
    for name, raw in fields.items():
        if (sent := sent_as(name, name)) is not None and raw != _NULL:
            body[sent] = raw
    has_special = not plan.special.isdisjoint(fields)
    if has_special and "max_tokens" in fields and fields.get("max_completion_tokens", _NULL) != _NULL:
        body[dialect.max_tokens] = fields["max_completion_tokens"]
    if (most := endpoint.max_completion_tokens) is not None and (limit := body.get(dialect.max_tokens)) is not None:
        body[dialect.max_tokens] = limited_tokens("max_tokens", limit, most, dropped)
    if has_special:
        _clamp(body, fields, plan, dropped)
        dropped |= reported(fields, plan.absent)
    encode = _encode
    if source.traits & plan.refused:
        body["messages"] = TurnEncoder(dialect, plan.origin, dropped).encode(source.parsed)
        encode = encode_json
    if has_tools and not dialect.cache_control and b"cache_control" in bytes(fields["tools"]):
        body["tools"] = encode_tools(source.parsed, dialect, dropped).get("tools")
    if endpoint.tier_prices or has_special:
        body |= _read_fields(fields, plan, endpoint, dropped)
    if source.stream:
        body["stream"] = _TRUE
        if dialect.stream_options:
            body["stream_options"] = _INCLUDE_USAGE
    names = tuple(sorted(dropped)) if dropped else ()
    request = HttpRequest(plan.url, {"content-type": "application/json"}, encode(body))
    choices = _choices(body["n"]) if has_special and "n" in body else 1
    if not (dialect.think_tags or dialect.reasoning_in_total or dialect.lists_sources):
        # Keyword arguments take several times as long, and few providers need them.
        return Encoded(request, DecodeContext(generation_id, plan.origin, choices), names)
    context = DecodeContext(
        generation_id,
        plan.origin,
        choices,
        think_tags=dialect.think_tags,
        lists_sources=dialect.lists_sources,
        reasoning_in_total=dialect.reasoning_in_total,
    )
    return Encoded(request, context, names)


def _clamp(body: dict[str, Any], fields: Mapping[str, Raw], plan: _Plan, dropped: set[str]) -> None:
    for name in plan.limited & fields.keys():
        bound, value = plan.dialect.limits[name], read_value(fields[name])
        if bound.excludes(value):
            body[plan.sent_as.get(name, name) or name] = clamped(name, value, bound, dropped)


class _Plan(NamedTuple):
    """Hold what an endpoint makes of a body.

    ``sent_as`` has the names of fields that are sent under another name, and ``None`` for those that are not copied.
    ``absent`` are those of them that the answer reports, ``limited`` the fields whose values have bounds. ``read`` are
    the fields that have to be decoded, ``special`` all those that few bodies have and that are more than copied.
    ``refused`` are the traits of messages that have to change. ``is_translated`` is true if some bodies have to be
    translated in full: those with ``translated`` fields, and those that ``translates`` finds.
    """

    dialect: Dialect
    url: str
    origin: str
    sent_as: dict[str, str | None]
    absent: frozenset[str]
    limited: frozenset[str]
    read: frozenset[str]
    special: frozenset[str]
    refused: int
    is_translated: bool
    translated: frozenset[str]

    def translates(self, source: RequestSource) -> bool:
        """Return whether the body has to be translated as a whole."""
        dialect, fields = self.dialect, source.fields
        return (
            dialect.rebuilds_turns
            or not self.translated.isdisjoint(fields)
            or (dialect.thinks_only_streamed and not source.stream)
            or (not dialect.tools and bool(source.traits & CALLS))
            or (dialect.inline_images and b"image_url" in bytes(fields.get("messages", _NULL)))
        )


@lru_cache(maxsize=8192)
def _plan(provider: str, named: str | None, upstream_model: str, base_url: str | None, has_tools: bool) -> _Plan:
    dialect = dialect_of(named or provider, upstream_model)
    absent = left_out(dialect)
    not_sent = set(ROUTER_ONLY) | absent | (set() if has_tools else {"tools", "tool_choice", "parallel_tool_calls"})
    read = {"reasoning", "service_tier", "speed"}
    if dialect.reasoning_request not in ("effort", "object") or dialect.efforts:
        read.add("reasoning_effort")
        not_sent.add("reasoning_effort")
    if not dialect.cache_control:
        read.add("cache_control")
        not_sent.add("cache_control")
    refused = FOREIGN
    refused |= 0 if dialect.developer_role else DEVELOPER
    refused |= 0 if dialect.message_names else NAMES
    refused |= 0 if dialect.text_parts else PARTS
    fits_calls = dialect.tool_call_ids == "nine_alphanumeric" or dialect.absent_reasoning is not None
    fits_calls = fits_calls or not dialect.null_content
    refused |= CALLS if fits_calls else 0
    refused |= INVALID_ARGUMENTS if dialect.valid_arguments else 0
    refused |= LONG_CALL_IDS if dialect.tool_call_ids == "short" else 0
    translated = _translated(dialect)
    limited = frozenset(dialect.limits) - absent
    return _Plan(
        dialect,
        request_url(base_url, "/chat/completions"),
        origin_of(provider, upstream_model),
        dict.fromkeys(not_sent)
        | dialect.renamed
        | {"max_tokens": dialect.max_tokens, "max_completion_tokens": dialect.max_tokens},
        absent,
        limited,
        frozenset(read),
        absent | limited | read | {"max_completion_tokens", "n"},
        refused,
        bool(
            translated
            or dialect.rebuilds_turns
            or dialect.thinks_only_streamed
            or not dialect.tools
            or dialect.inline_images
        ),
        translated,
    )


def _translated(dialect: Dialect) -> frozenset[str]:
    """Return the fields for which a body has to be translated as a whole."""
    found = set(dialect.refused)
    if not dialect.tools:
        found |= TOOL_FIELDS
    if not dialect.functions:
        found |= {"functions", "function_call"}
    if not (dialect.schemas and dialect.json_object) or dialect.schema_absent or not dialect.schema_type_lists:
        found.add("response_format")
    if dialect.forcing_stops_thinking or len(dialect.tool_choices) < len(get_args(ToolChoiceMode)):
        found.add("tool_choice")
    return frozenset(found)


def _read_fields(fields: Mapping[str, Raw], plan: _Plan, endpoint: Endpoint, dropped: set[str]) -> dict[str, Any]:
    """Return the fields that are decoded."""
    dialect = plan.dialect
    found: dict[str, Any] = {}
    if "reasoning" in fields or ("reasoning_effort" in plan.read and "reasoning_effort" in fields):
        limit = next((read_value(fields[name]) for name in _LIMITS if fields.get(name, _NULL) != _NULL), None)
        asked = encode_reasoning(_reasoning(fields, plan), dialect, dropped, limit=limit)
        # What a client writes in the provider's own form is what it wants.
        found |= {name: value for name, value in asked.items() if fields.get(name, _NULL) == _NULL or name in plan.read}
    if fields.get("cache_control", _NULL) != _NULL and not dialect.cache_control:
        dropped.add("cache_control")
    return found | encode_tier(_tier(fields), endpoint, dropped)


def _reasoning(fields: Mapping[str, Raw], plan: _Plan) -> ReasoningOptions | None:
    """Return what is asked for of reasoning; an effort that is copied is none of it."""
    try:
        options = _reasoning_decoder.decode(fields.get("reasoning", _NULL))
        if "reasoning_effort" in plan.read and (raw := fields.get("reasoning_effort", _NULL)) != _NULL:
            options = options or ReasoningOptions()
            options.effort = options.effort or _effort_decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise ApiError("invalid_request", f"reasoning must be an object with known values: {error}") from None
    return options


def _tier(fields: Mapping[str, Raw]) -> str | None:
    try:
        return requested_tier(fields)
    except msgspec.DecodeError:
        raise ApiError("invalid_request", "service_tier must be a string") from None


def _choices(found: Any) -> int:
    value = read_value(found)
    return value if isinstance(value, int) and value > 0 else 1
