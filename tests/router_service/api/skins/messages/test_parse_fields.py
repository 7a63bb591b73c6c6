"""Every field of a request, read as the canonical one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from router_service.api.skins.messages.parse import parse_generation
from router_service.core.errors import ApiError
from router_service.core.generation import OutputFormat, ReasoningOptions, Tool, ToolChoice
from router_service.core.parts import CacheMark, Opaque, Text
from router_service.core.wire.anthropic import BETA_HEADER, BETA_QUERY, DIALECT
from tests.router_service.api.skins.messages.parsing import USER, parsed, raw


def test_a_plain_request() -> None:
    request = parsed(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["END"],
        stream=True,
        system="Be brief.",
        metadata={"user_id": "u-1"},
        service_tier="standard_only",
    )
    assert request.instructions[0].parts == [Text(text="Be brief.")]
    assert [(m.role, m.parts) for m in request.messages] == [("user", [Text(text="hello")])]
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.top_k) == (0.5, 0.9, 40)
    assert request.sampling.stop == ["END"] and request.sampling.n == 1
    assert (request.max_tokens, request.stream, request.user) == (64, True, "u-1")
    assert request.service_tier == "standard_only"
    assert request.reasoning is None and request.extras == {} and request.output == OutputFormat()


def test_zero_tokens_fill_the_cache_alone() -> None:
    assert parsed(max_tokens=0).max_tokens == 0


def test_counting_needs_no_limit() -> None:
    fields = {"messages": raw(USER)}
    assert parse_generation(fields, counting=True).max_tokens is None
    with pytest.raises(ApiError, match="max_tokens: the field is required"):
        parse_generation(fields)


def test_fast_speed_is_a_tier() -> None:
    assert parsed(speed="fast").service_tier == "fast"
    assert parsed(speed="standard").service_tier is None


def test_system_blocks_and_their_marks() -> None:
    request = parsed(
        system=[
            {"type": "text", "text": "A"},
            {"type": "text", "text": "B", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ]
    )
    assert request.instructions[0].parts == [Text(text="A"), Text(text="B", cache=CacheMark("1h"))]
    assert parsed(system="").instructions == []
    assert parsed(system=[]).instructions == []
    unknown = parsed(system=[{"type": "rule", "text": "C"}]).instructions[0].parts[0]
    assert isinstance(unknown, Opaque) and unknown.text == "C"


def test_system_turns_stay_in_place_unless_they_lead() -> None:
    turns = [
        {"role": "system", "content": "first"},
        *USER,
        {"role": "system", "content": [{"type": "text", "text": "later"}]},
    ]
    request = parsed(turns, system="top")
    assert [message.parts for message in request.instructions] == [[Text(text="top")], [Text(text="first")]]
    assert [message.role for message in request.messages] == ["user", "system"]


BILLING = "x-anthropic-billing-header: cc_version=2.1.117.48f; cc_entrypoint=cli; cch=71fea;"


@pytest.mark.parametrize(
    "system",
    [
        [{"type": "text", "text": BILLING}, {"type": "text", "text": "You are Claude Code"}],
        [{"type": "text", "text": BILLING + "\nYou are Claude Code"}],
        BILLING + "\n\nYou are Claude Code",
    ],
)
def test_claude_codes_billing_line_goes_to_its_own_dialect_alone(system: Any) -> None:
    billing, text = parsed(system=system).instructions[0].parts
    assert isinstance(billing, Opaque) and billing.text is None and billing.dialect == DIALECT
    assert msgspec.json.decode(billing.raw) == {"type": "text", "text": BILLING}
    assert text == Text(text="You are Claude Code")


def test_tools_of_all_kinds() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    search = {
        "type": "web_search_20250305",
        "name": "web_search",
        "max_uses": 3,
        "cache_control": {"type": "ephemeral"},
    }
    toolset = {"type": "mcp_toolset", "mcp_server_name": "files"}
    deferred = {"name": "g", "input_schema": schema, "defer_loading": True, "type": "custom"}
    tools = parsed(
        tools=[
            {
                "name": "f",
                "description": "D",
                "input_schema": schema,
                "strict": True,
                "cache_control": {"type": "ephemeral"},
            },
            deferred,
            search,
            toolset,
            {"type": "bash_20250124", "name": "bash"},
        ]
    ).tools
    assert tools == [
        Tool(name="f", description="D", schema=raw(schema), strict=True, cache=CacheMark()),
        Tool(name="g", schema=raw(schema), dialect=DIALECT, raw=raw(deferred)),
        Tool(name="web_search", kind="hosted", cache=CacheMark(), dialect=DIALECT, raw=raw(search)),
        Tool(name="files", kind="hosted", dialect=DIALECT, raw=raw(toolset)),
        Tool(name="bash", kind="hosted", dialect=DIALECT, raw=raw({"type": "bash_20250124", "name": "bash"})),
    ]
    assert parsed(tools=None, tool_choice=None).tools == []


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ({"type": "auto"}, ToolChoice()),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice(mode="required", parallel=False)),
        (
            {"type": "tool", "name": "f", "disable_parallel_tool_use": False},
            ToolChoice(mode="tool", name="f", parallel=True),
        ),
        ({"type": "none"}, ToolChoice(mode="none")),
    ],
)
def test_tool_choices(choice: dict[str, Any], wanted: ToolChoice) -> None:
    assert parsed(tool_choice=choice).tool_choice == wanted


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, ReasoningOptions(enabled=True, max_tokens=2048)),
        ({"thinking": {"type": "disabled"}}, ReasoningOptions(enabled=False)),
        ({"thinking": {"type": "adaptive"}}, ReasoningOptions(enabled=True)),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
            ReasoningOptions(enabled=True, effort="xhigh"),
        ),
        ({"output_config": {"effort": "low"}}, ReasoningOptions(effort="low")),
        ({"output_config": None, "thinking": None}, None),
    ],
)
def test_reasoning_options(fields: dict[str, Any], wanted: ReasoningOptions | None) -> None:
    request = parsed(**fields)
    assert request.reasoning == wanted
    assert request.extras == {}


def test_what_the_middle_cannot_say_stays_in_the_extras() -> None:
    thinking = {"type": "adaptive", "display": "omitted"}
    config = {"effort": "high", "task_budget": {"type": "tokens", "total": 9000}}
    extras = parsed(thinking=thinking, output_config=config, container="c_1", provider={"sort": "price"}).extras
    assert extras == {
        DIALECT: {"thinking": raw(thinking), "output_config": raw(config), "container": raw("c_1")},
    }
    between = parsed(thinking={"type": "between_tools"})
    assert between.reasoning == ReasoningOptions(enabled=True) and "thinking" in between.extras[DIALECT]


def test_betas_are_kept() -> None:
    fields = {"messages": raw(USER), "max_tokens": raw(1)}
    request = parse_generation(fields, betas=["a-1, b-2", "a-1", " "], beta_query=True)
    assert request.extras == {DIALECT: {BETA_HEADER: ["a-1", "b-2"], BETA_QUERY: True}}


@pytest.mark.parametrize("place", ["output_config", "output_format"])
def test_structured_output(place: str) -> None:
    schema = {"type": "object"}
    found = {"type": "json_schema", "schema": schema}
    request = parsed(**{place: {"format": found} if place == "output_config" else found})
    assert request.output == OutputFormat(kind="json_schema", schema=raw(schema), strict=True)
    assert request.extras == {}


def test_the_whole_prompt_can_be_marked() -> None:
    assert parsed(cache_control={"type": "ephemeral", "ttl": "5m"}).cache == CacheMark("5m")
