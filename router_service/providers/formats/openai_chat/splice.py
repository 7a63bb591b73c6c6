"""Encode a body of the same dialect by copying the bytes of all top-level fields that need no change."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.generation import ReasoningOptions
from router_service.core.http_request import HttpRequest
from router_service.core.request_source import RequestSource
from router_service.core.wire.chat_traits import CALLS, DEVELOPER, FOREIGN, LONG_CALL_IDS, NAMES
from router_service.providers.formats.openai_chat.dialect import NAME, Dialect, dialect_of, origin_of
from router_service.providers.formats.openai_chat.encode import encode_reasoning, encode_request, encode_tier
from router_service.providers.formats.openai_chat.support import ROUTER_ONLY, left_out, reported
from router_service.providers.formats.openai_chat.tools import encode_tools
from router_service.providers.formats.openai_chat.turns import TurnEncoder
from router_service.providers.service_tier import requested_tier
from router_service.providers.wire_format import DecodeContext, Encoded

_encode = msgspec.json.Encoder().encode
_NULL = Raw(b"null")
_TRUE = Raw(b"true")
_INCLUDE_USAGE = Raw(b'{"include_usage":true}')
_NO_TOOLS = (_NULL, Raw(b"[]"))
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
    plan = _plan(endpoint.provider, endpoint.upstream_model, endpoint.base_url, has_tools)
    dialect, sent_as = plan.dialect, plan.sent_as.get
    dropped: set[str] = set()
    body: dict[str, Any] = {"model": endpoint.upstream_model}
    for name, raw in fields.items():
        if (sent := sent_as(name, name)) is not None and raw != _NULL:
            body[sent] = raw
    if "max_tokens" in fields and fields.get("max_completion_tokens", _NULL) != _NULL:
        body[dialect.max_tokens] = fields["max_completion_tokens"]
    if not plan.absent.isdisjoint(fields):
        dropped |= reported(fields, plan.absent)
    if source.traits & plan.refused:
        body["messages"] = TurnEncoder(dialect, plan.origin, dropped).encode(source.parsed)
    if has_tools and not dialect.cache_control and b"cache_control" in bytes(fields["tools"]):
        body["tools"] = encode_tools(source.parsed, dialect, dropped).get("tools")
    if endpoint.tier_prices or not plan.read.isdisjoint(fields):
        body |= _read_fields(fields, dialect, endpoint, dropped)
    if source.stream:
        body["stream"] = _TRUE
        body["stream_options"] = _INCLUDE_USAGE
    names = tuple(sorted(dropped)) if dropped else ()
    request = HttpRequest(plan.url, {"content-type": "application/json"}, _encode(body))
    choices = _choices(fields["n"]) if "n" in fields else 1
    context = DecodeContext(generation_id, plan.origin, choices, reasoning_in_total=dialect.reasoning_in_total)
    return Encoded(request, context, names)


class _Plan(NamedTuple):
    """Hold what an endpoint makes of a body.

    ``sent_as`` has the names of fields that are sent under another name, and ``None`` for those that are not copied.
    ``absent`` are those of them that the answer reports. ``read`` are the fields that have to be decoded, ``refused``
    the traits of messages that have to change.
    """

    dialect: Dialect
    url: str
    origin: str
    sent_as: dict[str, str | None]
    absent: frozenset[str]
    read: frozenset[str]
    refused: int


@lru_cache(maxsize=8192)
def _plan(provider: str, upstream_model: str, base_url: str | None, has_tools: bool) -> _Plan:
    dialect = dialect_of(provider)
    absent = left_out(provider)
    not_sent = set(ROUTER_ONLY) | absent | (set() if has_tools else {"tools", "tool_choice", "parallel_tool_calls"})
    read = {"reasoning", "service_tier", "speed"}
    if dialect.reasoning_request == "none":
        read.add("reasoning_effort")
        not_sent.add("reasoning_effort")
    if not dialect.cache_control:
        read.add("cache_control")
        not_sent.add("cache_control")
    refused = FOREIGN
    refused |= 0 if dialect.developer_role else DEVELOPER
    refused |= 0 if dialect.message_names else NAMES
    refused |= CALLS if dialect.tool_call_ids == "nine_alphanumeric" or dialect.valid_arguments else 0
    refused |= LONG_CALL_IDS if dialect.tool_call_ids == "short" else 0
    return _Plan(
        dialect,
        f"{base_url}/chat/completions",
        origin_of(provider, upstream_model),
        dict.fromkeys(not_sent)
        | {"seed": dialect.seed, "max_tokens": dialect.max_tokens, "max_completion_tokens": dialect.max_tokens},
        absent,
        frozenset(read),
        refused,
    )


def _read_fields(fields: Mapping[str, Raw], dialect: Dialect, endpoint: Endpoint, dropped: set[str]) -> dict[str, Any]:
    """Return the fields that are decoded."""
    found: dict[str, Any] = {}
    if "reasoning" in fields:
        found |= encode_reasoning(_reasoning(fields["reasoning"]), dialect, dropped)
        if fields.get("reasoning_effort", _NULL) != _NULL:
            found.pop("reasoning_effort", None)
    elif dialect.reasoning_request == "none" and "reasoning_effort" in fields:
        dropped.add("reasoning")
    if fields.get("cache_control", _NULL) != _NULL and not dialect.cache_control:
        dropped.add("cache_control")
    return found | encode_tier(_tier(fields), endpoint, dropped)


def _reasoning(raw: Raw) -> ReasoningOptions | None:
    try:
        return _reasoning_decoder.decode(raw)
    except msgspec.DecodeError as error:
        raise ApiError("invalid_request", f"reasoning must be an object with known values: {error}") from None


def _tier(fields: Mapping[str, Raw]) -> str | None:
    try:
        return requested_tier(fields)
    except msgspec.DecodeError:
        raise ApiError("invalid_request", "service_tier must be a string") from None


def _choices(raw: Raw) -> int:
    try:
        return msgspec.json.decode(raw, type=int | None) or 1
    except msgspec.DecodeError:
        return 1
