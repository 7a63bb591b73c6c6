"""Translate a request to a body of the messages format."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest
from router_service.core.http_request import HttpRequest, request_url
from router_service.core.large_json import encode_json
from router_service.providers.chat_parameters import asking_fields
from router_service.providers.claude_sampling import claude_sampling_fields
from router_service.providers.claude_thinking import claude_effort, claude_thinking_field
from router_service.providers.claude_traits import ClaudeTraits, claude_traits
from router_service.providers.formats.anthropic_messages.blocks import Block, BlockEncoder
from router_service.providers.formats.anthropic_messages.cache import cache_control, fit_marks
from router_service.providers.formats.anthropic_messages.dialect import messages_dialect_at
from router_service.providers.formats.anthropic_messages.names import DIALECT, MAX_TOOL_NAME, origin_at
from router_service.providers.formats.anthropic_messages.support import SUPPORT
from router_service.providers.formats.anthropic_messages.tools import (
    called_tools,
    offered_tools,
    output_choice,
    tool_choice,
)
from router_service.providers.formats.anthropic_messages.turns import (
    Turn,
    finish_turns,
    is_prefilled,
    join_turns,
    lacks_thinking,
    require_content,
)
from router_service.providers.structured_output import OutputPlan, plan_output
from router_service.providers.tool_names import ToolNames
from router_service.providers.wire_format import DecodeContext, Encoded, ParameterSupport

VERSION = "2023-06-01"
DEFAULT_MAX_TOKENS = 4096
MAX_USER_ID = 256
# The vendor's names for the use of committed capacity; other tiers have no meaning there.
SERVICE_TIERS = {
    "auto": "auto",
    "default": "standard_only",
    "standard": "standard_only",
    "standard_only": "standard_only",
}
FILES_BETA = "files-api-2025-04-14"
_ABSENT = ParameterSupport.DROPPED
# Keys of the dialect's extras that are no fields of the body.
_BETAS = ("anthropic-beta", "anthropic_beta", "betas")
_BETA_QUERY = "?beta"
# Fields that the request's own parts decide.
_OWN_FIELDS = frozenset(
    {"model", "messages", "system", "max_tokens", "stream", "tools", "tool_choice", "thinking", "cache_control"}
    | {"temperature", "top_p", "top_k", "stop_sequences", "service_tier"}
)


def encode_request(request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
    """Translate ``request``. Raises ``ApiError`` 400 with a sentence for what the format cannot express."""
    return _RequestEncoder(request, endpoint).encode(generation_id)


class _RequestEncoder:
    """Gather the body of one request and the names of what it leaves out."""

    def __init__(self, request: GenerationRequest, endpoint: Endpoint) -> None:
        self._request = request
        self._endpoint = endpoint
        self._traits: ClaudeTraits = claude_traits(endpoint.upstream_model)
        self._dialect = messages_dialect_at(endpoint)
        self._names = ToolNames(request.tools, MAX_TOOL_NAME)
        self._extras: Mapping[str, Any] = request.extras.get(DIALECT, {})
        self._dropped: set[str] = set()
        self._body: dict[str, Any] = {"model": endpoint.sent_model, "max_tokens": self._limit()}

    def encode(self, generation_id: str) -> Encoded:
        """Return the encoded request."""
        blocks = BlockEncoder(self._endpoint, self._names, self._dropped)
        system = [block for message in self._request.instructions for block in blocks.system_blocks(message)]
        turns = join_turns(self._request.messages, blocks, self._dropped)
        require_content(turns, system)
        thinks = self._add_thinking(turns)
        plan = self._add_tools(forced=self._traits.forced_tools and not thinks)
        self._add_output(plan, system)
        prefill = self._traits.prefill and plan.format is None and plan.tool is None
        finish_turns(turns, thinking=thinks, prefill=prefill, dropped=self._dropped)
        self._body["messages"] = turns
        if system:
            self._body["system"] = system
        self._body |= claude_sampling_fields(
            self._request.sampling, traits=self._traits, thinking=thinks, dropped=self._dropped
        )
        self._add_settings()
        self._add_extras()
        fit_marks(self._body, self._dropped)
        self._report()
        return self._encoded(turns, plan, generation_id)

    def _limit(self) -> int:
        """Return ``max_tokens``, which the format requires; the vendor refuses more than the model can write."""
        most = self._endpoint.max_completion_tokens
        asked = self._request.max_tokens or most or DEFAULT_MAX_TOKENS
        if not most or asked <= most:
            return asked
        self._dropped.add("max_tokens")
        return most

    def _add_thinking(self, turns: list[Turn]) -> bool:
        """Add the field, and return whether the model will think."""
        field = claude_thinking_field(
            self._request,
            self._traits,
            self._body["max_tokens"],
            fits=lambda: not (lacks_thinking(turns) or is_prefilled(turns)),
            dropped=self._dropped,
        )
        if field is not None:
            self._body["thinking"] = field
        effort = claude_effort(self._request, self._traits, field, self._dropped)
        if effort is not None:
            self._body["output_config"] = {"effort": effort}
        return self._traits.always_thinks or (field is not None and field["type"] != "disabled")

    def _add_tools(self, *, forced: bool) -> OutputPlan:
        request = self._request
        tools = offered_tools(request.tools, self._names, strict=self._traits.native_schema, dropped=self._dropped)
        offered = {str(tool.get("name")): tool for tool in tools}
        choice = tool_choice(request.tool_choice, self._names, offered, forced=forced, dropped=self._dropped)
        native = self._traits.native_schema
        plan = plan_output(request.output, self._names, request.tool_choice, native=native, forced=forced)
        if not tools:
            tools = called_tools(request.messages, self._names)
            choice = {"type": "none"} if tools else None
        if plan.tool is not None:
            choice = output_choice(plan.tool, choice, others=bool(tools))
            tools.append(plan.tool)
        if tools:
            self._body["tools"] = tools
        if choice is not None:
            self._body["tool_choice"] = choice
        return plan

    def _add_output(self, plan: OutputPlan, system: list[Block]) -> None:
        if plan.format is not None:
            self._body["output_config"] = self._body.get("output_config", {}) | {"format": plan.format}
        if plan.instruction is not None:
            system.append({"type": "text", "text": plan.instruction})

    def _add_settings(self) -> None:
        request = self._request
        tier = request.service_tier
        if tier in SERVICE_TIERS:
            self._body["service_tier"] = SERVICE_TIERS[tier]
        elif tier is not None:
            self._dropped.add("service_tier")
        if request.user:
            user = request.user
            self._body["metadata"] = {
                "user_id": user if len(user) <= MAX_USER_ID else sha256(user.encode(errors="replace")).hexdigest()
            }
        if request.cache is not None:
            self._body["cache_control"] = cache_control(request.cache)
        if request.metadata:
            self._dropped.add("metadata")
        if request.modalities and "text" not in request.modalities:
            raise ApiError("invalid_request", "This provider writes text alone; add text to modalities or leave it out")
        if request.modalities and set(request.modalities) > {"text"}:
            self._dropped.add("modalities")

    def _add_extras(self) -> None:
        """Add the fields that the middle does not know; within an object the request's own fields win."""
        for name, value in self._extras.items():
            if name in _OWN_FIELDS or name in _BETAS or name == _BETA_QUERY:
                continue
            known = self._body.get(name)
            if isinstance(known, dict) and isinstance(value, dict):
                self._body[name] = value | known
            else:
                self._body.setdefault(name, value)

    def _report(self) -> None:
        """Name the fields that are for other dialects, but for those that the router itself serves."""
        for dialect, fields in self._request.extras.items():
            if dialect != DIALECT:
                # The middle holds every response format but grammars.
                absent = [n for n in fields if SUPPORT.get(n, _ABSENT) is _ABSENT or n == "response_format"]
                self._dropped |= asking_fields(fields, absent)

    def _encoded(self, turns: list[Turn], plan: OutputPlan, generation_id: str) -> Encoded:
        if self._request.stream:
            self._body["stream"] = True
        dropped = tuple(sorted(self._dropped))
        headers = self._headers(turns)
        if self._dialect.body_version is None:
            url = request_url(self._endpoint.base_url, "/messages")
            if self._extras.get(_BETA_QUERY):
                url += "&beta=true" if "?" in url else "?beta=true"
        else:
            self._body["anthropic_version"] = self._dialect.body_version
            del headers["anthropic-version"]
            url = self._invocation(headers) if self._dialect.invoked else self._prediction()
        context = DecodeContext(
            generation_id=generation_id,
            origin=origin_at(self._endpoint),
            tool_names=self._names.changed(),
            output_tool=plan.tool["name"] if plan.tool is not None else None,
            custom_tools=self._names.custom,
            json_text=plan.tool is not None or plan.instruction is not None,
        )
        request = HttpRequest(url, headers, encode_json(self._body))
        return Encoded(request, context, dropped)

    def _prediction(self) -> str:
        """Return the address at Vertex AI, which has the model."""
        method = "streamRawPredict" if self._request.stream else "rawPredict"
        return f"{self._endpoint.base_url}/models/{quote(self._body.pop('model'), safe='@')}:{method}"

    def _invocation(self, headers: dict[str, str]) -> str:
        """Return the address at Amazon Bedrock; what it says leaves the body, and what a header says enters it."""
        method = "invoke-with-response-stream" if self._body.pop("stream", False) else "invoke"
        if betas := headers.pop("anthropic-beta", ""):
            self._body["anthropic_beta"] = betas.split(",")
        return f"{self._endpoint.base_url}/model/{quote(self._body.pop('model'), safe='')}/{method}"

    def _headers(self, turns: list[Turn]) -> dict[str, str]:
        betas: list[str] = []
        for name in _BETAS:
            value = self._extras.get(name)
            found = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
            betas += [beta.strip() for beta in found if isinstance(beta, str) and _is_header_value(beta)]
        if any(_uses_file(block) for turn in turns for block in turn["content"]):
            betas.append(FILES_BETA)
        headers = {"content-type": "application/json", "anthropic-version": VERSION}
        return headers | ({"anthropic-beta": ",".join(dict.fromkeys(filter(None, betas)))} if betas else {})


def _is_header_value(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _uses_file(block: Block) -> bool:
    source = block.get("source")
    if isinstance(source, dict) and source.get("type") == "file":
        return True
    return block["type"] == "tool_result" and any(_uses_file(inner) for inner in block.get("content", ()))
