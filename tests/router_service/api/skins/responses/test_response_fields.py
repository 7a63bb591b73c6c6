"""Test that the fields of a request are read, refused or kept, and repeated in the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router_service.core.generation import OutputFormat, ReasoningOptions, Sampling, Tool, ToolChoice
from router_service.core.parts import CacheMark, Text
from tests.router_service.api.skins.responses.rendering import HELLO, Rendering, answer, refusal_of

TIDE: dict[str, Any] = {
    "type": "function",
    "name": "tide",
    "description": "Look it up",
    "parameters": {"type": "object", "properties": {"port": {"type": "string"}}},
    "strict": True,
}
WIND = {"type": "function", "name": "wind", "parameters": None}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}


def head_names(**fields: Any) -> list[str]:
    head = Rendering(**fields).exchange.request.head
    assert head is not None
    return head.names


def test_sampling_and_limits_are_read() -> None:
    generation = Rendering(
        temperature=0.5, top_p=0.9, top_k=4, frequency_penalty=1, presence_penalty=-1, seed=7, max_output_tokens=99
    ).generation
    assert generation.sampling == Sampling(
        temperature=0.5, top_p=0.9, top_k=4, frequency_penalty=1, presence_penalty=-1, seed=7
    )
    assert generation.max_tokens == 99


@pytest.mark.parametrize(
    ("fields", "logprobs", "count"),
    [
        ({"top_logprobs": 3}, True, 3),
        ({"top_logprobs": 0}, None, None),
        ({"include": ["message.output_text.logprobs"]}, True, None),
        ({"include": ["message.output_text.logprobs"], "top_logprobs": 2}, True, 2),
        ({}, None, None),
    ],
)
def test_log_probabilities_are_asked_for_by_either_field(fields: dict[str, Any], logprobs: Any, count: Any) -> None:
    sampling = Rendering(**fields).generation.sampling
    assert (sampling.logprobs, sampling.top_logprobs) == (logprobs, count)


def test_tools_of_every_kind_are_read() -> None:
    search = {"type": "web_search", "external_web_access": False}
    deferred = WIND | {"defer_loading": True}
    custom = {"type": "custom", "name": "patch", "description": "Edit", "format": GRAMMAR}
    tools = Rendering(
        tools=[TIDE, deferred, custom, search, {"type": "custom", "name": "say", "format": {"type": "text"}}]
    ).generation.tools
    tide, wind, patch, hosted, say = tools
    assert (tide.name, tide.kind, tide.description, tide.strict, tide.dialect) == (
        "tide",
        "function",
        "Look it up",
        True,
        None,
    )
    assert tide.schema is not None and json.loads(bytes(tide.schema)) == TIDE["parameters"]
    assert (wind.schema, wind.dialect) == (None, "openai_responses")
    assert wind.raw is not None and json.loads(bytes(wind.raw)) == deferred
    assert (patch.name, patch.kind, patch.description, patch.dialect) == ("patch", "custom", "Edit", "openai_chat")
    assert patch.raw is not None and json.loads(bytes(patch.raw)) == {
        "type": "custom",
        "custom": {
            "name": "patch",
            "description": "Edit",
            "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /.+/"}},
        },
    }
    assert say.raw is not None and json.loads(bytes(say.raw))["custom"]["format"] == {"type": "text"}
    assert (hosted.name, hosted.kind, hosted.dialect) == ("web_search", "hosted", "openai_responses")
    assert hosted.raw is not None and json.loads(bytes(hosted.raw)) == search


def test_a_namespace_is_offered_as_tools_with_its_name_before_theirs() -> None:
    namespace = {
        "type": "namespace",
        "name": "mcp__harbour__",
        "description": "The harbour's own.",
        "tools": [TIDE, {"type": "custom", "name": "note"}],
    }
    tide, note = Rendering(tools=[namespace]).generation.tools
    assert (tide.name, note.name) == ("mcp__harbour__tide", "mcp__harbour__note")
    assert tide.description == "Tools of mcp__harbour__: The harbour's own.\n\nLook it up"
    assert note.description is None
    assert note.raw is not None and json.loads(bytes(note.raw))["custom"]["name"] == "mcp__harbour__note"


def test_a_long_name_in_a_namespace_is_cut_the_same_way_each_time() -> None:
    tools = [{"type": "namespace", "name": "n" * 40, "tools": [WIND | {"name": "t" * 40}]}]
    call = {"type": "function_call", "call_id": "c", "namespace": "n" * 40, "name": "t" * 40, "arguments": "{}"}
    generation = Rendering(HELLO | {"tools": tools, "input": [{"role": "user", "content": "Hi"}, call]}).generation
    name = generation.tools[0].name
    assert len(name) == 64
    assert generation.messages[1].parts[0].name == name  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (None, None),
        ("auto", ToolChoice(mode="auto")),
        ("none", ToolChoice(mode="none")),
        ("required", ToolChoice(mode="required")),
        ("any", ToolChoice(mode="required")),
        ({"type": "function", "name": "tide"}, ToolChoice(mode="tool", name="tide")),
        ({"type": "custom", "name": "patch"}, ToolChoice(mode="tool", name="patch")),
        ({"type": "function", "function": {"name": "tide"}}, ToolChoice(mode="tool", name="tide")),
        ({"type": "function", "name": "tide", "namespace": "mcp"}, ToolChoice(mode="tool", name="mcp__tide")),
    ],
)
def test_a_choice_has_all_its_forms(choice: Any, wanted: ToolChoice | None) -> None:
    assert Rendering(tools=[TIDE], tool_choice=choice).generation.tool_choice == wanted


def test_allowed_tools_leave_out_the_others() -> None:
    choice = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "wind"}, {"type": "web_search"}],
    }
    tools = [TIDE, WIND, {"type": "web_search"}, {"type": "file_search", "vector_store_ids": []}]
    generation = Rendering(tools=tools, tool_choice=choice, parallel_tool_calls=False).generation
    assert [tool.name for tool in generation.tools] == ["wind", "web_search"]
    assert generation.tool_choice == ToolChoice(mode="required", parallel=False)


def test_the_choice_of_a_hosted_tool_is_for_its_dialect() -> None:
    generation = Rendering(tools=[{"type": "web_search"}], tool_choice={"type": "web_search"}).generation
    assert generation.tool_choice is None
    assert json.loads(bytes(generation.extras["openai_responses"]["tool_choice"])) == {"type": "web_search"}


@pytest.mark.parametrize(
    ("form", "wanted"),
    [
        ({"type": "text"}, OutputFormat()),
        ({"type": "json_object"}, OutputFormat(kind="json_object")),
        (None, OutputFormat()),
    ],
)
def test_the_format_of_the_text_is_read(form: Any, wanted: OutputFormat) -> None:
    assert Rendering(text={"format": form}).generation.output == wanted


def test_a_schema_and_the_verbosity_are_read() -> None:
    form = {"type": "json_schema", "name": "tide", "schema": {"type": "object"}, "strict": True, "description": "D"}
    generation = Rendering(text={"format": form, "verbosity": "low"}).generation
    found = generation.output
    assert (found.kind, found.name, found.strict, found.description) == ("json_schema", "tide", True, "D")
    assert found.schema is not None and bytes(found.schema) == b'{"type": "object"}'
    assert generation.verbosity == "low"


def test_reasoning_has_the_references_fields_too() -> None:
    asked = {"effort": "high", "summary": "auto", "max_tokens": 2000, "enabled": True, "exclude": False}
    assert Rendering(reasoning=asked).generation.reasoning == ReasoningOptions(
        enabled=True, effort="high", max_tokens=2000, summary="auto"
    )
    older = Rendering(reasoning={"generate_summary": "concise"}).generation.reasoning
    assert older is not None and older.summary == "concise"
    assert Rendering(reasoning={"effort": None, "context": None}).generation.reasoning is None
    kept = Rendering(reasoning={"effort": "low", "context": "all_turns"}).generation
    assert json.loads(bytes(kept.extras["openai_responses"]["reasoning"]))["context"] == "all_turns"


def test_fields_go_to_the_dialects_that_know_them() -> None:
    rendering = Rendering(
        prompt_cache_key="k",
        prompt_cache_retention="24h",
        safety_identifier="s",
        max_tool_calls=3,
        truncation="auto",
        include=["reasoning.encrypted_content", "file_search_call.results"],
        client_metadata={"a": "b"},
        metadata={"trip": "1"},
        user="u",
        service_tier="fast",
        modalities=["text"],
        cache_control={"type": "ephemeral"},
        stream_options={"include_obfuscation": False},
        plugins=[{"id": "web"}],
        store=True,
    )
    generation = rendering.generation
    assert generation.extras["openai_chat"].keys() == {
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "max_tool_calls",
        "plugins",
    }
    own = generation.extras["openai_responses"]
    assert own.keys() == {"truncation", "include"}
    assert own["include"] == ["file_search_call.results"]
    assert (generation.metadata, generation.user) == ({"trip": "1"}, "u")
    assert (generation.service_tier, generation.modalities, generation.cache) == ("priority", ["text"], CacheMark())
    head = rendering.exchange.request.head
    assert head is not None and (head.own_dialect, head.own_fields) == ("openai_responses", frozenset(own))
    assert bytes(head.fields["prompt_cache_key"]) == b'"k"'


def test_defaults_ask_for_nothing() -> None:
    plain = Rendering(truncation="disabled", include=["reasoning.encrypted_content"], reasoning=None, store=False)
    assert plain.generation.extras == {}
    assert head_names() == ["messages", "model"]


def test_routing_fields_are_those_of_the_head() -> None:
    rendering = Rendering(
        models=["openai/gpt-4.1"], session_id="s", trace={"trace_id": "t"}, provider={"only": ["groq"]}
    )
    head = rendering.exchange.request.head
    assert head is not None
    assert (head.models, head.session_id, head.trace_id) == (["openai/gpt-4.1"], "s", "t")
    assert json.loads(head.provider) == {"only": ["groq"]}


REFUSED: list[tuple[dict[str, Any], str, str | None]] = [
    ({"previous_response_id": "resp_1"}, "previous_response_id is not supported", "items again in `input`"),
    ({"conversation": {"id": "conv_1"}}, "conversation is not supported", "items in `input`"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt is not supported", "`instructions` and `input`"),
    ({"background": True}, "background is not supported", "stream: true"),
    ({"n": 2}, "n is not supported", "leave it out"),
    ({"store": "yes"}, "store is wrong", "true or false"),
    ({"max_output_tokens": 0}, "max_output_tokens is wrong", "at least 1"),
    ({"max_tool_calls": 0}, "max_tool_calls is wrong", "at least 1"),
    ({"temperature": 3}, "temperature is wrong", "0 to 2"),
    ({"top_logprobs": 21}, "top_logprobs is wrong", "0 to 20"),
    ({"metadata": {"a": "b" * 513}}, "metadata", "512"),
    ({"metadata": {str(n): "" for n in range(17)}}, "metadata is wrong", "at most 16"),
    ({"tools": {}}, "tools must be an array of tools", None),
    ({"tools": [{}]}, "tools[0] has no type", None),
    ({"tools": [{"type": "function"}]}, "tools[0] has no name", None),
    ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters is wrong", "a JSON schema"),
    (
        {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]},
        "tools[0].tools[0].type is 'mcp'",
        "function",
    ),
    ({"tool_choice": "sometimes"}, "tool_choice is wrong", "'auto'"),
    ({"tool_choice": {"type": "function"}}, "tool_choice names no function", "{'type': 'function'"),
    ({"tool_choice": {"type": "allowed_tools", "mode": "auto"}}, "tool_choice has no tools", None),
    ({"text": {"format": {"type": "yaml"}}}, "text.format.type is wrong", "json_schema"),
    ({"text": {"format": {"type": "json_schema", "schema": 7}}}, "text.format.schema is wrong", "a JSON schema"),
    ({"text": "short"}, "text is wrong", "{'format'"),
    ({"reasoning": {"effort": "huge"}}, "reasoning.effort is wrong", "xhigh"),
    ({"include": "all"}, "include is wrong", "array of strings"),
    ({"truncation": 7}, "truncation is wrong", "'disabled'"),
    ({"service_tier": "gold"}, "service_tier must be one of", "priority"),
    ({"session_id": "s" * 257}, "session_id must have at most 256", None),
    ({"instructions": ["Be brief"]}, "instructions is wrong", "a string"),
    ({"plugins": [{"id": "unknown"}]}, "plugins has the unknown id", None),
]


@pytest.mark.parametrize(("fields", "beginning", "advice"), REFUSED, ids=[one[1] for one in REFUSED])
def test_a_field_that_cannot_be_served_is_refused_with_what_to_send(
    fields: dict[str, Any], beginning: str, advice: str | None
) -> None:
    error = refusal_of(HELLO | fields)
    assert error.message.startswith(beginning)
    assert advice is None or advice in error.message
    assert error.code == 400


def test_input_and_model_are_required() -> None:
    assert refusal_of({"model": HELLO["model"]}).message == "input is missing; send a string, or an array of items"
    assert refusal_of({"input": "hi"}).message.startswith("model is missing")


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt", "background", "n", "store", "user"])
def test_null_is_a_field_that_was_not_sent(name: str) -> None:
    assert Rendering(**{name: None}).generation.extras == {}


def test_the_answer_repeats_the_request() -> None:
    asked: dict[str, Any] = {
        "instructions": "Be\nbrief.",
        "max_output_tokens": 99,
        "max_tool_calls": 3,
        "metadata": {"trip": "1"},
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "temperature": 0.5,
        "tool_choice": {"type": "function", "name": "tide"},
        "top_logprobs": 2,
        "top_p": 0.25,
        "truncation": "auto",
        "user": "u",
        "frequency_penalty": 0.5,
        "presence_penalty": 1.5,
    }
    response = Rendering(
        tools=[TIDE, WIND, {"type": "web_search"}],
        text={"verbosity": "low"},
        reasoning={"effort": "low"},
        store=True,
        **asked,
    ).response(answer(Text(text="Hi")))
    assert {name: response[name] for name in asked} == asked
    assert response["tools"] == [TIDE, WIND | {"description": None, "strict": None}, {"type": "web_search"}]
    assert response["text"] == {"verbosity": "low", "format": {"type": "text"}}
    assert response["reasoning"] == {"effort": "low", "summary": None}
    assert response["store"] is False and response["background"] is False


def test_custom_tools_know_no_schema() -> None:
    tools = Rendering(tools=[{"type": "custom", "name": "say"}]).generation.tools
    assert tools == [Tool(name="say", kind="custom", dialect="openai_chat", raw=tools[0].raw)]
