"""Every kind of content block, read as a part."""

from __future__ import annotations

from typing import Any

import pytest

from router_service.core.parts import CacheMark, Citation, Media, Opaque, Reasoning, Text, ToolCall, ToolResult
from router_service.core.wire.anthropic import DIALECT
from tests.router_service.api.skins.messages.parsing import USER, block, parsed, raw


def test_text_with_citations() -> None:
    own = {
        "type": "char_location",
        "cited_text": "blue",
        "document_index": 0,
        "document_title": "Sea",
        "start_char_index": 0,
        "end_char_index": 4,
    }
    foreign = {
        "type": "web_search_result_location",
        "url": "https://a.example",
        "title": "A",
        "cited_text": "c",
        "encrypted_index": "",
    }
    part = block({"type": "text", "text": "It is blue", "citations": [own, foreign]}, "assistant")
    assert isinstance(part, Text)
    assert part.citations[0] == Citation(title="Sea", cited_text="blue", dialect=DIALECT, raw=raw(own))
    assert part.citations[1] == Citation(url="https://a.example", title="A", cited_text="c")


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (
            {"type": "base64", "media_type": "image/png", "data": "aGk="},
            Media(kind="image", media_type="image/png", data="aGk="),
        ),
        ({"type": "url", "url": "https://a.example/x.png"}, Media(kind="image", url="https://a.example/x.png")),
        ({"type": "file", "file_id": "file_1"}, Media(kind="image", file_id="file_1")),
    ],
)
def test_images(source: dict[str, Any], wanted: Media) -> None:
    assert block({"type": "image", "source": source}) == wanted
    marked = block({"type": "image", "source": source, "cache_control": {"type": "ephemeral"}, "transformations": {}})
    assert isinstance(marked, Media)
    assert marked.cache == CacheMark() and marked.extras == {DIALECT: {"transformations": {}}}


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        (
            {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
            {"media_type": "application/pdf", "data": "aGk="},
        ),
        (
            {"type": "url", "url": "https://a.example/x.pdf"},
            {"media_type": "application/pdf", "url": "https://a.example/x.pdf"},
        ),
        ({"type": "file", "file_id": "file_1"}, {"file_id": "file_1"}),
    ],
)
def test_documents(source: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert block({"type": "document", "source": source}) == Media(kind="document", **wanted)
    full = {"title": "Sea", "context": "A chart", "citations": {"enabled": True}}
    extras = {DIALECT: {"context": "A chart", "citations": {"enabled": True}}}
    assert block({"type": "document", "source": source, **full}) == Media(
        kind="document", name="Sea", extras=extras, **wanted
    )


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            {
                "type": "document",
                "title": "T",
                "context": "C",
                "source": {"type": "text", "media_type": "text/plain", "data": "words"},
            },
            "T\nC\nwords",
        ),
        (
            {
                "type": "document",
                "source": {
                    "type": "content",
                    "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
                },
            },
            "one\ntwo",
        ),
        (
            {
                "type": "search_result",
                "source": "https://a.example",
                "title": "T",
                "content": [{"type": "text", "text": "found"}],
            },
            "T\nhttps://a.example\nfound",
        ),
        (
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "sea"}},
            'web_search({"query":"sea"})',
        ),
        (
            {
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_1",
                "content": [
                    {
                        "type": "web_search_result",
                        "url": "https://a.example",
                        "title": "A",
                        "encrypted_content": "secret",
                    }
                ],
            },
            "A\nhttps://a.example",
        ),
        (
            {
                "type": "mcp_tool_result",
                "tool_use_id": "mcptoolu_1",
                "is_error": False,
                "content": [{"type": "text", "text": "ok"}],
            },
            "ok",
        ),
        (
            {
                "type": "bash_code_execution_tool_result",
                "tool_use_id": "srvtoolu_1",
                "content": {
                    "type": "bash_code_execution_result",
                    "stdout": "4\n",
                    "stderr": "",
                    "return_code": 0,
                    "content": [],
                },
            },
            "4\n",
        ),
        ({"type": "compaction", "content": "So far: a greeting", "encrypted_content": "e"}, "So far: a greeting"),
        ({"type": "container_upload", "file_id": "file_1"}, None),
        ({"type": "made_up_tomorrow", "x": [1]}, None),
    ],
)
def test_blocks_of_the_dialect_alone(found: dict[str, Any], text: str | None) -> None:
    marked = {**found, "cache_control": {"type": "ephemeral"}}
    assert block(marked) == Opaque(dialect=DIALECT, raw=raw(marked), text=text, cache=CacheMark())


def test_reasoning_of_anthropic() -> None:
    found = {"type": "thinking", "thinking": "Hm", "signature": "EqQB"}
    assert block(found, "assistant") == Reasoning(text="Hm", signature="EqQB", format="anthropic-claude-v1")
    redacted = {"type": "redacted_thinking", "data": "EmwK"}
    assert block(redacted, "assistant") == Reasoning(encrypted="EmwK", format="anthropic-claude-v1")


@pytest.mark.parametrize("signature", ["", "ptln1_%%%"])
def test_reasoning_without_a_valid_proof_is_text(signature: str) -> None:
    found = {"type": "thinking", "thinking": "Hm", "signature": signature}
    assert block(found, "assistant") == Reasoning(text="Hm")


def test_tools_calls_and_results() -> None:
    turns = [
        *USER,
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}}
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "12 °C"},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "is_error": True,
                    "cache_control": {"type": "ephemeral"},
                    "content": [
                        {"type": "text", "text": "no"},
                        {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}},
                        {"type": "tool_reference", "tool_name": "g"},
                    ],
                },
                {"type": "tool_result", "tool_use_id": "toolu_3"},
                {"type": "text", "text": "Go on"},
            ],
        },
    ]
    request = parsed(turns)
    assert [message.role for message in request.messages] == ["user", "assistant", "tool", "user"]
    assert request.messages[1].parts == [
        ToolCall(call_id="toolu_1", name="f", arguments='{"a":1}', extras={DIALECT: {"caller": {"type": "direct"}}})
    ]
    first, second, third = request.messages[2].parts
    assert first == ToolResult(call_id="toolu_1", content=[Text(text="12 °C")])
    assert isinstance(second, ToolResult) and second.is_error and second.cache == CacheMark()
    assert [type(part) for part in second.content] == [Text, Media, Opaque]
    assert third == ToolResult(call_id="toolu_3")
    assert request.messages[3].parts == [Text(text="Go on")]


def test_arguments_that_were_no_object_return_as_the_models_text() -> None:
    found = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1, "_invalid_arguments": '{"a":1,"b'}}
    part = block(found, "assistant")
    assert isinstance(part, ToolCall) and part.arguments == '{"a":1,"b'
