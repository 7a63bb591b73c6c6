"""Tests how requests are read: what every field becomes, and what is said of one that is malformed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from router_service.api.skins.chat.parse import parse_generation
from router_service.core.generation import OutputFormat, ReasoningOptions, Tool, ToolChoice
from router_service.core.json_fields import read_fields
from router_service.core.origin import wrap_token
from router_service.core.parts import CacheMark, Citation, Media, Reasoning, Refusal, Text, ToolCall, ToolResult
from tests.router_service.api.skins.chat.requests import HELLO, parse
from tests.wire_cases import FORMATS, WireCase, load_cases

REQUESTS = [case for name in FORMATS for case in load_cases(name)]


def parts_of(message: dict[str, Any]) -> list[Any]:
    return list(parse(messages=[HELLO, message]).messages[1].parts)


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.id)
def test_every_fixture_is_read_without_a_loss(case: WireCase) -> None:
    """Each turn, text, medium, call and tool of a request is in the canonical one, and each field has its place."""
    request = case.request
    found = parse_generation(read_fields(json.dumps(request).encode()))
    turns = [*found.instructions, *found.messages]
    assert [turn.role for turn in turns] == [message["role"] for message in request["messages"]]
    for turn, message in zip(turns, request["messages"], strict=True):
        content = message.get("content")
        written = [content] if isinstance(content, str) else [part.get("text") for part in content or ()]
        inner = [one for part in turn.parts for one in (part.content if isinstance(part, ToolResult) else [part])]
        assert [one.text for one in inner if isinstance(one, Text)] == [text for text in written if text is not None]
        media = [part for part in content if "text" not in part] if isinstance(content, list) else []
        assert len([one for one in inner if isinstance(one, Media)]) == len(media)
        calls = [part for part in turn.parts if isinstance(part, ToolCall)]
        assert [call.call_id for call in calls] == [call["id"] for call in message.get("tool_calls") or ()]
    assert len(found.tools) == len(request.get("tools") or ())
    own = found.extras.get("openai_chat", {})
    unknown = {"prediction", "prompt_cache_key", "safety_identifier", "chat_template_kwargs", "store", "audio"}
    assert unknown.intersection(request) == unknown.intersection(own)
    assert all(json.loads(bytes(raw)) == request[name] for name, raw in own.items())


def test_leading_system_and_developer_turns_are_the_instructions() -> None:
    """A later one stays in its place."""
    found = parse(
        messages=[
            {"role": "system", "content": "a"},
            {"role": "developer", "content": [{"type": "text", "text": "b"}], "name": "ops"},
            HELLO,
            {"role": "system", "content": "c"},
        ]
    )
    assert [(turn.role, turn.name, turn.parts) for turn in found.instructions] == [
        ("system", None, [Text(text="a")]),
        ("developer", "ops", [Text(text="b")]),
    ]
    assert [turn.role for turn in found.messages] == ["user", "system"]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "text", "text": "a"}, Text(text="a")),
        (
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            Media(kind="image", url="https://example.com/a.png", detail="low"),
        ),
        (
            {"type": "image_url", "image_url": "DATA:image/PNG;name=x;base64,iVBO"},
            Media(kind="image", media_type="image/png", data="iVBO"),
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/svg+xml,%3Csvg/%3E"}},
            Media(kind="image", media_type="image/svg+xml", data="PHN2Zy8+"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "mp3"}},
            Media(kind="audio", media_type="audio/mp3", data="UklG"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "data:audio/wav;base64,UklG", "format": "wav"}},
            Media(kind="audio", media_type="audio/wav", data="UklG"),
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            Media(kind="document", media_type="application/pdf", data="JVBE", name="a.pdf"),
        ),
        ({"type": "file", "file": {"file_data": "AAAA"}}, Media(kind="file", data="AAAA")),
        (
            {"type": "file", "file": {"file_data": "https://example.com/a.pdf"}},
            Media(kind="file", url="https://example.com/a.pdf"),
        ),
        ({"type": "file", "file": {"file_id": "file-1"}}, Media(kind="file", file_id="file-1")),
        (
            {"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}},
            Media(kind="video", url="https://example.com/a.mp4"),
        ),
        (
            {"type": "input_video", "video_url": "https://example.com/b"},
            Media(kind="video", url="https://example.com/b"),
        ),
    ],
)
def test_every_kind_of_content_part_in_every_role_that_takes_it(part: dict[str, Any], expected: Any) -> None:
    assert parts_of({"role": "user", "content": [part]}) == [expected]
    assert parts_of({"role": "assistant", "content": [part]}) == [expected]
    [result] = parts_of({"role": "tool", "tool_call_id": "c", "content": [part]})
    assert result == ToolResult(call_id="c", content=[expected])


@pytest.mark.parametrize(
    "mark", [{"cache_control": {"type": "ephemeral", "ttl": "1h"}}, {"prompt_cache_breakpoint": {"mode": "explicit"}}]
)
def test_cache_marks_are_kept_wherever_they_stand(mark: dict[str, Any]) -> None:
    expected = CacheMark("1h" if "cache_control" in mark else None)
    [part] = parts_of({"role": "user", "content": [{"type": "text", "text": "a", **mark}]})
    assert part.cache == expected
    if "cache_control" not in mark:
        return
    assert parse(**mark).cache == expected
    assert parts_of({"role": "user", "content": "a", **mark})[0].cache == expected
    assert parts_of({"role": "tool", "tool_call_id": "c", "content": "a", **mark})[0].cache == expected
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, **mark}
    assert parts_of({"role": "assistant", "tool_calls": [call]})[0].cache == expected
    for tool in ({"function": {"name": "f"}, **mark}, {"function": {"name": "f", **mark}}):
        assert parse(tools=[tool]).tools[0].cache == expected


def test_arguments_of_a_call_may_be_an_object() -> None:
    """They are read as the text of it, which is what every provider takes."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
    assert parts_of({"role": "assistant", "tool_calls": [call]}) == [
        ToolCall(call_id="c", name="f", arguments='{"a":1}')
    ]


def test_an_answer_comes_back_in_the_order_in_which_a_model_makes_it() -> None:
    """All fields of an answer, and those that SDKs set to null, are read; text that repeats details is not."""
    message = {
        "role": "assistant",
        "content": "18 C.",
        "refusal": "No.",
        "reasoning": "Hm",
        "reasoning_details": [
            {"type": "reasoning.text", "text": "Hm", "signature": "s", "format": "anthropic-claude-v1"}
        ],
        "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}, "index": 0}],
        "audio": {"id": "audio_1", "data": "UklG", "transcript": "Hi", "expires_at": 1},
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": '}},
            {"id": "c2", "type": "custom", "custom": {"name": "shell", "input": "ls"}},
        ],
        "function_call": None,
        "annotations": None,
        "model": "acme/one",
        "name": "ann",
    }
    assert parts_of(message) == [
        Reasoning(text="Hm", signature="s", format="anthropic-claude-v1"),
        Text(text="18 C."),
        Refusal(text="No."),
        Media(kind="audio", data="UklG", transcript="Hi", item_id="audio_1"),
        Media(kind="image", media_type="image/png", data="iVBO"),
        ToolCall(call_id="c1", name="f", arguments='{"a": '),
        ToolCall(call_id="c2", name="shell", arguments="ls", kind="custom"),
    ]
    nulls = dict.fromkeys(("content", "refusal", "reasoning", "reasoning_content", "reasoning_details", "tool_calls"))
    assert parts_of({"role": "assistant", **nulls, "audio": None, "images": None}) == []
    assert parts_of({"role": "assistant", "audio": {"id": "audio_1"}}) == [
        Media(kind="audio", file_id="audio_1", item_id="audio_1")
    ]
    assert parts_of({"role": "assistant", "audio": {}}) == []


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_reasoning_without_details_is_kept_under_either_name(name: str) -> None:
    encrypted = [{"type": "reasoning.encrypted", "data": "AA"}]
    assert parts_of({"role": "assistant", name: "Hm"}) == [Reasoning(text="Hm")]
    assert parts_of({"role": "assistant", name: "Hm", "reasoning_details": encrypted}) == [
        Reasoning(text="Hm"),
        Reasoning(encrypted="AA"),
    ]


def test_content_parts_of_an_answer() -> None:
    """Refusals and thinking may stand among the content, as OpenAI, Mistral and Anthropic write them."""
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"type": "thinking", "thinking": "c", "signature": "s"},
        {"type": "refusal", "refusal": "No."},
    ]
    assert parts_of({"role": "assistant", "content": content}) == [
        Reasoning(text="ab"),
        Reasoning(text="c", signature="s"),
        Refusal(text="No."),
    ]


def test_annotations_return_to_the_text_that_they_cite() -> None:
    """Positions count from the beginning of their own text; an annotation without a text is left out."""
    source = {"url": "u", "title": "t", "content": "c", "start_index": 4, "end_index": 6}
    cited = {"type": "url_citation", "url_citation": source}
    file = {"type": "file", "file": {"hash": "h"}}
    content = [{"type": "text", "text": "abc"}, {"type": "text", "text": "defg"}]
    first, second = parts_of({"role": "assistant", "content": content, "annotations": [cited, file]})
    assert first.citations == []
    found = second.citations[0]
    assert (found.url, found.title, found.cited_text, found.start, found.end) == ("u", "t", "c", 1, 3)
    assert [json.loads(bytes(one.raw)) for one in second.citations] == [cited, file]
    early = {"type": "url_citation", "url_citation": {"url": "u", "start_index": 0}}
    first, _ = parts_of({"role": "assistant", "content": content, "annotations": [early]})
    assert isinstance(first.citations[0], Citation) and first.citations[0].end is None
    assert parts_of({"role": "assistant", "content": None, "annotations": [cited]}) == []


def test_calls_and_results_of_the_older_form_are_paired() -> None:
    """A function call has no id: its result is that of the last call of the name."""
    found = parse(
        messages=[
            HELLO,
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "1"},
            {"role": "function", "name": "g", "content": "2"},
        ]
    )
    [call], [first], [second] = (message.parts for message in found.messages[1:])
    assert isinstance(call, ToolCall) and isinstance(first, ToolResult) and isinstance(second, ToolResult)
    assert call.call_id == first.call_id != second.call_id
    assert (first.name, found.messages[2].role) == ("f", "tool")


def test_an_origin_inside_a_call_id_is_taken_out_of_call_and_result() -> None:
    call_id = wrap_token("gemini", "c1")
    call = {"id": call_id, "type": "function", "function": {"name": "f"}}
    found = parse(
        messages=[
            HELLO,
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call_id, "content": "x"},
        ]
    )
    assert found.messages[1].parts == [ToolCall(call_id="c1", name="f", origin="gemini")]
    assert found.messages[2].parts == [ToolResult(call_id="c1", content=[Text(text="x")])]


def test_tools_of_every_kind() -> None:
    schema = {"type": "object", "properties": {}}
    custom = {"type": "custom", "custom": {"name": "shell", "description": "Runs it", "format": {"type": "text"}}}
    hosted = {"type": "web_search", "max_results": 3}
    found = parse(
        tools=[
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": True}},
            {"function": {"name": "bare", "parameters": None}},
            custom,
            hosted,
        ],
        functions=[{"name": "old", "parameters": schema}],
    ).tools
    assert [(tool.name, tool.kind, tool.description, tool.strict) for tool in found] == [
        ("f", "function", "d", True),
        ("bare", "function", None, None),
        ("shell", "custom", "Runs it", None),
        ("web_search", "hosted", None, None),
        ("old", "function", None, None),
    ]
    assert [tool.schema and json.loads(bytes(tool.schema)) for tool in found] == [schema, None, None, None, schema]
    assert [tool.raw and json.loads(bytes(tool.raw)) for tool in found] == [None, None, custom, hosted, None]
    assert [tool.dialect for tool in found] == [None, None, "openai_chat", "openai_chat", None]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"tool_choice": None}, None),
        ({"tool_choice": "required", "parallel_tool_calls": False}, ToolChoice(mode="required", parallel=False)),
        ({"tool_choice": "any"}, ToolChoice(mode="required")),
        ({"parallel_tool_calls": True}, ToolChoice(parallel=True)),
        ({"parallel_tool_calls": None}, None),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, ToolChoice(mode="tool", name="f")),
        ({"tool_choice": {"type": "custom", "custom": {"name": "g"}}}, ToolChoice(mode="tool", name="g")),
        ({"tool_choice": {"type": "web_search"}}, ToolChoice(mode="tool", name="web_search")),
        ({"function_call": "none"}, ToolChoice(mode="none")),
        ({"function_call": {"name": "f"}}, ToolChoice(mode="tool", name="f")),
    ],
)
def test_tool_choices(fields: dict[str, Any], expected: ToolChoice | None) -> None:
    assert parse(**fields).tool_choice == expected


def test_a_choice_among_allowed_tools_leaves_out_the_others() -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}
    found = parse(
        tools=[{"function": {"name": "f"}}, {"function": {"name": "g"}}],
        tool_choice={"type": "allowed_tools", "allowed_tools": allowed},
    )
    assert (found.tools, found.tool_choice) == ([Tool(name="g")], ToolChoice(mode="required"))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, OutputFormat()),
        ({"type": "text"}, OutputFormat()),
        ({"type": "json_object"}, OutputFormat(kind="json_object")),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "description": "d", "strict": True, "schema": {}}},
            OutputFormat(kind="json_schema", name="a", description="d", strict=True, schema=Raw(b"{}")),
        ),
        ({"type": "json_schema", "json_schema": {"name": "a"}}, OutputFormat(kind="json_schema", name="a")),
    ],
)
def test_output_formats(wanted: Any, expected: OutputFormat) -> None:
    assert parse(response_format=wanted).output == expected


def test_a_grammar_goes_to_this_dialect_alone() -> None:
    found = parse(response_format={"type": "grammar", "grammar": "root ::= x"})
    assert found.output == OutputFormat()
    assert json.loads(bytes(found.extras["openai_chat"]["response_format"])) == {
        "type": "grammar",
        "grammar": "root ::= x",
    }


def test_sampling_and_limits() -> None:
    given_values = {
        "temperature": 0.5, "top_p": 1, "top_k": 4, "min_p": 0.1, "top_a": 0.2, "frequency_penalty": -2,
        "presence_penalty": 2, "repetition_penalty": 1.1, "seed": -(2**63), "logit_bias": {"50256": -100},
        "logprobs": True, "top_logprobs": 20, "n": 2,
    }  # fmt: skip
    sampling = parse(**given_values, stop="END").sampling
    assert {name: getattr(sampling, name) for name in given_values} == given_values
    assert sampling.stop == ["END"]
    assert parse(stop=["a", "b"]).sampling.stop == ["a", "b"]
    assert parse(**dict.fromkeys(given_values), stop=None) == parse()
    assert parse(max_tokens=5).max_tokens == 5
    assert parse(max_tokens=5, max_completion_tokens=6).max_tokens == 6
    assert parse(max_tokens=5, max_completion_tokens=None).max_tokens == 5


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"reasoning": None, "reasoning_effort": None, "include_reasoning": None}, None),
        ({"reasoning": {}}, ReasoningOptions()),
        (
            {"reasoning": {"effort": "high", "max_tokens": 9, "exclude": True, "enabled": True, "summary": "auto"}},
            ReasoningOptions(effort="high", max_tokens=9, exclude=True, enabled=True, summary="auto"),
        ),
        ({"reasoning_effort": "none"}, ReasoningOptions(effort="none")),
        ({"reasoning_effort": "low", "reasoning": {"effort": "low"}}, ReasoningOptions(effort="low")),
        ({"include_reasoning": True}, ReasoningOptions()),
        ({"include_reasoning": False}, ReasoningOptions(exclude=True)),
        ({"include_reasoning": False, "reasoning": {"exclude": False}}, ReasoningOptions()),
    ],
)
def test_reasoning_options(fields: dict[str, Any], expected: ReasoningOptions | None) -> None:
    assert parse(**fields).reasoning == expected


def test_the_other_fields() -> None:
    found = parse(
        user="u", metadata={"a": "b"}, service_tier="flex", modalities=["text", "audio"], verbosity="low", stream=True,
        provider={"only": ["x"]}, session_id="s", model="m", store=False,
    )  # fmt: skip
    assert (found.user, found.metadata, found.service_tier, found.verbosity) == ("u", {"a": "b"}, "flex", "low")
    assert (found.modalities, found.stream) == (["text", "audio"], True)
    assert {name: bytes(raw) for name, raw in found.extras["openai_chat"].items()} == {"store": b"false"}
    assert parse(speed="fast").service_tier == "priority"
    assert parse(speed="standard").service_tier is None
    assert parse().extras == {}


def test_the_fixtures_are_there() -> None:
    assert len(REQUESTS) > 100 and all(Path(case.id).name for case in REQUESTS)
