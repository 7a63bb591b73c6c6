"""Cache marks are fitted to the vendor's rules."""

from __future__ import annotations

from typing import Any

import pytest

from router_service.core.generation import (
    Message,
)
from router_service.core.parts import CacheMark, Reasoning, Text, ToolResult
from tests.router_service.providers.formats.anthropic_messages.messages_world import (
    ask,
    assistant,
    body_of,
    call,
    encode,
    function,
    user,
)


def marked(count: int, ttl: str | None = None) -> list[Message]:
    """Return a user turn with ``count`` marked texts."""
    return [user(*(Text(text=str(number), cache=CacheMark(ttl=ttl)) for number in range(count)))]


def marks(body: dict[str, Any]) -> list[str]:
    """Return the texts or names of what is marked, in order."""
    holders = [*body.get("tools", ()), *body.get("system", ())]
    holders += [block for turn in body["messages"] for block in turn["content"]]
    return [holder.get("text") or holder["name"] for holder in holders if "cache_control" in holder]


@pytest.mark.parametrize("count", [3, 4, 5, 9])
def test_the_last_four_marks_win(count: int) -> None:
    """The vendor takes four marks; the earlier ones are dropped and reported."""
    request = ask(*marked(count))
    assert marks(body_of(request)) == [str(number) for number in range(max(0, count - 4), count)]
    assert encode(request).dropped == (("cache_control",) if count > 4 else ())


def test_marks_are_counted_over_tools_instructions_and_turns() -> None:
    """Tools come first and turns last; the mark of the request as a whole counts as one."""
    instructions = [Message(role="system", parts=[Text(text="S", cache=CacheMark())])]
    request = ask(*marked(3), tools=[function(cache=CacheMark())], instructions=instructions)
    assert marks(body_of(request)) == ["S", "0", "1", "2"]
    whole = ask(*marked(3), tools=[function(cache=CacheMark())], instructions=instructions, cache=CacheMark())
    assert marks(body_of(whole)) == ["0", "1", "2"]
    assert body_of(whole)["cache_control"] == {"type": "ephemeral"}


def test_an_hour_before_five_minutes() -> None:
    """A mark of an hour makes the earlier ones last as long; a later one stays, and odd lifetimes are the default."""
    texts = [Text(text=str(n), cache=CacheMark(ttl=ttl)) for n, ttl in enumerate(("5m", None, "1h", "5m"))]
    found = body_of(ask(user(*texts)))["messages"][0]["content"]
    assert [block["cache_control"].get("ttl") for block in found] == ["1h", "1h", "1h", "5m"]
    odd = body_of(ask(user(Text(text="a", cache=CacheMark(ttl="24h")))))["messages"][0]["content"][0]
    assert odd["cache_control"] == {"type": "ephemeral"}
    automatic = body_of(ask(*marked(1), cache=CacheMark(ttl="1h")))
    assert automatic["messages"][0]["content"][0]["cache_control"]["ttl"] == "1h"


def test_marks_on_results_count_and_marks_on_thinking_are_dropped() -> None:
    """A result and its content may be marked; thinking may not."""
    content: list[Any] = [Text(text=str(number), cache=CacheMark()) for number in range(4)]
    seen = Message(role="tool", parts=[ToolResult(call_id="call_1", content=content, cache=CacheMark())])
    block = body_of(ask(user("?"), assistant(call()), seen))["messages"][2]["content"][0]
    assert ["cache_control" in inner for inner in block["content"]] == [False, True, True, True]
    assert "cache_control" in block
    signed = Reasoning(text="a", signature="s", format="anthropic-claude-v1", cache=CacheMark())
    request = ask(user("?"), assistant(signed, "Yes."), user("Go on."))
    assert "cache_control" not in body_of(request)["messages"][1]["content"][0]
    assert encode(request).dropped == ("cache_control",)
