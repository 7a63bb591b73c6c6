"""Translate a request to a body of generateContent."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest
from router_service.core.http_request import HttpRequest
from router_service.core.large_json import encode_json
from router_service.core.wire.anthropic import BETA_HEADER, BETA_QUERY
from router_service.providers.chat_parameters import SERVED_BY_ROUTER, asking_fields, limited_tokens
from router_service.providers.formats.gemini.dialect import gemini_dialect_at
from router_service.providers.formats.gemini.marked_prompt import ContentMark, MarkedContents
from router_service.providers.formats.gemini.model_traits import gemini_traits
from router_service.providers.formats.gemini.names import MAX_TOOL_NAME, FunctionNames, gemini_origin_at
from router_service.providers.formats.gemini.output import (
    format_fields,
    format_instruction,
    image_fields,
    modality_fields,
)
from router_service.providers.formats.gemini.own_fields import chat_field, own_fields, unread_fields
from router_service.providers.formats.gemini.parts import PartEncoder
from router_service.providers.formats.gemini.sampling import sampling_fields
from router_service.providers.formats.gemini.thinking import thinking_config
from router_service.providers.formats.gemini.tools import (
    GOOGLE_SEARCH,
    calling_config,
    declared_functions,
    hosted_tools,
)
from router_service.providers.formats.gemini.turns import contents
from router_service.providers.service_tier import encode_tier
from router_service.providers.wire_format import DecodeContext, Encoded

# Fields of other dialects whose meaning the middle has, and those that are no parameters.
_READ_ELSEWHERE = frozenset({"thinking", "output_config", BETA_HEADER, BETA_QUERY, "structured_outputs"})
_TIERS = {"default": "standard", "auto": "standard"}
_SEARCHES = ("googleSearch", "googleSearchRetrieval", "enterpriseWebSearch", "googleMaps", "urlContext")


def encode_content_request(request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
    """Translate ``request``. Raises ``ApiError`` 400 with a sentence for what the format cannot express."""
    return _ContentEncoder(request, endpoint).encode(generation_id)


class _ContentEncoder:
    """Gather the body of one request and the names of what it leaves out."""

    def __init__(self, request: GenerationRequest, endpoint: Endpoint) -> None:
        self._request, self._endpoint = request, endpoint
        self._dialect = gemini_dialect_at(endpoint)
        self._traits = gemini_traits(endpoint.upstream_model)
        self._names = FunctionNames(request.tools, MAX_TOOL_NAME)
        self._own = own_fields(request)
        self._dropped: set[str] = set()
        self._body: dict[str, Any] = {}
        self._searches = False
        self._marks: list[ContentMark] = []

    def encode(self, generation_id: str) -> Encoded:
        """Return the encoded request."""
        self._add_contents()
        self._add_tools()
        self._add_config()
        self._add_settings()
        self._add_own_fields()
        self._report()
        context = DecodeContext(
            generation_id=generation_id,
            origin=gemini_origin_at(self._endpoint),
            tool_names=self._names.changed(),
            custom_tools=self._names.custom,
            lists_sources=self._searches,
            json_text=self._asks_in_words(),
        )
        method = "streamGenerateContent?alt=sse" if self._request.stream else "generateContent"
        url = f"{self._endpoint.base_url}/models/{quote(self._endpoint.upstream_model, safe='@')}:{method}"
        request = HttpRequest(url, {"content-type": "application/json"}, encode_json(self._body))
        return Encoded(request, context, tuple(sorted(self._dropped)), self._marked())

    def _marked(self) -> MarkedContents | None:
        """Return where the prompt is marked, ``None`` for one that is not, or that a cache cannot be priced for."""
        price, request = self._endpoint.price, self._request
        stored = price.meters.cache_storage if price is not None and price.meters is not None else None
        if stored is None or "cachedContent" in self._body:
            return None
        marks = list(self._marks)
        if request.cache is not None:
            marks.append(ContentMark(len(self._body["contents"]), 0, request.cache))
        # A mark before the end of what a cache has to hold cannot be kept.
        last = request.instructions[-1].parts if request.instructions else request.tools
        if last and (mark := last[-1].cache) is not None:
            marks.append(ContentMark(0, 0, mark))
        return MarkedContents(self._body, self._endpoint, marks) if marks else None

    def _add_contents(self) -> None:
        request = self._request
        encoder = PartEncoder(self._endpoint, self._names, self._dropped, images=self._traits.images)
        system = encoder.system_parts(request.instructions)
        if self._asks_in_words():
            system.append({"text": format_instruction(request.output)})
        self._body["contents"], self._marks = contents(
            request.messages, encoder, signed_calls=self._traits.signed_calls, instructed=bool(system)
        )
        if system:
            self._body["systemInstruction"] = {"parts": system}

    def _asks_in_words(self) -> bool:
        """Return whether JSON is asked for, and functions keep the model from being held to it."""
        if self._request.output.kind == "text":
            return False
        offered = any(tool.kind != "hosted" for tool in self._request.tools)
        return offered and not self._traits.json_with_tools

    def _add_tools(self) -> None:
        request = self._request
        functions = declared_functions(request.tools, self._names, self._dropped)
        tools = hosted_tools(request.tools, self._dropped)
        if chat_field(request, "web_search_options") is not None and not any("googleSearch" in tool for tool in tools):
            if functions:
                # Most models refuse a search beside functions.
                self._dropped.add("web_search_options")
            else:
                tools.append(GOOGLE_SEARCH)
        self._searches = any(name in tool for tool in tools for name in _SEARCHES)
        if functions:
            tools.append({"functionDeclarations": functions})
        if tools:
            self._body["tools"] = tools
        if config := calling_config(request.tool_choice, self._names, functions, self._dropped):
            self._body["toolConfig"] = {"functionCallingConfig": config}

    def _add_config(self) -> None:
        request, traits = self._request, self._traits
        config = sampling_fields(
            request.sampling,
            penalties=traits.penalties,
            takes=lambda name: self._dialect.takes(name, self._endpoint.upstream_model),
            dropped=self._dropped,
        )
        if request.max_tokens is not None:
            most = self._endpoint.max_completion_tokens
            config["maxOutputTokens"] = limited_tokens("max_tokens", request.max_tokens, most, self._dropped)
        if not self._asks_in_words():
            config |= format_fields(request.output, self._dropped)
        config |= modality_fields(request.modalities, traits, self._dropped)
        config |= image_fields(chat_field(request, "image_config"), traits, self._dropped)
        if thinking := thinking_config(request.reasoning, traits, request.max_tokens, self._dropped):
            config["thinkingConfig"] = thinking
        if config:
            self._body["generationConfig"] = config

    def _add_settings(self) -> None:
        request = self._request
        tier = encode_tier(request.service_tier, self._endpoint, self._dropped).get("service_tier")
        if tier is not None:
            self._body["serviceTier"] = _TIERS.get(tier, tier)
        for name in ("user", "metadata", "verbosity"):
            if getattr(request, name):
                self._dropped.add(name)
        if request.cache is not None:
            self._dropped.add("cache_control")

    def _add_own_fields(self) -> None:
        """Add the fields that the middle does not know; within an object the request's own fields win.

        Raises ``ApiError`` 400 for a cache beside what the cache itself holds.
        """
        for name, value in self._own.items():
            known = self._body.get(name)
            if isinstance(known, dict) and isinstance(value, dict):
                self._body[name] = value | known
            else:
                self._body.setdefault(name, value)
        held = [name for name in ("systemInstruction", "tools", "toolConfig") if name in self._body]
        if "cachedContent" in self._body and held:
            raise ApiError(
                "invalid_request",
                "A cache holds system messages and tools itself: leave them out beside cached_content, "
                "or leave cached_content out",
            )

    def _report(self) -> None:
        """Name the fields that are for other dialects, but for those that the router or the format serves."""
        left = unread_fields(self._request) - _READ_ELSEWHERE - SERVED_BY_ROUTER
        for fields in self._request.extras.values():
            self._dropped |= asking_fields(fields, left)
