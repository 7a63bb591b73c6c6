"""Translate a request to a body of Converse.

Sources: Amazon Bedrock API reference: Converse, InferenceConfiguration, OutputConfig, RequestMetadata.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest
from router_service.core.http_request import HttpRequest
from router_service.core.large_json import encode_json
from router_service.core.wire.chat import DIALECT as CHAT
from router_service.providers.chat_parameters import asking_fields, limited_tokens
from router_service.providers.claude_sampling import bounded_fields, claude_sampling_fields, drop_absent
from router_service.providers.claude_thinking import claude_effort, claude_thinking_field
from router_service.providers.formats.bedrock_converse.blocks import BlockEncoder
from router_service.providers.formats.bedrock_converse.cache import SentBlock, fit_marks, written
from router_service.providers.formats.bedrock_converse.model_traits import converse_traits
from router_service.providers.formats.bedrock_converse.names import MAX_TOOL_NAME, converse_origin_at
from router_service.providers.formats.bedrock_converse.support import CONVERSE_SUPPORT
from router_service.providers.formats.bedrock_converse.thinking import is_nova_high, level_fields
from router_service.providers.formats.bedrock_converse.tools import called_tools, chosen, offered_tools, tool_spec
from router_service.providers.formats.bedrock_converse.turns import (
    Turn,
    ends_with_assistant,
    finish_turns,
    join_turns,
    lacks_reasoning,
    require_content,
)
from router_service.providers.service_tier import encode_tier
from router_service.providers.structured_output import OutputPlan, plan_output
from router_service.providers.tool_names import ToolNames
from router_service.providers.wire_format import DecodeContext, Encoded, ParameterSupport

DEFAULT_CLAUDE_TOKENS = 4096
MAX_NOVA_TOP_K = 128
_TIERS = {"auto": "default", "scale": "reserved"}
MAX_METADATA = 16
_METADATA_KEY = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{1,256}")
_METADATA_VALUE = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{0,256}")
# The field of the chat dialect in which clients write the model's own fields.
OWN_FIELDS = "additionalModelRequestFields"
_ABSENT = ParameterSupport.DROPPED


def encode_converse(request: GenerationRequest, endpoint: Endpoint, generation_id: str) -> Encoded:
    """Translate ``request``. Raises ``ApiError`` 400 with a sentence for what the format cannot express."""
    return _ConverseEncoder(request, endpoint).encode(generation_id)


class _ConverseEncoder:
    """Gather the body of one request and the names of what it leaves out."""

    def __init__(self, request: GenerationRequest, endpoint: Endpoint) -> None:
        self._request, self._endpoint = request, endpoint
        self._traits = converse_traits(endpoint.upstream_model)
        self._names = ToolNames(request.tools, MAX_TOOL_NAME)
        self._dropped: set[str] = set()
        self._body: dict[str, Any] = {}
        self._config: dict[str, Any] = {}
        self._output: dict[str, Any] = {}
        # The fields of the model's own, and the parameters that they exclude.
        self._own: dict[str, Any] = {}

    def encode(self, generation_id: str) -> Encoded:
        """Return the encoded request."""
        request, traits = self._request, self._traits
        encoder = BlockEncoder(self._endpoint, traits, self._names, self._dropped)
        system = [block for message in request.instructions for block in encoder.system_blocks(message)]
        turns = join_turns(request.messages, encoder)
        require_content(turns, system)
        self._add_limit()
        thinks = self._add_reasoning(turns)
        tools, plan = self._add_tools(thinks)
        if plan.instruction is not None:
            system.append(SentBlock({"text": plan.instruction}))
        prefill = traits.prefill and plan.format is None and plan.tool is None
        finish_turns(turns, traits, thinking=thinks, prefill=prefill, dropped=self._dropped)
        self._add_prompt(system, turns, tools)
        self._add_sampling(thinks)
        self._add_settings()
        self._add_own_fields()
        self._report()
        return self._encoded(plan, generation_id)

    def _add_limit(self) -> None:
        request, most = self._request, self._endpoint.max_completion_tokens
        if request.max_tokens is not None:
            self._config["maxTokens"] = limited_tokens("max_tokens", request.max_tokens, most, self._dropped)
        elif self._traits.claude is not None:
            # Without a limit Claude ends its answer early, and thinking has to stay below it.
            self._config["maxTokens"] = most or DEFAULT_CLAUDE_TOKENS

    def _add_reasoning(self, turns: list[Turn]) -> bool:
        """Add the fields, and return whether Claude will think."""
        request, claude = self._request, self._traits.claude
        if claude is None:
            self._own |= level_fields(request.reasoning, self._traits, self._dropped)
            if request.verbosity is not None:
                self._dropped.add("verbosity")
            return False
        field = claude_thinking_field(
            request,
            claude,
            self._config["maxTokens"],
            fits=lambda: not (lacks_reasoning(turns) or ends_with_assistant(turns)),
            dropped=self._dropped,
        )
        if field is not None:
            self._own["thinking"] = field
        effort = claude_effort(request, claude, field, self._dropped)
        if effort is not None:
            self._output["effort"] = effort
        return claude.always_thinks or (field is not None and field["type"] != "disabled")

    def _add_tools(self, thinks: bool) -> tuple[list[SentBlock], OutputPlan]:
        request, traits = self._request, self._traits
        kinds = frozenset() if thinks else traits.choices
        tools = offered_tools(request.tools, self._names, traits, self._dropped)
        choice = chosen(request.tool_choice, self._names, tools, kinds=kinds, dropped=self._dropped)
        plan = plan_output(
            request.output,
            self._names,
            request.tool_choice,
            native=traits.native_schema,
            forced=traits.forces_tools and not thinks,
        )
        called = called_tools(request.messages, self._names)
        if request.tool_choice is not None and request.tool_choice.mode == "none" and tools:
            # There is no choice of none: no tools are offered, unless the history has called some.
            tools = tools if called else []
            self._dropped |= {"tool_choice"} if called else set()
        tools = tools or called
        if plan.tool is not None:
            name = plan.tool["name"]
            choice = {"any": {}} if tools and request.tools else {"tool": {"name": name}}
            spec = tool_spec(name, plan.tool["input_schema"], plan.tool["description"])
            tools.append(SentBlock({"toolSpec": spec}))
        if plan.format is not None:
            self._output["textFormat"] = self._text_format(plan.format["schema"])
        if tools:
            self._body["toolConfig"] = {"tools": []} | ({"toolChoice": choice} if choice is not None else {})
        return tools, plan

    def _text_format(self, schema: dict[str, Any]) -> dict[str, Any]:
        output = self._request.output
        described = {name: value for name in ("name", "description") if (value := getattr(output, name))}
        text = msgspec.json.encode(schema).decode()
        return {"type": "json_schema", "structure": {"jsonSchema": {"schema": text, **described}}}

    def _add_prompt(self, system: list[SentBlock], turns: list[Turn], tools: list[SentBlock]) -> None:
        blocks = [block for turn in turns for block in turn.blocks]
        if self._request.cache is not None:
            # The mark of the whole prompt stands at its end.
            blocks[-1].mark = self._request.cache
        fit_marks(tools, [*system, *blocks], self._traits.caches, self._dropped)
        self._body["messages"] = [{"role": turn.role, "content": written(turn.blocks)} for turn in turns]
        if system:
            self._body["system"] = written(system)
        if tools:
            self._body["toolConfig"]["tools"] = written(tools)

    def _add_sampling(self, thinks: bool) -> None:
        sampling, traits = self._request.sampling, self._traits
        if traits.claude is not None:
            fields = claude_sampling_fields(sampling, traits=traits.claude, thinking=thinks, dropped=self._dropped)
        else:
            drop_absent(sampling, self._dropped)
            fields = bounded_fields(sampling)
            stops = [sequence for sequence in sampling.stop if sequence]
            fields |= {"stop_sequences": stops} if stops else {}
        top_k = fields.pop("top_k", None)
        if top_k is not None:
            self._add_top_k(top_k)
        named = {"temperature": "temperature", "top_p": "topP", "stop_sequences": "stopSequences"}
        self._config |= {named[name]: value for name, value in fields.items()}
        if "stopSequences" in self._config and traits.claude is not None:
            # The vendor tells which sequence it was only when it is asked to.
            self._body["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
        if is_nova_high(self._own):
            for name, parameter in (("maxTokens", "max_tokens"), ("temperature", "temperature"), ("topP", "top_p")):
                if self._config.pop(name, None) is not None:
                    self._dropped.add(parameter)
            if self._own.pop("inferenceConfig", None) is not None:
                self._dropped.add("top_k")

    def _add_top_k(self, top_k: int) -> None:
        match self._traits.top_k:
            case "claude":
                self._own["top_k"] = top_k
            case "nova":
                self._own["inferenceConfig"] = {"topK": min(top_k, MAX_NOVA_TOP_K)}
            case _:
                self._dropped.add("top_k")

    def _add_settings(self) -> None:
        request = self._request
        tier = encode_tier(request.service_tier, self._endpoint, self._dropped).get("service_tier")
        if tier is not None:
            self._body["serviceTier"] = {"type": _TIERS.get(tier, tier)}
        if request.metadata:
            self._add_metadata(request.metadata)
        if request.user:
            self._dropped.add("user")
        if request.modalities and "text" not in request.modalities:
            raise ApiError("invalid_request", "This provider writes text alone; add text to modalities or leave it out")
        if request.modalities and set(request.modalities) > {"text"}:
            self._dropped.add("modalities")

    def _add_metadata(self, metadata: dict[str, str]) -> None:
        kept = {
            name: value
            for name, value in metadata.items()
            if _METADATA_KEY.fullmatch(name) and _METADATA_VALUE.fullmatch(value)
        }
        kept = dict(list(kept.items())[:MAX_METADATA])
        if len(kept) < len(metadata):
            self._dropped.add("metadata")
        if kept:
            self._body["requestMetadata"] = kept

    def _add_own_fields(self) -> None:
        """Add the model's own fields that the client wrote; those that the request's own parts decide win."""
        wrote = self._request.extras.get(CHAT, {}).get(OWN_FIELDS)
        if isinstance(wrote, msgspec.Raw):
            wrote = msgspec.json.decode(wrote)
        if wrote is not None and not isinstance(wrote, dict):
            raise ApiError("invalid_request", f"{OWN_FIELDS} must be an object")
        own = (wrote or {}) | self._own
        for name, value in (("inferenceConfig", self._config), ("outputConfig", self._output), (OWN_FIELDS, own)):
            if value:
                self._body[name] = value

    def _report(self) -> None:
        """Name the fields that are for other dialects, but for those that the router itself serves."""
        for fields in self._request.extras.values():
            # The middle holds every response format but grammars.
            absent = [
                name
                for name in fields
                if name != OWN_FIELDS and (CONVERSE_SUPPORT.get(name, _ABSENT) is _ABSENT or name == "response_format")
            ]
            self._dropped |= asking_fields(fields, absent)

    def _encoded(self, plan: OutputPlan, generation_id: str) -> Encoded:
        context = DecodeContext(
            generation_id=generation_id,
            origin=converse_origin_at(self._endpoint),
            tool_names=self._names.changed(),
            output_tool=plan.tool["name"] if plan.tool is not None else None,
            custom_tools=self._names.custom,
            json_text=plan.tool is not None or plan.instruction is not None,
        )
        method = "converse-stream" if self._request.stream else "converse"
        url = f"{self._endpoint.base_url}/model/{quote(self._endpoint.upstream_model, safe='')}/{method}"
        request = HttpRequest(url, {"content-type": "application/json"}, encode_json(self._body))
        return Encoded(request, context, tuple(sorted(self._dropped)))
