"""Reasoning is asked for as each model takes it, and never where the vendor refuses it."""

from __future__ import annotations

import pytest

from router_service.core.generation import (
    GenerationRequest,
    ReasoningOptions,
)
from router_service.core.parts import Reasoning
from router_service.providers.claude_traits import ClaudeTraits, claude_traits
from tests.router_service.providers.formats.anthropic_messages.messages_world import (
    THINK,
    ask,
    assistant,
    body_of,
    call,
    encode,
    endpoint,
    function,
    result,
    user,
)


@pytest.mark.parametrize(
    ("options", "limit", "budget"),
    [
        (ReasoningOptions(effort="high"), 32000, 25600),
        (ReasoningOptions(effort="xhigh"), 32000, 30400),
        (ReasoningOptions(effort="max"), 32000, 30400),
        (ReasoningOptions(effort="medium"), 32000, 16000),
        (ReasoningOptions(effort="low"), 32000, 6400),
        (ReasoningOptions(effort="minimal"), 32000, 3200),
        (ReasoningOptions(enabled=True), 32000, 16000),
        (ReasoningOptions(max_tokens=2000), 32000, 2000),
        (ReasoningOptions(max_tokens=10), 32000, 1024),
        (ReasoningOptions(effort="minimal"), 4000, 1024),
        (ReasoningOptions(effort="high", exclude=True), 200000, 128000),
    ],
)
def test_budgets(options: ReasoningOptions, limit: int, budget: int) -> None:
    """The budget is the reference's share of max_tokens within its limits, or the client's own."""
    body = body_of(ask(reasoning=options, max_tokens=limit), endpoint(limit=None))
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}


@pytest.mark.parametrize(
    "options",
    [
        None,
        ReasoningOptions(),
        ReasoningOptions(exclude=True),
        ReasoningOptions(enabled=False, max_tokens=2000),
        ReasoningOptions(effort="none"),
    ],
)
def test_no_thinking_unless_asked_for(options: ReasoningOptions | None) -> None:
    """Nothing is sent where the client asks for no reasoning."""
    request = ask(reasoning=options)
    assert "thinking" not in body_of(request)
    assert encode(request).dropped == ()


@pytest.mark.parametrize(
    "request_",
    [
        ask(reasoning=THINK, max_tokens=1000),
        ask(reasoning=ReasoningOptions(max_tokens=5000), max_tokens=5000),
        ask(user("?"), assistant(call()), result("call_1"), tools=[function()], reasoning=THINK),
        ask(user("?"), assistant("Hm.", call()), result("call_1"), user("So?"), tools=[function()], reasoning=THINK),
        ask(user("?"), assistant(call()), reasoning=THINK),
        ask(user("?"), assistant("I thi"), reasoning=THINK),
        ask(
            user("?"),
            assistant(Reasoning(text="a", signature="s", format="google-gemini-v1"), call()),
            result("call_1"),
            reasoning=THINK,
        ),
    ],
)
def test_thinking_is_switched_off_where_the_vendor_refuses_it(request_: GenerationRequest) -> None:
    """Without room, in a tool loop that began without thinking, and after a prefilled turn: off, and reported."""
    assert "thinking" not in body_of(request_)
    assert encode(request_).dropped == ("reasoning",)


def test_thinking_goes_on_in_a_tool_loop_that_has_thought() -> None:
    """A turn that begins with signed or redacted thinking, or that has been answered, takes more of it."""
    for part in (
        Reasoning(text="a", signature="s", format="anthropic-claude-v1"),
        Reasoning(encrypted="d", format="anthropic-claude-v1"),
    ):
        request = ask(user("?"), assistant(part, call()), result("call_1"), reasoning=THINK)
        assert "thinking" in body_of(request)
    done = ask(user("?"), assistant(call()), result("call_1"), assistant("18 C"), user("So?"), reasoning=THINK)
    assert "thinking" in body_of(done)


def test_a_prefilled_turn_without_thinking_has_no_thinking_blocks() -> None:
    """The vendor refuses thinking blocks in the last turn while thinking is off."""
    signed = Reasoning(text="a", signature="s", format="anthropic-claude-v1")
    request = ask(user("?"), assistant(signed, "Yes"))
    assert body_of(request)["messages"][-1]["content"] == [{"type": "text", "text": "Yes"}]
    assert encode(request).dropped == ("reasoning",)


@pytest.mark.parametrize(
    ("model", "options", "thinking", "effort", "dropped"),
    [
        ("claude-opus-4-7", ReasoningOptions(effort="xhigh"), "summarized", "xhigh", ()),
        ("claude-opus-4-7", ReasoningOptions(effort="minimal"), "summarized", "low", ()),
        ("claude-opus-4-7", ReasoningOptions(effort="high", exclude=True), "omitted", "high", ()),
        ("claude-opus-4-7", ReasoningOptions(enabled=True), "summarized", None, ()),
        ("claude-opus-4-7", ReasoningOptions(max_tokens=2000), "summarized", None, ("reasoning.max_tokens",)),
        ("claude-sonnet-4-6", ReasoningOptions(effort="xhigh"), "summarized", "high", ()),
        ("claude-mythos-preview", ReasoningOptions(effort="max"), "summarized", "max", ()),
    ],
)
def test_adaptive_thinking(
    model: str, options: ReasoningOptions, thinking: str, effort: str | None, dropped: tuple[str, ...]
) -> None:
    """Models that think adaptively get an effort in place of a budget, the nearest that they have."""
    request = ask(reasoning=options)
    body = body_of(request, endpoint(model))
    assert body["thinking"] == {"type": "adaptive", "display": thinking}
    assert body.get("output_config", {}).get("effort") == effort
    assert encode(request, endpoint(model)).dropped == dropped


def test_a_budget_where_the_model_takes_both() -> None:
    """Claude 4.6 still takes the client's own budget."""
    body = body_of(ask(reasoning=ReasoningOptions(max_tokens=3000)), endpoint("claude-opus-4-6"))
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 3000}
    assert "output_config" not in body


def test_thinking_that_is_on_by_default_can_be_switched_off() -> None:
    """Tell the model not to think where it would; report it where the model always thinks."""
    off = ask(reasoning=ReasoningOptions(enabled=False))
    assert body_of(off, endpoint("claude-opus-5"))["thinking"] == {"type": "disabled"}
    assert "thinking" not in body_of(off, endpoint("claude-opus-4-7"))
    assert "thinking" not in body_of(off, endpoint("claude-opus-5-5"))
    assert encode(off, endpoint("claude-opus-5-5")).dropped == ("reasoning",)


def test_thinking_as_the_dialect_writes_it() -> None:
    """A client of this dialect may choose adaptive thinking and what is shown of it."""
    own = {"type": "adaptive", "display": "omitted"}
    request = ask(reasoning=ReasoningOptions(enabled=True), extras={"anthropic_messages": {"thinking": own}})
    assert body_of(request, endpoint("claude-opus-4-7"))["thinking"] == own
    assert body_of(request)["thinking"] == {"type": "enabled", "budget_tokens": 16000, "display": "omitted"}
    silent = ask(extras={"anthropic_messages": {"thinking": "odd"}})
    assert "thinking" not in body_of(silent)


@pytest.mark.parametrize(
    ("model", "verbosity", "effort", "dropped"),
    [
        ("claude-opus-4-7", "xhigh", "xhigh", ()),
        ("claude-opus-4-5", "max", "high", ()),
        ("claude-opus-4-6", "low", "low", ()),
        ("claude-sonnet-4-5", "low", None, ("verbosity",)),
        ("MiniMax-M2", "low", None, ("verbosity",)),
    ],
)
def test_verbosity(model: str, verbosity: str, effort: str | None, dropped: tuple[str, ...]) -> None:
    """Verbosity is the vendor's effort, and wins over the effort of reasoning."""
    request = ask(verbosity=verbosity)
    assert body_of(request, endpoint(model)).get("output_config", {}).get("effort") == effort
    assert encode(request, endpoint(model)).dropped == dropped
    both = ask(verbosity=verbosity, reasoning=ReasoningOptions(effort="medium"))
    assert body_of(both, endpoint("claude-opus-4-7"))["output_config"]["effort"] == verbosity


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("claude-3-5-haiku-20241022", (3, 5)),
        ("claude-3-opus-20240229", (3, 0)),
        ("claude-sonnet-4-20250514", (4, 0)),
        ("claude-opus-4-1@20250805", (4, 1)),
        ("anthropic.claude-opus-4-6-v1", (4, 6)),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", (4, 5)),
        ("Claude-Opus-4.7", (4, 7)),
        ("claude-fable-5-1", (5, 1)),
    ],
)
def test_versions_in_names(model: str, version: tuple[int, int]) -> None:
    """The version is read from every way in which providers write the name."""
    traits = claude_traits(model)
    assert traits.native_schema is (version >= (4, 5))
    assert traits.prefill is (version < (4, 6))
    assert traits.sampling is (version < (4, 7))


@pytest.mark.parametrize("model", ["MiniMax-M2.7", "kimi-k2-thinking", "claude", "claude-instant"])
def test_names_without_a_version(model: str) -> None:
    """An imitator's model has the traits that the format had from the start."""
    assert claude_traits(model) == ClaudeTraits()
