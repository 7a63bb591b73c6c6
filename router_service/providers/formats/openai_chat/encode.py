"""Encode requests as bodies of chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from data.catalogue.types import DEFAULT_TIER, Endpoint
from router_service.core.generation import GenerationRequest, OutputFormat, ReasoningOptions, Sampling
from router_service.core.http_request import HttpRequest
from router_service.core.wire.anthropic import BETA_HEADER, BETA_QUERY
from router_service.providers.chat_parameters import UNSERVED, asking_fields
from router_service.providers.formats.openai_chat.dialect import NAME, Dialect, dialect_of, origin_of
from router_service.providers.formats.openai_chat.support import ROUTER_ONLY, left_out, reported
from router_service.providers.formats.openai_chat.tools import cache_control, encode_tools
from router_service.providers.formats.openai_chat.turns import TurnEncoder
from router_service.providers.wire_format import DecodeContext, Encoded

_encode = msgspec.json.Encoder().encode
_PLAIN_SAMPLING = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "top_a",
    "frequency_penalty",
    "presence_penalty",
    "repetition_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
)
# Fields of other dialects whose meaning the middle has, and those that are no parameters.
_READ_OF_OTHERS = frozenset({"thinking", "output_config", BETA_HEADER, BETA_QUERY})
_NEVER_COPIED = ROUTER_ONLY - UNSERVED
_PLAIN = ("user", "metadata", "modalities", "verbosity")


def encode_request(request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
    """Translate a request. Raises ``ApiError`` 400 for media that the format cannot express."""
    dialect = dialect_of(endpoint.provider)
    dropped: set[str] = set()
    origin = origin_of(endpoint.provider, endpoint.upstream_model)
    body: dict[str, Any] = {
        "model": endpoint.upstream_model,
        "messages": TurnEncoder(dialect, origin, dropped).encode(request),
    }
    body |= encode_tools(request, dialect, dropped)
    body |= _output(request.output)
    body |= _sampling(request.sampling, dialect)
    if request.max_tokens is not None:
        body[dialect.max_tokens] = request.max_tokens
    body |= encode_reasoning(request.reasoning, dialect, dropped)
    body |= encode_tier(request.service_tier, endpoint, dropped)
    body |= {name: value for name in _PLAIN if (value := getattr(request, name)) is not None}
    if request.cache is not None:
        if dialect.cache_control:
            body["cache_control"] = cache_control(request.cache)
        else:
            dropped.add("cache_control")
    body |= _extras(request, body, dropped)
    absent = left_out(endpoint.provider)
    dropped |= reported(body, absent)
    body = {name: value for name, value in body.items() if name not in absent}
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    names = tuple(sorted(dropped))
    headers = {"content-type": "application/json"}
    return Encoded(
        HttpRequest(f"{endpoint.base_url}/chat/completions", headers, _encode(body)),
        DecodeContext(generation_id, origin, request.sampling.n, reasoning_in_total=dialect.reasoning_in_total),
        names,
    )


def encode_reasoning(options: ReasoningOptions | None, dialect: Dialect, dropped: set[str]) -> dict[str, Any]:
    """Return the fields that ask for reasoning, in the form that the dialect takes."""
    if options is None:
        return {}
    if dialect.reasoning_request == "object":
        wanted = {
            "enabled": options.enabled,
            "effort": options.effort,
            "max_tokens": options.max_tokens,
            "summary": options.summary,
        }
        found = {name: value for name, value in wanted.items() if value is not None}
        return {"reasoning": found} if found else {}
    effort = options.effort
    if options.enabled is False:
        effort = "none"
    elif effort is None and (options.enabled or options.max_tokens is not None):
        # The reference reads reasoning without an effort as medium.
        effort = "medium"
    if options.max_tokens is not None:
        dropped.add("reasoning.max_tokens")
    if options.summary is not None:
        dropped.add("reasoning.summary")
    if effort is None:
        return {}
    if dialect.reasoning_request == "none":
        dropped.add("reasoning")
        return {}
    return {"reasoning_effort": effort}


def encode_tier(requested: str | None, endpoint: Endpoint, dropped: set[str]) -> dict[str, str]:
    """Return the endpoint's own tier, whatever the client wrote: another tier's price would not be this endpoint's."""
    if not endpoint.tier_prices:
        if requested is not None:
            dropped.add("service_tier")
        return {}
    if endpoint.service_tier:
        return {"service_tier": endpoint.service_tier}
    if requested is None:
        return {}
    return {"service_tier": requested if requested in ("auto", "scale") else DEFAULT_TIER}


def _extras(request: GenerationRequest, body: Mapping[str, Any], dropped: set[str]) -> dict[str, Any]:
    """Return the fields of this dialect that the middle does not know, and report those of other dialects."""
    for dialect, fields in request.extras.items():
        if dialect != NAME:
            dropped |= asking_fields(fields, set(fields) - _READ_OF_OTHERS)
    extras = request.extras.get(NAME, {})
    return {name: value for name, value in extras.items() if name not in _NEVER_COPIED and name not in body}


def _sampling(sampling: Sampling, dialect: Dialect) -> dict[str, Any]:
    fields = {name: value for name in _PLAIN_SAMPLING if (value := getattr(sampling, name)) is not None}
    if sampling.seed is not None:
        fields[dialect.seed] = sampling.seed
    if sampling.stop:
        fields["stop"] = sampling.stop
    if sampling.n != 1:
        fields["n"] = sampling.n
    return fields


def _output(output: OutputFormat) -> dict[str, Any]:
    if output.kind == "text":
        return {}
    if output.kind == "json_object":
        return {"response_format": {"type": "json_object"}}
    schema: dict[str, Any] = {"name": output.name or "answer"}
    if output.description is not None:
        schema["description"] = output.description
    if output.strict is not None:
        schema["strict"] = output.strict
    if output.schema is not None:
        schema["schema"] = output.schema
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
