"""Translate a request to the body of Cohere's ``/chat``.

Source: Cohere API reference v2, "Chat" (2026-11).
"""

from __future__ import annotations

from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest, OutputFormat, ReasoningOptions, Sampling, Tool
from router_service.core.http_request import HttpRequest
from router_service.core.large_json import encode_json
from router_service.core.wire.anthropic import BETA_HEADER, BETA_QUERY
from router_service.core.wire.chat import DIALECT as CHAT
from router_service.providers.chat_parameters import SERVED_BY_ROUTER, asking_fields, limited_tokens
from router_service.providers.custom_tools import CUSTOM_SCHEMA
from router_service.providers.formats.cohere.names import DIALECT, MAX_TOOL_NAME, origin_at, reasons
from router_service.providers.formats.cohere.turns import TurnEncoder
from router_service.providers.service_tier import encode_tier
from router_service.providers.tool_names import ToolNames
from router_service.providers.wire_format import DecodeContext, Encoded

# Names and bounds of Cohere's own.
_SAMPLING: dict[str, tuple[str, float, float]] = {
    "temperature": ("temperature", 0, 1),
    "top_p": ("p", 0.01, 0.99),
    "top_k": ("k", 0, 500),
    "frequency_penalty": ("frequency_penalty", 0, 1),
    "presence_penalty": ("presence_penalty", 0, 1),
}
# Values that ask for nothing, of parameters that Cohere does not have.
_NEUTRAL: dict[str, Any] = {
    "repetition_penalty": 1, "min_p": 0, "top_a": 0, "logit_bias": {}, "logprobs": False, "top_logprobs": 0, "n": 1,
}  # fmt: skip
# At ``p`` 1 nothing is cut off, which Cohere says by leaving the field out.
_ALL = {"top_p": 1}
MAX_STOPS = 5
_EMPTY_SCHEMA = msgspec.Raw(b'{"type":"object","properties":{}}')
# The router reads the first for its own routing; the second is said by the output format.
_OF_CHAT = frozenset({"prompt_cache_key", "structured_outputs"})
_READ_ELSEWHERE = frozenset({"thinking", "output_config", BETA_HEADER, BETA_QUERY})


def encode_request(request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
    """Translate ``request``. Raises ``ApiError`` 400 with a sentence for what Cohere cannot do at all."""
    dropped: set[str] = set()
    names, origin = ToolNames(request.tools, MAX_TOOL_NAME, identifiers=True), origin_at(endpoint)
    turns = TurnEncoder(names, origin, dropped)
    body: dict[str, Any] = {"model": endpoint.upstream_model, "messages": turns.encode(request)}
    if turns.documents:
        body["documents"] = turns.documents
    body |= _tools(request, names, dropped)
    body |= _output(request.output, bool(request.tools or turns.documents), dropped)
    body |= _sampling(request.sampling, dropped)
    body |= _reasoning(request.reasoning, reasons(endpoint.upstream_model), dropped)
    if request.max_tokens is not None:
        limit = limited_tokens("max_tokens", request.max_tokens, endpoint.max_completion_tokens, dropped)
        body["max_tokens"] = limit
    body |= _extras(request, body, dropped)
    body |= encode_tier(request.service_tier, endpoint, dropped)
    _report(request, dropped)
    if request.stream:
        body["stream"] = True
    context = DecodeContext(
        generation_id=generation_id, origin=origin, tool_names=names.changed(), custom_tools=names.custom
    )
    http = HttpRequest(f"{endpoint.base_url}/chat", {"content-type": "application/json"}, encode_json(body))
    return Encoded(http, context, tuple(sorted(dropped)))


def _tools(request: GenerationRequest, names: ToolNames, dropped: set[str]) -> dict[str, Any]:
    """Return the tools and the choice among them; a tool that has to be called is the only one that is offered."""
    offered: dict[str, dict[str, Any]] = {}
    for tool in request.tools:
        if tool.kind == "hosted":
            dropped.add("tools")
        else:
            offered.setdefault(names.sent(tool.name), _function(tool, names))
    choice = request.tool_choice
    if choice is not None and choice.parallel is False and offered:
        dropped.add("parallel_tool_calls")
    if choice is None or choice.mode == "auto":
        return {"tools": list(offered.values())} if offered else {}
    if not offered:
        if choice.mode in ("required", "tool"):
            raise ApiError("invalid_request", "tool_choice asks for a call, but no tools are offered; add tools")
        return {}
    if choice.mode == "tool":
        sent = names.sent(choice.name or "")
        if sent not in offered:
            raise ApiError("invalid_request", f"tool_choice names {choice.name!r}, which is none of the tools; add it")
        return {"tools": [offered[sent]], "tool_choice": "REQUIRED"}
    return {"tools": list(offered.values()), "tool_choice": "NONE" if choice.mode == "none" else "REQUIRED"}


def _function(tool: Tool, names: ToolNames) -> dict[str, Any]:
    schema: Any = CUSTOM_SCHEMA if tool.kind == "custom" else tool.schema or _EMPTY_SCHEMA
    described = {"description": tool.description} if tool.description else {}
    return {"type": "function", "function": {"name": names.sent(tool.name), **described, "parameters": schema}}


def _output(output: OutputFormat, has_tools: bool, dropped: set[str]) -> dict[str, Any]:
    if output.kind == "text":
        return {}
    if has_tools:
        # Cohere refuses a format beside tools and documents.
        dropped.add("response_format")
        return {}
    schema = {} if output.schema is None or output.kind != "json_schema" else {"json_schema": output.schema}
    return {"response_format": {"type": "json_object", **schema}}


def _sampling(sampling: Sampling, dropped: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (theirs, least, most) in _SAMPLING.items():
        value = getattr(sampling, name)
        if value is None or value == _ALL.get(name):
            continue
        found[theirs] = min(max(value, least), most)
        if found[theirs] != value:
            dropped.add(name)
    for name, neutral in _NEUTRAL.items():
        if getattr(sampling, name) not in (None, neutral):
            dropped.add(name)
    if sampling.seed is not None:
        found["seed"] = abs(sampling.seed)
    if sampling.stop:
        found["stop_sequences"] = sampling.stop[:MAX_STOPS]
        if len(sampling.stop) > MAX_STOPS:
            dropped.add("stop")
    return found


def _reasoning(options: ReasoningOptions | None, thinks: bool, dropped: set[str]) -> dict[str, Any]:
    if options is None:
        return {}
    off = options.enabled is False or options.effort == "none"
    if options.summary:
        dropped.add("reasoning.summary")
    if not thinks:
        if options.max_tokens:
            dropped.add("reasoning.max_tokens")
        elif not off and (options.enabled or options.effort):
            dropped.add("reasoning")
        return {}
    if off:
        return {"thinking": {"type": "disabled"}}
    if not (options.enabled or options.effort or options.max_tokens):
        return {}
    budget = {"token_budget": options.max_tokens} if options.max_tokens else {}
    return {"thinking": {"type": "enabled", **budget}}


def _extras(request: GenerationRequest, body: dict[str, Any], dropped: set[str]) -> dict[str, Any]:
    """Return the fields of this dialect that the middle does not know, and report those of others."""
    for dialect, fields in request.extras.items():
        if dialect != DIALECT:
            known = _READ_ELSEWHERE | SERVED_BY_ROUTER | (_OF_CHAT if dialect == CHAT else frozenset())
            dropped |= asking_fields(fields, set(fields) - known)
    return {name: value for name, value in request.extras.get(DIALECT, {}).items() if name not in body}


def _report(request: GenerationRequest, dropped: set[str]) -> None:
    for name in ("user", "metadata", "verbosity"):
        if getattr(request, name):
            dropped.add(name)
    if request.modalities and request.modalities != ["text"]:
        dropped.add("modalities")
    if request.cache is not None:
        dropped.add("cache_control")
