"""Encode requests as bodies of chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.catalogue.types import Endpoint
from router_service.core.generation import GenerationRequest, Sampling
from router_service.core.http_request import HttpRequest, request_url
from router_service.core.large_json import encode_json
from router_service.core.wire.anthropic import BETA_HEADER, BETA_QUERY
from router_service.providers.chat_parameters import UNSERVED, asking_fields, limited_tokens
from router_service.providers.formats.openai_chat.dialect import NAME, dialect_at, origin_of
from router_service.providers.formats.openai_chat.output import asks_in_words, encode_output, with_schema
from router_service.providers.formats.openai_chat.parameters import fitted_parameters
from router_service.providers.formats.openai_chat.reasoning import encode_reasoning, without_thinking
from router_service.providers.formats.openai_chat.support import ROUTER_ONLY, left_out
from router_service.providers.formats.openai_chat.tools import cache_control, encode_tools
from router_service.providers.formats.openai_chat.turns import TurnEncoder
from router_service.providers.service_tier import encode_tier
from router_service.providers.wire_format import DecodeContext, Encoded

_PLAIN_SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "top_a",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "seed",
    "logit_bias",
    "logprobs",
    "top_logprobs",
)
# Fields of other dialects whose meaning the middle has, and those that are no parameters.
_READ_OF_OTHERS = frozenset({"thinking", "output_config", BETA_HEADER, BETA_QUERY})
_NEVER_COPIED = ROUTER_ONLY - UNSERVED
_PLAIN = ("user", "metadata", "modalities", "verbosity")


def encode_request(request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
    """Translate a request. Raises ``ApiError`` 400 for what the provider cannot do at all."""
    dialect = dialect_at(endpoint)
    dropped: set[str] = set()
    origin = origin_of(endpoint.provider, endpoint.upstream_model)
    turns = TurnEncoder(dialect, origin, dropped).encode(request)
    body: dict[str, Any] = {"model": endpoint.sent_model, "messages": with_schema(turns, request.output, dialect)}
    body |= encode_tools(request, dialect, dropped)
    body |= encode_output(request.output, dialect, dropped)
    body |= _sampling(request.sampling)
    if request.max_tokens is not None:
        limit = limited_tokens("max_tokens", request.max_tokens, endpoint.max_completion_tokens, dropped)
        body[dialect.max_tokens] = limit
    body |= encode_tier(request.service_tier, endpoint, dropped)
    body |= {name: value for name in _PLAIN if (value := getattr(request, name)) is not None}
    if request.cache is not None:
        if dialect.cache_control:
            body["cache_control"] = cache_control(request.cache)
        else:
            dropped.add("cache_control")
    body |= _extras(request, body, dropped)
    body = fitted_parameters(body, dialect, left_out(dialect), dropped)
    options = without_thinking(request.reasoning, request.tool_choice, dialect, dropped, stream=request.stream)
    body = encode_reasoning(options, dialect, dropped, limit=request.max_tokens) | body
    if request.stream:
        body["stream"] = True
        if dialect.stream_options:
            body["stream_options"] = {"include_usage": True}
    choices = body.get("n") or 1
    context = DecodeContext(
        generation_id,
        origin,
        choices if isinstance(choices, int) else 1,
        think_tags=dialect.think_tags,
        lists_sources=dialect.lists_sources,
        json_text=asks_in_words(request.output, dialect),
        reasoning_in_total=dialect.reasoning_in_total,
    )
    url, headers = request_url(endpoint.base_url, "/chat/completions"), {"content-type": "application/json"}
    return Encoded(HttpRequest(url, headers, encode_json(body)), context, tuple(sorted(dropped)))


def _extras(request: GenerationRequest, body: Mapping[str, Any], dropped: set[str]) -> dict[str, Any]:
    """Return the fields of this dialect that the middle does not know, and report those of other dialects."""
    for dialect, fields in request.extras.items():
        if dialect != NAME:
            dropped |= asking_fields(fields, set(fields) - _READ_OF_OTHERS)
    extras = request.extras.get(NAME, {})
    return {name: value for name, value in extras.items() if name not in _NEVER_COPIED and name not in body}


def _sampling(sampling: Sampling) -> dict[str, Any]:
    fields = {name: value for name in _PLAIN_SAMPLING if (value := getattr(sampling, name)) is not None}
    if sampling.stop:
        fields["stop"] = sampling.stop
    if sampling.n != 1:
        fields["n"] = sampling.n
    return fields
