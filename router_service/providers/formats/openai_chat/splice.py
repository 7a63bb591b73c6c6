"""Encode a body of the same dialect by copying the bytes of all top-level fields that need no change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest, ReasoningOptions
from router_service.core.http_request import HttpRequest
from router_service.providers.formats.openai_chat.dialect import Dialect, dialect_of, origin_of
from router_service.providers.formats.openai_chat.encode import encode_reasoning, encode_tier
from router_service.providers.formats.openai_chat.support import ROUTER_ONLY
from router_service.providers.formats.openai_chat.tools import encode_tools
from router_service.providers.formats.openai_chat.turns import TurnEncoder
from router_service.providers.service_tier import requested_tier
from router_service.providers.wire_format import DecodeContext, Encoded

_encode = msgspec.json.Encoder().encode
_NULL = Raw(b"null")
_EMPTY = Raw(b'""')
_TRUE = Raw(b"true")
_INCLUDE_USAGE = Raw(b'{"include_usage":true}')
# From here on it is faster to skip texts than to decode them.
_LARGE = 32 * 1024
_QUOTE = ord('"')
_NO_TOOLS = (_NULL, Raw(b"[]"))


class MessageTraits(NamedTuple):
    """Say what of messages some provider may not take, as bits."""

    needs: int


_FOREIGN, _DEVELOPER, _NAMES, _CALLS = 1, 2, 4, 8
_PLAIN = MessageTraits(0)
_FAULTY = MessageTraits(_FOREIGN)


class _Text(msgspec.Struct, forbid_unknown_fields=True, tag="text", tag_field="type", gc=False):
    text: Annotated[str, Meta(min_length=1)]


class _Image(msgspec.Struct, forbid_unknown_fields=True, tag="image_url", tag_field="type", gc=False):
    image_url: Raw


class _Audio(msgspec.Struct, forbid_unknown_fields=True, tag="input_audio", tag_field="type", gc=False):
    input_audio: Raw


class _File(msgspec.Struct, forbid_unknown_fields=True, tag="file", tag_field="type", gc=False):
    file: Raw


class _Video(msgspec.Struct, forbid_unknown_fields=True, tag="video_url", tag_field="type", gc=False):
    video_url: Raw


class _Call(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: Annotated[str, Meta(min_length=1)]
    type: Literal["function", "custom"]
    function: Raw | UnsetType = UNSET
    custom: Raw | UnsetType = UNSET


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    """Hold a turn without any field that the router or another provider may have added."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Raw = _EMPTY
    name: str | UnsetType = UNSET
    tool_calls: Annotated[list[_Call], Meta(min_length=1)] | UnsetType = UNSET
    tool_call_id: Annotated[str, Meta(min_length=1)] | UnsetType = UNSET


_SaidText = Annotated[str, Meta(min_length=1)]
_Said = _SaidText | Annotated[list[_Text | _Image | _Audio | _File | _Video], Meta(min_length=1)]


class _System(msgspec.Struct, forbid_unknown_fields=True, tag="system", tag_field="role", gc=False):
    content: _Said


class _User(msgspec.Struct, forbid_unknown_fields=True, tag="user", tag_field="role", gc=False):
    content: _Said


class _Assistant(msgspec.Struct, forbid_unknown_fields=True, tag="assistant", tag_field="role", gc=False):
    content: _SaidText


_decode_plain_turns = msgspec.json.Decoder(list[_System | _User | _Assistant]).decode
_decode_turns = msgspec.json.Decoder(list[_Turn]).decode
_decode_parts = msgspec.json.Decoder(
    Annotated[list[_Text | _Image | _Audio | _File | _Video], Meta(min_length=1)]
).decode
_decode_texts = msgspec.json.Decoder(Annotated[list[_Text], Meta(min_length=1)]).decode
_reasoning_decoder: msgspec.json.Decoder[ReasoningOptions | None] = msgspec.json.Decoder(ReasoningOptions | None)


def encode_raw(
    fields: Mapping[str, Raw],
    parse: Callable[[], GenerationRequest],
    endpoint: Endpoint,
    generation_id: str,
    *,
    stream: bool,
    traits: MessageTraits | None = None,
) -> Encoded:
    """Translate a chat body, given as raw top-level fields, to what ``encode`` makes of the request that it says.

    ``parse`` returns that request; it is called only if messages or tools have to change. All other fields keep their
    bytes. ``traits`` are those of the messages, for a caller that encodes one body several times. Raises ``ApiError``
    400 for a malformed field that has to be read.
    """
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
    if "messages" in body:
        found = traits or inspect_messages(fields["messages"])
        if found.needs & plan.refused:
            body["messages"] = TurnEncoder(dialect, plan.origin, dropped).encode(parse())
    if has_tools and not dialect.cache_control and b"cache_control" in bytes(fields["tools"]):
        body["tools"] = encode_tools(parse(), dialect, dropped).get("tools")
    if endpoint.tier_prices or not plan.read.isdisjoint(fields):
        body |= _read_fields(fields, dialect, endpoint, dropped)
    if stream:
        body["stream"] = _TRUE
        body["stream_options"] = _INCLUDE_USAGE
    names = tuple(sorted(dropped)) if dropped else ()
    request = HttpRequest(plan.url, {"content-type": "application/json"}, _encode(body), names)
    choices = _choices(fields["n"]) if "n" in fields else 1
    return Encoded(request, DecodeContext(generation_id, plan.origin, choices), names)


class _Plan(NamedTuple):
    """Hold what an endpoint makes of a body.

    ``sent_as`` has the names of fields that are sent under another name, and ``None`` for those that are not copied.
    ``read`` are the fields that have to be decoded, ``refused`` the traits of messages that have to change.
    """

    dialect: Dialect
    url: str
    origin: str
    sent_as: dict[str, str | None]
    read: frozenset[str]
    refused: int


@lru_cache(maxsize=8192)
def _plan(provider: str, upstream_model: str, base_url: str | None, has_tools: bool) -> _Plan:
    dialect = dialect_of(provider)
    left_out = set(ROUTER_ONLY) | (set() if has_tools else {"tools", "tool_choice", "parallel_tool_calls"})
    read = {"reasoning", "service_tier", "speed"}
    if dialect.reasoning_request == "none":
        read.add("reasoning_effort")
        left_out.add("reasoning_effort")
    if not dialect.cache_control:
        read.add("cache_control")
        left_out.add("cache_control")
    refused = _FOREIGN
    refused |= 0 if dialect.developer_role else _DEVELOPER
    refused |= 0 if dialect.message_names else _NAMES
    refused |= _CALLS if dialect.tool_call_ids != "any" or dialect.valid_arguments else 0
    return _Plan(
        dialect,
        f"{base_url}/chat/completions",
        origin_of(provider, upstream_model),
        dict.fromkeys(left_out)
        | {"seed": dialect.seed, "max_tokens": dialect.max_tokens, "max_completion_tokens": dialect.max_tokens},
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


def inspect_messages(messages: Raw) -> MessageTraits:
    """Return the traits of ``messages``: a field that the router or another provider added, a cache mark or an empty
    text are foreign to every provider, developer turns, names and calls to some."""
    if memoryview(messages).nbytes < _LARGE:
        try:
            _decode_plain_turns(messages)
            return _PLAIN
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    return _inspect_turns(messages)


def _inspect_turns(messages: Raw) -> MessageTraits:
    needs = 0
    try:
        for turn in _decode_turns(messages):
            needs |= _needs(turn)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _FAULTY
    return MessageTraits(needs)


def _needs(turn: _Turn) -> int:
    content, role = turn.content, turn.role
    needs = _NAMES if turn.name is not UNSET else 0
    if role == "assistant":
        if turn.tool_calls is not UNSET:
            # A text beside calls may be empty or null.
            return needs | _CALLS | (0 if content == _NULL or _is_text(content) else _FOREIGN)
        return needs | (0 if content != _EMPTY and _is_text(content) else _FOREIGN)
    if role == "tool":
        fits = turn.tool_call_id is not UNSET and (_is_text(content) or _decode_texts(content))
        return needs | _CALLS | (0 if fits else _FOREIGN)
    fits = turn.tool_calls is UNSET and content != _EMPTY and (_is_text(content) or _decode_parts(content))
    return needs | (_DEVELOPER if role == "developer" else 0) | (0 if fits else _FOREIGN)


def _is_text(raw: Raw) -> bool:
    return memoryview(raw)[0] == _QUOTE
