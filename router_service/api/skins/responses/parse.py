"""Read the body of a responses request as a ``GenerationRequest``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw

from router_service.api.skins.cache_control import read_cache_mark
from router_service.api.skins.field_errors import bad_field, decode_field, read_field, schema_of
from router_service.api.skins.responses.items import InputReader, split_instructions
from router_service.api.skins.responses.tools import ChosenTools, OfferedTools, read_array, read_choice
from router_service.api.skins.sampling import read_sampling
from router_service.core.generation import (
    GenerationRequest,
    Message,
    OutputFormat,
    ReasoningOptions,
    Sampling,
    ToolChoice,
)
from router_service.core.parts import Text
from router_service.core.wire.chat import DIALECT as CHAT
from router_service.core.wire.chat import Positive
from router_service.core.wire.responses import DIALECT, ReasoningConfig, TextConfig
from router_service.planning.service_tiers import requested_tier

_TEXT = msgspec.json.Decoder(str | None)
_TEXTS = msgspec.json.Decoder(list[str] | None)
_FLAG = msgspec.json.Decoder(bool | None)
_LIMIT = msgspec.json.Decoder(Positive | None)
_METADATA = msgspec.json.Decoder(
    Annotated[dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]], Meta(max_length=16)]
    | None
)
_METADATA_SHAPE = "an object of at most 16 strings, each of at most 512 characters"
_REASONING = msgspec.json.Decoder(ReasoningConfig | None)
_TEXT_CONFIG = msgspec.json.Decoder(TextConfig | None)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_KNOWN_REASONING = frozenset(ReasoningConfig.__struct_fields__)
_SAMPLING = (
    "temperature", "top_p", "top_k", "min_p", "top_a", "frequency_penalty", "presence_penalty", "repetition_penalty",
    "seed", "stop", "logit_bias", "top_logprobs",
)  # fmt: skip
LOGPROBS, ENCRYPTED = "message.output_text.logprobs", "reasoning.encrypted_content"
_FORMATS = "an object with a type: text, json_object or json_schema"
# What asks the server to keep something between requests, and what to send instead.
_STATEFUL = {
    "previous_response_id": "leave it out and send the earlier input and output items again in `input`",
    "conversation": "leave it out and send the conversation's items in `input`",
    "prompt": "leave it out and send the prompt's text in `instructions` and `input`",
}
# Fields of the chat dialect that mean the same here; several providers have them.
_OF_CHAT = frozenset(
    {
        "debug", "image_config", "max_tool_calls", "plugins", "preset", "prompt_cache_key", "prompt_cache_options",
        "prompt_cache_retention", "safety_identifier", "stop_server_tools_when", "transforms",
    }
)  # fmt: skip
_CHECKED: dict[str, tuple[msgspec.json.Decoder[Any], str]] = {
    "max_tool_calls": (_LIMIT, "a whole number of at least 1"),
    "prompt_cache_key": (_TEXT, "a string"),
    "prompt_cache_retention": (_TEXT, "a string"),
    "safety_identifier": (_TEXT, "a string"),
}
# Fields that the router reads itself, and those that the middle holds. ``store`` is answered with false.
# ``client_metadata``, with which Codex names its sessions, stays here.
ROUTER_FIELDS = frozenset(
    {"client_metadata", "model", "models", "provider", "route", "session_id", "stream_options", "trace", "usage"}
)
READ_FIELDS = ROUTER_FIELDS.union(
    _SAMPLING,
    _STATEFUL,
    {
        "background", "cache_control", "include", "input", "instructions", "max_output_tokens", "metadata",
        "modalities", "n", "parallel_tool_calls", "reasoning", "service_tier", "store", "stream", "text", "tool_choice",
        "tools", "truncation", "user",
    },
)  # fmt: skip


class ParsedBody(msgspec.Struct):
    """Hold the request, and how its answer differs: names of tools to write back, and reasoning to keep out."""

    generation: GenerationRequest
    namespaces: dict[str, tuple[str, str]]
    exclude_reasoning: bool = False


def parse_body(fields: Mapping[str, Raw]) -> ParsedBody:
    """Translate the top-level ``fields`` of a body.

    Raises ``ApiError`` 400 naming the field that is malformed, with the index of its item, and what to send.
    """
    _refuse_state(fields)
    if "input" not in fields:
        raise bad_field("input", "is missing; send a string, or an array of items")
    offered = OfferedTools()
    if "tools" in fields:
        offered.add(read_array(bytes(fields["tools"]), "tools"), "tools")
    reader = InputReader(offered)
    reader.read(fields["input"])
    instructions = read_field(fields, "instructions", _TEXT, "a string")
    leading, messages = split_instructions(reader.messages)
    if instructions:
        leading.insert(0, Message(role="system", parts=[Text(text=instructions)]))
    chosen = read_choice(bytes(fields["tool_choice"])) if "tool_choice" in fields else ChosenTools()
    tools = offered.tools
    if chosen.allowed is not None:
        tools = [tool for tool in tools if tool.name in chosen.allowed]
    include = read_field(fields, "include", _TEXTS, "an array of strings") or []
    text = read_field(fields, "text", _TEXT_CONFIG, "an object such as {'format': {'type': 'text'}}") or TextConfig()
    reasoning = _reasoning(fields)
    return ParsedBody(
        GenerationRequest(
            instructions=leading,
            messages=messages,
            tools=tools,
            tool_choice=_with_parallel(chosen.choice, fields),
            output=_output(text),
            sampling=_sampling(fields, include),
            reasoning=reasoning,
            max_tokens=read_field(fields, "max_output_tokens", _LIMIT, "a whole number of at least 1"),
            cache=read_cache_mark(fields),
            user=read_field(fields, "user", _TEXT, "a string"),
            metadata=read_field(fields, "metadata", _METADATA, _METADATA_SHAPE),
            service_tier=requested_tier(read_field(fields, "service_tier", _TEXT, "a string such as 'priority'"), None),
            modalities=read_field(fields, "modalities", _TEXTS, "an array such as ['text', 'image']"),
            verbosity=text.verbosity,
            stream=bool(read_field(fields, "stream", _FLAG, "true or false")),
            extras=_extras(fields, include, chosen),
        ),
        offered.namespaces,
        exclude_reasoning=reasoning is not None and reasoning.exclude,
    )


def _refuse_state(fields: Mapping[str, Raw]) -> None:
    """Refuse what a router cannot do that keeps nothing between requests: the next one may go to another provider."""
    for name, instead in _STATEFUL.items():
        if name in fields and bytes(fields[name]) != b"null":
            raise bad_field(name, f"is not supported, because this router keeps no responses; {instead}")
    if read_field(fields, "background", _FLAG, "true or false"):
        raise bad_field(
            "background",
            "is not supported, because this router keeps no responses; leave it out, and send stream: true for an "
            "answer that takes long",
        )
    read_field(fields, "store", _FLAG, "true or false; responses are never kept")
    if "n" in fields and bytes(fields["n"]) not in (b"1", b"null"):
        raise bad_field("n", "is not supported: this API returns one answer; leave it out")


def _with_parallel(choice: ToolChoice | None, fields: Mapping[str, Raw]) -> ToolChoice | None:
    parallel = read_field(fields, "parallel_tool_calls", _FLAG, "true or false")
    if parallel is not None:
        choice = choice or ToolChoice()
        choice.parallel = parallel
    return choice


def _sampling(fields: Mapping[str, Raw], include: list[str]) -> Sampling:
    found = read_sampling(fields, _SAMPLING)
    if not found.top_logprobs and LOGPROBS not in include:
        return msgspec.structs.replace(found, top_logprobs=None)
    return msgspec.structs.replace(found, logprobs=True)


def _reasoning(fields: Mapping[str, Raw]) -> ReasoningOptions | None:
    found = read_field(fields, "reasoning", _REASONING, "an object such as {'effort': 'high'}")
    if found is None:
        return None
    options = ReasoningOptions(
        enabled=found.enabled,
        effort=found.effort,
        max_tokens=found.max_tokens,
        exclude=bool(found.exclude),
        summary=found.summary or found.generate_summary,
    )
    return None if options == ReasoningOptions() else options


def _output(text: TextConfig) -> OutputFormat:
    found = text.format
    if found is None or found.type == "text":
        return OutputFormat()
    if found.type == "json_object":
        return OutputFormat(kind="json_object")
    if found.type != "json_schema":
        raise bad_field("text.format.type", f"is wrong: invalid value {found.type[:40]!r}; send {_FORMATS}")
    schema = schema_of(found.schema, "text.format.schema")
    return OutputFormat(
        kind="json_schema", name=found.name, description=found.description, schema=schema, strict=found.strict
    )


def _extras(fields: Mapping[str, Raw], include: list[str], chosen: ChosenTools) -> dict[str, dict[str, Any]]:
    """Return the fields that the middle does not know: those of the chat dialect, and those of this one."""
    shared: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, raw in fields.items():
        if name in _OF_CHAT:
            if name in _CHECKED:
                read_field(fields, name, *_CHECKED[name])
            shared[name] = raw
        elif name not in READ_FIELDS:
            own[name] = raw
    if more := [one for one in include if one not in (LOGPROBS, ENCRYPTED)]:
        own["include"] = more
    if read_field(fields, "truncation", _TEXT, "'auto' or 'disabled'") not in (None, "disabled"):
        own["truncation"] = fields["truncation"]
    if chosen.names_hosted:
        own["tool_choice"] = fields["tool_choice"]
    if "reasoning" in fields and bytes(fields["reasoning"]) != b"null":
        asked = decode_field(bytes(fields["reasoning"]), _OBJECT, "reasoning")
        if any(asked[name] is not None for name in asked.keys() - _KNOWN_REASONING):
            own["reasoning"] = fields["reasoning"]
    return {dialect: found for dialect, found in ((CHAT, shared), (DIALECT, own)) if found}
