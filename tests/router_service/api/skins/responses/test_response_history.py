"""Test that the output of any answer, sent back as input, has the parts that it was made of."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from router_service.core.events import (
    Began,
    Ended,
    Event,
    Finished,
    PartBegan,
    PartDelta,
    PartEnded,
    PartProgressed,
    fold,
)
from router_service.core.origin import read_token
from router_service.core.parts import AnyPart, Media, Opaque, Reasoning, Refusal, Text, ToolCall
from tests.event_streams import event_streams
from tests.router_service.api.skins.responses.rendering import HELLO, Rendering, answer

ORIGIN = "openai_responses/openai"


def sent_back(output: list[dict[str, Any]], *more: dict[str, Any], **fields: Any) -> list[AnyPart]:
    """Return the assistant's parts of the request that appends ``output``, as SDKs do, and asks on."""
    items = [{"role": "user", "content": "hello"}, *output, *more]
    messages = Rendering(HELLO | {"input": items} | fields).generation.messages
    return [part for message in messages if message.role == "assistant" for part in message.parts]


def returned(*parts: AnyPart, **fields: Any) -> list[AnyPart]:
    return sent_back(Rendering(**fields).response(answer(*parts))["output"], **fields)


def comparable(part: AnyPart) -> Any:
    """Return what of ``part`` must come back, or ``None`` for a part that no item can hold."""
    match part:
        case Reasoning():
            # An item may have several parts, of which the empty ones leave no trace but its id.
            carries = part.text or part.encrypted is not None or part.signature is not None
            return ("reasoning", msgspec.structs.astuple(part)) if carries else None
        case ToolCall(kind="hosted"):
            return None
        case ToolCall():
            arguments = part.arguments if part.kind == "custom" or part.arguments.strip() else part.arguments + "{}"
            return "call", part.kind, part.name, arguments, part.signature
        case Text():
            return ("text", part.text, len(part.citations)) if part.text or part.citations else None
        case Refusal():
            return ("refusal", part.text) if part.text else None
        case Opaque():
            return ("text", part.text, 0) if part.text else None
        case Media(kind="image", data=str(data)) if data:
            return "image", data
        case Media(url=str(url)):
            return "text", f"{'!' if part.kind == 'image' else ''}[{part.kind}]({url})", 0
        case Media(transcript=str(text)) if text:
            return "text", text, 0
    return None


def sorted_parts(found: list[Any]) -> list[Any]:
    """Return ``found`` sorted: parts that interleave begin in another order than their items."""
    return sorted((one for one in found if one is not None), key=repr)


@settings(max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(event_streams(max_choices=1))
def test_every_part_comes_back(events: list[Event]) -> None:
    finished = next(event for event in events if isinstance(event, Finished))
    parts = fold(events).choices[0].parts if fold(events).choices else []
    own_items = [(part.item_id, part.origin) for part in parts if isinstance(part, Reasoning) and part.item_id]
    begun = {event.part.item_id for event in events if isinstance(event, PartProgressed)}
    # An item whose part never comes is told as it began.
    assume(begun <= {part.item_id for part in parts})
    # Parts of one item are joined, which the test after the next one tries.
    assume(len(set(own_items)) == len(own_items))
    output = Rendering().response(events)["output"]
    wanted = [comparable(part) for part in parts]
    if finished.reason in ("length", "content_filter"):
        # The signature of a call that may have been cut off is not sent.
        wanted = [(*one[:4], None) if one is not None and one[0] == "call" else one for one in wanted]
    found = sent_back(output) if output else []
    assert sorted_parts([comparable(part) for part in found]) == sorted_parts(wanted)


def test_reasoning_goes_back_with_its_origin() -> None:
    parts = [
        Reasoning(text="Hm", signature="sig", origin="anthropic_messages/a/b", format="anthropic-claude-v1"),
        Reasoning(text="In short", summary=True, encrypted="gAAA", item_id="rs_1", origin=ORIGIN),
        Reasoning(encrypted="redacted", origin="anthropic_messages/a/b", format="anthropic-claude-v1"),
        Reasoning(text="Readable alone", origin="openai_chat/deepseek"),
    ]
    assert returned(*parts) == parts


def test_parts_of_one_item_of_the_provider_are_one_item() -> None:
    """OpenAI writes several texts of a summary, and what only it can read, into one item."""
    same: dict[str, Any] = {"item_id": "rs_1", "origin": ORIGIN, "format": "openai-responses-v1"}
    parts = [
        Reasoning(text="First", summary=True, **same),
        Reasoning(text="Then", summary=True, **same),
        Reasoning(text="Raw", **same),
        Reasoning(encrypted="gAAA", **same),
        Reasoning(text="Another", summary=True, encrypted="gBBB", **same | {"item_id": "rs_2"}),
    ]
    output = Rendering().stream(answer(*parts, Text(text="Yes")))[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "reasoning", "message"]
    assert [one["text"] for one in output[0]["summary"]] == ["First", "Then"]
    assert [one["text"] for one in output[0]["content"]] == ["Raw"]
    back = sent_back(output)
    assert back[:4] == [
        parts[0],
        parts[1],
        Reasoning(text="Raw", encrypted="gAAA", **same),
        parts[4],
    ]


def test_open_parts_of_one_item_keep_it_open() -> None:
    part = Reasoning(item_id="rs_1", origin=ORIGIN, summary=True)
    events: list[Event] = [Began(), PartBegan(0, 0, part), PartBegan(0, 1, part)]
    events += [PartDelta(choice=0, index=0, text="First"), PartDelta(choice=0, index=1, text="Second")]
    events += [PartEnded(choice=0, index=0), PartBegan(0, 2, ToolCall(call_id="c", name="f", arguments="{}"))]
    events += [PartEnded(choice=0, index=2), PartEnded(choice=0, index=1), Finished(choice=0, reason="stop"), Ended()]
    thought, call = Rendering().stream(events)[-1]["response"]["output"]
    assert [one["text"] for one in thought["summary"]] == ["First", "Second"]
    assert (thought["status"], call["status"]) == ("completed", "completed")


def test_messages_of_the_provider_stay_apart_and_no_id_is_used_twice() -> None:
    parts = [
        Text(text=text, item_id=own, origin=ORIGIN)
        for text, own in (("a", "m1"), ("b", "m1"), ("c", "m2"), ("d", "m1"))
    ]
    output = Rendering().stream(answer(*parts))[-1]["response"]["output"]
    assert [[one["text"] for one in item["content"]] for item in output] == [["a", "b"], ["c"], ["d"]]
    assert len({item["id"] for item in output}) == 3


@settings(max_examples=40, derandomize=True)
@given(st.text("ABab01+/=", min_size=1, max_size=20), st.booleans())
def test_a_signature_that_follows_the_text_comes_back(signature: str, named: bool) -> None:
    events: list[Event] = [*answer(Reasoning(text="Hm", origin=ORIGIN))]
    events[3] = PartEnded(choice=0, index=0, signature=signature, item_id="rs_1" if named else None)
    (part,) = sent_back(Rendering().response(events)["output"])
    assert part == Reasoning(text="Hm", signature=signature, item_id="rs_1" if named else None, origin=ORIGIN)


@pytest.mark.parametrize(
    "part",
    [
        Reasoning(text="Hm", signature="s", origin="anthropic_messages/a"),
        Reasoning(text="Hm, é \u2028", signature="s", item_id="rs_1", origin=ORIGIN),
        Reasoning(text="Hm", origin="openai_chat/deepseek/m"),
        Reasoning(text="Hm"),
        Reasoning(text="Hm", encrypted="e", origin=ORIGIN),
        Reasoning(signature="s", origin=ORIGIN),
    ],
)
def test_a_client_that_knows_summaries_alone_returns_the_text_of_reasoning(part: Reasoning) -> None:
    """The AI SDK returns the token without the content, and a signature without its text is refused."""
    (item,) = Rendering().response(answer(part))["output"]
    item.pop("content", None)
    assert sent_back([item | {"summary": []}]) == [part]


def test_the_text_of_an_item_counts_more_than_that_of_its_token() -> None:
    (item,) = Rendering().response(answer(Reasoning(text="Hm", signature="s", origin=ORIGIN)))["output"]
    item["content"][0]["text"] = "Changed"
    assert sent_back([item]) == [Reasoning(text="Changed", signature="s", origin=ORIGIN)]


def test_a_token_has_neither_a_summary_nor_one_of_several_texts() -> None:
    summary = Reasoning(text="In short", summary=True, encrypted="e", item_id="rs_1", origin=ORIGIN)
    several = [Reasoning(text=text, item_id="rs_1", origin=ORIGIN) for text in ("One", "Two")]
    for parts in ([summary], several):
        (item,) = Rendering().response(answer(*parts))["output"]
        token = read_token(item["encrypted_content"])
        assert token is not None and token.text is None


def test_the_signature_of_a_call_is_carried_by_reasoning() -> None:
    """Clients send back what they know of a call, and reasoning as it is."""
    calls = [
        ToolCall(call_id="call_1", name="tide", arguments="{}", signature="s1", origin="gemini/a"),
        ToolCall(call_id="call_2", name="wind", arguments="{}"),
    ]
    output = Rendering().response(answer(*calls, reason="tool_calls"))["output"]
    assert [item["type"] for item in output] == ["function_call", "function_call", "reasoning"]
    known = ("type", "call_id", "name", "arguments", "encrypted_content", "summary")
    stripped = [{name: value for name, value in item.items() if name in known} for item in output]
    assert sent_back(stripped) == calls


def test_ids_go_back_to_their_origin_alone() -> None:
    parts: list[AnyPart] = [
        Text(text="Hi", item_id="msg_own", origin=ORIGIN),
        ToolCall(call_id="call_1", name="tide", arguments="{}", item_id="fc_own", origin=ORIGIN),
        ToolCall(call_id="call_2", name="say", arguments="x", kind="custom", item_id="ctc_own", origin=ORIGIN),
    ]
    assert returned(*parts) == parts
    made = returned(Text(text="Hi"), ToolCall(call_id="call_1", name="tide", arguments="{}"))
    assert [(part.item_id, part.origin) for part in made] == [(None, None)] * 2
    foreign = {
        "type": "message",
        "id": "msg_0f79",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Hi"}],
    }
    assert sent_back([foreign]) == [Text(text="Hi")]


def test_an_item_of_the_dialect_gets_its_own_id_back() -> None:
    search = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"type": "search", "query": "x"},
    }
    raw = Raw(json.dumps(search).encode())
    output = Rendering().response(answer(Opaque(dialect="openai_responses", raw=raw, item_id="ws_1", origin=ORIGIN)))[
        "output"
    ]
    assert output[0]["id"] != "ws_1"
    (part,) = sent_back(output)
    assert isinstance(part, Opaque) and (part.item_id, part.origin) == ("ws_1", ORIGIN)
    assert json.loads(bytes(part.raw)) == search


def test_a_call_in_a_namespace_comes_back_under_the_name_that_was_sent() -> None:
    tools = [{"type": "namespace", "name": "mcp__harbour", "tools": [{"type": "function", "name": "tide"}]}]
    call = ToolCall(call_id="call_1", name="mcp__harbour__tide", arguments="{}")
    assert returned(call, tools=tools) == [call]


def test_a_cut_off_call_comes_back_without_its_signature() -> None:
    call = ToolCall(call_id="call_1", name="tide", arguments='{"po', signature="s", origin="gemini/a")
    output = Rendering().response(answer(call, reason="length"))["output"]
    assert [item["type"] for item in output] == ["function_call"]
    assert output[0]["status"] == "incomplete"


def test_an_image_comes_back_as_an_image() -> None:
    image = Media(kind="image", media_type="image/webp", data="aGk=")
    assert returned(image) == [image]


def test_deltas_of_unknown_parts_are_passed_over() -> None:
    events = answer(Text(text="Hi"))
    events.insert(3, PartDelta(choice=0, index=9, text="?"))
    events.insert(4, PartEnded(choice=0, index=9))
    events.insert(5, PartBegan(1, 0, Text(text="another choice")))
    assert sent_back(Rendering().response(events)["output"]) == [Text(text="Hi")]
