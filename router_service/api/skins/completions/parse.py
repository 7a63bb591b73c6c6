"""Translate a legacy completion request to the canonical one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from router_service.api.skins.cache_control import read_cache_mark
from router_service.api.skins.field_errors import bad_field, decode_field, read_field
from router_service.api.skins.reasoning_options import read_reasoning_options
from router_service.api.skins.response_format import read_response_format
from router_service.api.skins.sampling import SAMPLING, read_sampling
from router_service.core.generation import GenerationRequest, Message, Sampling
from router_service.core.parts import Text
from router_service.core.wire.chat import DIALECT, Positive
from router_service.planning.service_tiers import requested_tier

_PROMPT = msgspec.json.Decoder(str | list[str | int | list[int] | dict[str, Raw]] | None)
_TEXT = msgspec.json.Decoder(str | None)
_FLAG = msgspec.json.Decoder(bool | None)
_LIMIT = msgspec.json.Decoder(Positive | None)
_METADATA = msgspec.json.Decoder(dict[str, str] | None)
_LOGPROBS = msgspec.json.Decoder(Annotated[int, Meta(ge=0, le=20)] | bool | None)
_BEST_OF = msgspec.json.Decoder(Annotated[int, Meta(ge=1, le=128)] | None)
# ``logprobs`` is a number here.
_SAMPLING = tuple(name for name in SAMPLING if name not in ("logprobs", "top_logprobs"))
_ROUTER_FIELDS = frozenset(
    {"include_reasoning", "model", "models", "provider", "route", "session_id", "stream_options", "trace", "usage"}
)
_NULL = Raw(b"null")
_IN_CHAT = "send the request to chat/completions"
READ_FIELDS = _ROUTER_FIELDS.union(
    _SAMPLING,
    {
        "best_of", "cache_control", "echo", "function_call", "functions", "logprobs", "max_completion_tokens",
        "max_tokens", "messages", "metadata", "parallel_tool_calls", "prompt", "reasoning", "reasoning_effort",
        "response_format", "service_tier", "stream", "suffix", "tool_choice", "tools", "user",
    },
)  # fmt: skip


def parse_completion(fields: Mapping[str, Raw]) -> GenerationRequest:
    """Translate the top-level ``fields`` of a body. Raises ``ApiError`` 400 naming what to change."""
    prompt = _prompt(fields)
    sampling = _sampling(fields)
    _refuse_old_features(fields, sampling.n)
    _refuse_chat_features(fields)
    extras: dict[str, Any] = {name: raw for name, raw in fields.items() if name not in READ_FIELDS}
    limit = read_field(fields, "max_completion_tokens", _LIMIT, "a whole number of at least 1")
    return GenerationRequest(
        messages=[Message(role="user", parts=[Text(text=prompt)])],
        output=read_response_format(fields, extras),
        sampling=sampling,
        reasoning=read_reasoning_options(fields),
        max_tokens=limit or read_field(fields, "max_tokens", _LIMIT, "a whole number of at least 1"),
        cache=read_cache_mark(fields),
        user=read_field(fields, "user", _TEXT, "a string"),
        metadata=read_field(fields, "metadata", _METADATA, "an object of strings"),
        service_tier=requested_tier(read_field(fields, "service_tier", _TEXT, "a string such as 'priority'"), None),
        stream=bool(read_field(fields, "stream", _FLAG, "true or false")),
        extras={DIALECT: extras} if extras else {},
    )


def _prompt(fields: Mapping[str, Raw]) -> str:
    found = decode_field(fields["prompt"], _PROMPT, "prompt", "a string") if "prompt" in fields else None
    if isinstance(found, list):
        if any(isinstance(one, dict) for one in found):
            raise bad_field("prompt", f"has an object, but no text contains an image or a file; {_IN_CHAT}")
        if any(not isinstance(one, str) for one in found):
            raise bad_field("prompt", "has tokens, which mean something to one model alone; send a string")
        if len(found) > 1:
            raise bad_field("prompt", f"has {len(found)} prompts; send one request for each")
        found = str(found[0]) if found else None
    if not found:
        raise bad_field("prompt", "is missing or empty; send a string")
    return found


def _sampling(fields: Mapping[str, Raw]) -> Sampling:
    found = read_sampling(fields, _SAMPLING)
    wanted = read_field(fields, "logprobs", _LOGPROBS, "a whole number from 0 to 20")
    if wanted is None or wanted is False:
        return found
    return msgspec.structs.replace(found, logprobs=True, top_logprobs=None if wanted is True else wanted)


def _refuse_chat_features(fields: Mapping[str, Raw]) -> None:
    """Refuse what an answer that is a text cannot contain, and turns, which a prompt does not have."""
    for name in ("tools", "functions"):
        if bytes(fields.get(name, _NULL)) not in (b"null", b"[]"):
            raise bad_field(name, f"is not supported: an answer that is a text has no tool calls; {_IN_CHAT}")
    for name in ("tool_choice", "function_call"):
        if bytes(fields.get(name, _NULL)) not in (b"null", b'"auto"', b'"none"'):
            raise bad_field(name, f"is not supported: an answer that is a text has no tool calls; {_IN_CHAT}")
    if bytes(fields.get("messages", _NULL)) != b"null":
        raise bad_field("messages", f"is not supported: a prompt has no turns; {_IN_CHAT}")


def _refuse_old_features(fields: Mapping[str, Raw], choices: int) -> None:
    """Refuse what chat models, which answer all requests here, cannot do."""
    if read_field(fields, "echo", _FLAG, "true or false"):
        raise bad_field("echo", "is not supported: chat models do not continue a prompt; write it before the text")
    if read_field(fields, "suffix", _TEXT, "a string"):
        raise bad_field("suffix", "is not supported: chat models fill no gap; say in the prompt what is to follow")
    best_of = read_field(fields, "best_of", _BEST_OF, "a whole number of at least 1")
    if best_of is not None and best_of > choices:
        raise bad_field("best_of", "is not supported: no provider chooses among answers; send n, or leave it out")
