"""Translate a request to a body of the Responses format."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest, Sampling
from router_service.core.http_request import HttpRequest, request_url
from router_service.core.large_json import encode_json
from router_service.core.wire.anthropic import BETA_HEADER, BETA_QUERY
from router_service.core.wire.chat import DIALECT as CHAT
from router_service.providers.chat_parameters import SERVED_BY_ROUTER, asking_fields
from router_service.providers.formats.openai_responses.dialect import ResponsesDialect, responses_dialect_at
from router_service.providers.formats.openai_responses.items import BREAKPOINT, InputEncoder, Item
from router_service.providers.formats.openai_responses.names import DIALECT, MAX_TOOL_NAME, responses_origin_at
from router_service.providers.formats.openai_responses.output import reasoning_fields, text_fields
from router_service.providers.formats.openai_responses.pairs import paired
from router_service.providers.formats.openai_responses.support import COPIED
from router_service.providers.formats.openai_responses.tools import sent_choice, sent_tools
from router_service.providers.service_tier import encode_tier
from router_service.providers.tool_names import ToolNames
from router_service.providers.wire_format import DecodeContext, Encoded

MIN_OUTPUT_TOKENS = 16
MAX_USER = 64
ENCRYPTED, LOGPROBS = "reasoning.encrypted_content", "message.output_text.logprobs"
# Parameters of sampling without a field here, and the value of each that asks for nothing.
_UNSENT: dict[str, Any] = {
    "frequency_penalty": 0, "presence_penalty": 0, "repetition_penalty": 1, "top_k": 0, "min_p": 0, "top_a": 0,
    "seed": None, "logit_bias": {}, "n": 1, "stop": [],
}  # fmt: skip
_USUAL = {"temperature": 1, "top_p": 1, "top_logprobs": 0}
# Fields of other dialects whose meaning the middle has, and those that are no parameters.
_READ_ELSEWHERE = frozenset({"thinking", "output_config", BETA_HEADER, BETA_QUERY})
# Fields that the request's own parts decide; the router keeps the state of a conversation itself.
_DECIDED = frozenset(
    {"model", "input", "instructions", "stream", "store", "tools", "tool_choice", "previous_response_id"}
    | {"conversation", "background", "service_tier"}
) | SERVED_BY_ROUTER  # fmt: skip


def encode_response_request(request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
    """Translate ``request``. Raises ``ApiError`` 400 with a sentence for what the format cannot express."""
    return _BodyEncoder(request, endpoint).encode(generation_id)


class _BodyEncoder:
    """Gather the body of one request and the names of what it leaves out."""

    def __init__(self, request: GenerationRequest, endpoint: Endpoint) -> None:
        self._request, self._endpoint = request, endpoint
        self._dialect: ResponsesDialect = responses_dialect_at(endpoint)
        self._names = ToolNames(request.tools, MAX_TOOL_NAME)
        self._extras: Mapping[str, Any] = request.extras.get(DIALECT, {})
        self._dropped: set[str] = set()
        # Nothing is stored: what a model needs of its reasoning comes encrypted, and goes back with the conversation.
        self._body: dict[str, Any] = {"model": endpoint.sent_model, "store": False}

    def encode(self, generation_id: str) -> Encoded:
        """Return the encoded request."""
        self._add_input()
        self._add_tools()
        self._add_output()
        self._add_sampling(self._request.sampling)
        self._add_settings()
        self._add_extras()
        self._report()
        if self._request.stream:
            self._body["stream"] = True
            if self._dialect.padding:
                self._body["stream_options"] = {"include_obfuscation": False}
        custom = self._names.custom if not self._dialect.custom_tools else frozenset()
        context = DecodeContext(
            generation_id=generation_id,
            origin=responses_origin_at(self._endpoint),
            tool_names=self._names.changed(),
            custom_tools=custom,
        )
        url, headers = request_url(self._endpoint.base_url, "/responses"), {"content-type": "application/json"}
        body = encode_json(self._body)
        return Encoded(HttpRequest(url, headers, body), context, tuple(sorted(self._dropped)))

    def _add_input(self) -> None:
        request = self._request
        encoder = InputEncoder(self._endpoint, self._dialect, self._names, self._dropped)
        items = paired(encoder.items(request.messages))
        parts = encoder.instructions(request.instructions)
        instructions = "\n\n".join(part["text"] for part in parts)
        # The vendor looks for the word JSON in the input alone, and refuses an input without items.
        if any(BREAKPOINT in part for part in parts):
            items.insert(0, {"type": "message", "role": "system", "content": parts})
        elif instructions and (not items or request.output.kind == "json_object"):
            items.insert(0, _system_item(instructions))
        elif instructions:
            self._body["instructions"] = instructions
        if not items:
            raise ApiError("invalid_request", "All messages are empty; send at least one message with text or media")
        self._body["input"] = items

    def _add_tools(self) -> None:
        request = self._request
        tools = sent_tools(request.tools, self._names, self._dialect, self._dropped)
        if tools:
            self._body["tools"] = tools
        own = self._extras.get("tool_choice")
        own = msgspec.json.decode(own) if isinstance(own, msgspec.Raw) else own
        choice = sent_choice(request.tool_choice, self._names, tools, own)
        if "parallel_tool_calls" in self._dialect.absent and choice.pop("parallel_tool_calls", None) is False:
            self._dropped.add("parallel_tool_calls")
        self._body |= choice

    def _add_output(self) -> None:
        request = self._request
        if text := text_fields(request, self._dialect, self._dropped):
            self._body["text"] = text
        if reasoning := reasoning_fields(request, self._dialect, self._dropped):
            self._body["reasoning"] = reasoning
        include = [ENCRYPTED] if self._dialect.reasons else []
        if request.sampling.logprobs and "logprobs" not in self._dialect.absent:
            include.append(LOGPROBS)
        if include:
            self._body["include"] = include
        if request.max_tokens is not None:
            most = self._endpoint.max_completion_tokens
            limit = max(MIN_OUTPUT_TOKENS, request.max_tokens if most is None else min(request.max_tokens, most))
            self._body["max_output_tokens"] = limit
            if limit != request.max_tokens:
                self._dropped.add("max_tokens")

    def _add_sampling(self, sampling: Sampling) -> None:
        for name, neutral in _UNSENT.items():
            value = getattr(sampling, name)
            if value is not None and value != neutral:
                self._dropped.add(name)
        for name, usual in _USUAL.items():
            value = getattr(sampling, name)
            if value is None:
                continue
            if name == "top_logprobs" and value > self._dialect.most_logprobs:
                value = self._dialect.most_logprobs
                self._dropped.add(name)
            if name not in self._dialect.absent:
                self._body[name] = value
            elif value != usual:
                self._dropped.add(name)
        if sampling.logprobs and "logprobs" in self._dialect.absent:
            self._dropped.add("logprobs")

    def _add_settings(self) -> None:
        request = self._request
        self._body |= encode_tier(request.service_tier, self._endpoint, self._dropped)
        if request.user:
            user = request.user
            digest = sha256(user.encode(errors="replace")).hexdigest
            self._set("user", user if len(user) <= MAX_USER else digest())
        if request.metadata:
            self._set("metadata", request.metadata)
        if request.cache is not None:
            self._dropped.add("cache_control")
        if request.modalities and "text" not in request.modalities:
            raise ApiError("invalid_request", "This provider writes text alone; add text to modalities or leave it out")
        if request.modalities and set(request.modalities) > {"text"}:
            self._dropped.add("modalities")
        copied = request.extras.get(CHAT, {})
        for name in asking_fields(copied, COPIED):
            self._set(name, copied[name])

    def _set(self, name: str, value: Any) -> None:
        if name in self._dialect.absent:
            self._dropped.add(name)
        else:
            self._body[name] = value

    def _add_extras(self) -> None:
        """Add the fields that the middle does not know; within an object the request's own fields win."""
        for name, raw in self._extras.items():
            if name in _DECIDED:
                continue
            if name == "include":
                self._include(raw)
                continue
            known = self._body.get(name)
            if name in self._dialect.absent or (name == "reasoning" and not self._dialect.reasons):
                self._dropped |= asking_fields({name: raw}, (name,))
                continue
            if known is None:
                self._body[name] = raw
                continue
            value = msgspec.json.decode(raw) if isinstance(raw, msgspec.Raw) else raw
            if isinstance(known, dict) and isinstance(value, dict):
                self._body[name] = value | known

    def _include(self, raw: Any) -> None:
        """Add what the client wants to have included, but for encrypted reasoning, of which the model decides."""
        wanted = msgspec.json.decode(raw) if isinstance(raw, msgspec.Raw) else raw
        known = self._body.get("include", [])
        more = [one for one in wanted if one not in (ENCRYPTED, *known)] if isinstance(wanted, list) else []
        if more:
            self._body["include"] = [*known, *more]

    def _report(self) -> None:
        """Name the fields that are for other dialects, but for those that the router or the format serves."""
        for dialect, fields in self._request.extras.items():
            if dialect != DIALECT:
                left = set(fields) - _READ_ELSEWHERE - SERVED_BY_ROUTER - {"structured_outputs"}
                self._dropped |= asking_fields(fields, left - (set(COPIED) if dialect == CHAT else set()))


def _system_item(text: str) -> Item:
    return {"type": "message", "role": "system", "content": [{"type": "input_text", "text": text}]}
