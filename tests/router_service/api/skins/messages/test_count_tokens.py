"""Estimates of input tokens."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from router_service.api.skins.messages.count_tokens import estimate_input_tokens, ratios_of
from router_service.api.skins.messages.parse import parse_generation


def estimated(model: str, content: Any, role: str = "user", **fields: Any) -> int:
    body = {"messages": [{"role": role, "content": content}], **fields}
    raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in body.items()}
    return estimate_input_tokens(parse_generation(raw, counting=True), model)


def test_text_is_divided_by_the_familys_ratio() -> None:
    assert estimated("openai/gpt-5", "a" * 4000) == 1000 + 6
    assert estimated("anthropic/claude-sonnet-4.5", "a" * 3500) == 1000 + 6
    assert estimated("anthropic/claude-opus-4.7", "a" * 2590) == 1000 + 6
    assert estimated("openai/gpt-5", "海" * 400) == 300 + 6


def test_everything_that_is_sent_counts() -> None:
    plain = estimated("openai/gpt-5", "hello")
    tool = {"name": "f", "description": "d" * 400, "input_schema": {"type": "object"}}
    assert estimated("openai/gpt-5", "hello", tools=[tool]) > plain + 100
    assert estimated("anthropic/x", "hello", tools=[tool]) > estimated("anthropic/x", "hello") + 346
    hosted = {"type": "web_search_20250305", "name": "web_search", "user_location": {"city": "c" * 400}}
    assert estimated("openai/gpt-5", "hello", tools=[hosted]) > plain + 100
    assert estimated("openai/gpt-5", "hello", system="s" * 400) == plain + 100 + 3
    schema = {"type": "json_schema", "schema": {"type": "object", "title": "t" * 400}}
    assert estimated("openai/gpt-5", "hello", output_config={"format": schema}) > plain + 100


@pytest.mark.parametrize(
    ("block", "tokens"),
    [
        ({"type": "image", "source": {"type": "url", "url": "https://a.example/" + "x" * 4000}}, 1600),
        ({"type": "document", "source": {"type": "url", "url": "u"}}, 3000),
        (
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "A" * 133_332}},
            6000,
        ),
        ({"type": "tool_result", "tool_use_id": "t", "content": "x" * 400}, 100),
        (
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "image", "source": {"type": "url", "url": "u"}}],
            },
            1600,
        ),
        ({"type": "tool_use", "id": "t", "name": "ffff", "input": {"a": "x" * 392}}, 101),
        (
            {
                "type": "search_result",
                "source": "s" * 100,
                "title": "t" * 99,
                "content": [{"type": "text", "text": "x" * 199}],
            },
            100,
        ),
    ],
)
def test_blocks(block: dict[str, Any], tokens: int) -> None:
    role = "assistant" if block["type"] == "tool_use" else "user"
    assert estimated("openai/gpt-5", [block], role) == tokens + 6


def test_the_longest_family_wins() -> None:
    assert ratios_of("anthropic/claude-opus-4.7").bytes_per_token < ratios_of("anthropic/claude-3-opus").bytes_per_token
    assert ratios_of("made/up") == ratios_of("")
