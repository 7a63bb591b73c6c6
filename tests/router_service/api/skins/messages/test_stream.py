"""Test what the accumulation of the SDKs does not show."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from router_service.api.skins.messages.answer_blocks import answer_block
from router_service.api.skins.messages.parse import parse_generation
from router_service.api.skins.messages.render import render_message
from router_service.api.skins.messages.stream import MessagesStreamRenderer
from router_service.core.errors import ApiError
from router_service.core.events import (
    Began,
    Ended,
    Event,
    Failed,
    Finished,
    Metered,
    PartBegan,
    PartDelta,
    PartEnded,
    Result,
    fold,
)
from router_service.core.parts import AnyPart, Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.core.usage import Usage
from router_service.core.wire.anthropic import DIALECT

GENERATION = "gen-7-abc"
TEXT_ANSWER: list[Event] = [
    Began(),
    PartBegan(0, 0, Text()),
    PartDelta(choice=0, index=0, text="Hi"),
    PartEnded(choice=0, index=0),
    Finished(choice=0, reason="stop"),
    Ended(),
]


def stream_bodies(sent: bytes) -> list[dict[str, Any]]:
    return [json.loads(event.split("\ndata: ")[1]) for event in sent.decode().split("\n\n")[:-1]]


def sent_for(events: Iterable[Event], **options: Any) -> list[dict[str, Any]]:
    return stream_bodies(MessagesStreamRenderer(GENERATION, "m", **options).feed(events))


def message_for(events: Iterable[Event]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(render_message(fold(events), generation_id=GENERATION, model="m"))
    return found


def test_the_first_event_has_the_usage_known_by_then() -> None:
    metered = Metered(Usage(prompt_tokens=100, cached_tokens=60, cache_write_tokens=30, cache_write_1h_tokens=10))
    events = [TEXT_ANSWER[0], metered, *TEXT_ANSWER[1:]]
    start = sent_for([Began(service_tier="default"), *events[1:]])[0]["message"]
    assert start["id"] == "msg_7_abc" and start["stop_reason"] is None
    assert start["usage"] == {
        "input_tokens": 10,
        "output_tokens": 0,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
        "inference_geo": None,
        "output_tokens_details": None,
        "server_tool_use": None,
        "service_tier": "standard",
    }


def test_the_last_event_has_the_final_usage() -> None:
    events = [*TEXT_ANSWER[:-1], Metered(Usage(prompt_tokens=9, completion_tokens=5, reasoning_tokens=3)), Ended()]
    delta = sent_for(events)[-2]
    usage = {name: value for name, value in delta["usage"].items() if value is not None}
    assert usage == {"input_tokens": 9, "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 3}}


def test_the_first_event_is_sent_before_any_content() -> None:
    renderer = MessagesStreamRenderer(GENERATION, "m")
    assert [body["type"] for body in stream_bodies(renderer.feed([Began()]))] == ["message_start"]
    assert renderer.feed([]) == b""


def test_inconsistent_usage_is_never_negative() -> None:
    events = [*TEXT_ANSWER[:-1], Metered(Usage(prompt_tokens=5, cached_tokens=9)), Ended()]
    assert message_for(events)["usage"]["input_tokens"] == 0


@pytest.mark.parametrize(
    ("finished", "wanted"),
    [
        (Finished(choice=0, reason="stop"), ("end_turn", None)),
        (Finished(choice=0, reason="stop", stop_sequence="END"), ("stop_sequence", "END")),
        (Finished(choice=0, reason="length"), ("max_tokens", None)),
        (
            Finished(choice=0, reason="length", native="model_context_window_exceeded"),
            ("model_context_window_exceeded", None),
        ),
        (Finished(choice=0, reason="tool_calls"), ("tool_use", None)),
        (Finished(choice=0, reason="content_filter"), ("refusal", None)),
        (Finished(choice=0, reason="pause_turn"), ("pause_turn", None)),
    ],
)
def test_stop_reasons(finished: Finished, wanted: tuple[str, str | None]) -> None:
    message = message_for([*TEXT_ANSWER[:-2], finished, Ended()])
    assert (message["stop_reason"], message["stop_sequence"]) == wanted


def test_a_refusal_is_text_and_the_stop_reason() -> None:
    events: list[Event] = [
        Began(),
        PartBegan(0, 0, Refusal()),
        PartDelta(choice=0, index=0, text="I can't"),
        PartEnded(choice=0, index=0),
        Finished(choice=0, reason="stop"),
        Ended(),
    ]
    message = message_for(events)
    assert message["content"] == [{"type": "text", "text": "I can't"}]
    assert message["stop_reason"] == "refusal"
    assert sent_for(events)[-2]["delta"]["stop_reason"] == "refusal"


def test_an_answer_that_ends_with_an_error_is_no_success() -> None:
    events = [*TEXT_ANSWER[:-2], Finished(choice=0, reason="error", native="engine_dead"), Ended()]
    with pytest.raises(ApiError, match="engine_dead") as raised:
        message_for(events)
    assert raised.value.code == 502
    last = sent_for(events)[-1]
    assert last["type"] == "error" and "engine_dead" in last["error"]["message"]


def test_a_broken_answer_raises_its_own_error() -> None:
    error = ApiError("rate_limit_exceeded", "Slow down")
    with pytest.raises(ApiError) as raised:
        render_message(Result(error=error), generation_id=GENERATION, model="m")
    assert raised.value is error
    bodies = sent_for([Failed(error), *TEXT_ANSWER])
    assert [body["type"] for body in bodies] == ["error"]
    assert bodies[0]["error"] == {"type": "rate_limit_error", "message": "Slow down"}


def test_nothing_follows_the_end() -> None:
    renderer = MessagesStreamRenderer(GENERATION, "m")
    renderer.feed(TEXT_ANSWER)
    assert renderer.over
    assert renderer.feed(TEXT_ANSWER) == b""
    assert renderer.fail(ApiError("timeout", "late")) == b""


def test_only_the_first_choice_is_sent() -> None:
    other: list[Event] = [
        PartBegan(1, 0, Text(text="other")),
        PartDelta(choice=1, index=0, text="!"),
        PartEnded(choice=1, index=0),
        Finished(choice=1, reason="length"),
    ]
    events = [TEXT_ANSWER[0], *other, *TEXT_ANSWER[1:]]
    assert sent_for(events) == sent_for(TEXT_ANSWER)


def test_parts_that_wait_are_bounded() -> None:
    events: list[Event] = [Began(), PartBegan(0, 0, ToolCall(call_id="a", name="f"))]
    events.append(PartBegan(0, 1, ToolCall(call_id="b", name="g")))
    events += [PartDelta(choice=0, index=1, text="x" * 100)] * 10
    bodies = sent_for(events, max_waiting=500)
    assert bodies[-1]["type"] == "error" and bodies[-1]["error"]["type"] == "api_error"
    assert "parallel" in bodies[-1]["error"]["message"]


def test_what_has_waited_leaves_room_again() -> None:
    renderer = MessagesStreamRenderer(GENERATION, "m", max_waiting=300)
    renderer.feed([Began()])
    for index in range(0, 40, 2):
        events: list[Event] = [PartBegan(0, index, Text()), PartBegan(0, index + 1, Text())]
        events += [PartDelta(choice=0, index=index + 1, text="x" * 200)]
        events += [PartEnded(choice=0, index=index), PartEnded(choice=0, index=index + 1)]
        assert b"error" not in renderer.feed(events)


def test_empty_parts_make_no_block() -> None:
    empty: list[AnyPart] = [Text(), Refusal(), Media(kind="image"), Opaque(dialect="other", raw=msgspec.Raw(b"{}"))]
    events: list[Event] = [Began()]
    for index, part in enumerate(empty):
        events += [PartBegan(0, index, part), PartEnded(choice=0, index=index)]
    events += [Finished(choice=0, reason="stop"), Ended()]
    assert message_for(events)["content"] == []
    assert [body["type"] for body in sent_for(events)] == ["message_start", "message_delta", "message_stop"]


def test_media_are_links() -> None:
    assert answer_block(Media(kind="image", url="https://a.example/x.png")) == {
        "type": "text",
        "text": "![image](https://a.example/x.png)",
    }
    assert answer_block(Media(kind="file", data="aGk=")) == {
        "type": "text",
        "text": "[file](data:application/octet-stream;base64,aGk=)",
    }
    events: list[Event] = [
        Began(),
        PartBegan(0, 0, Media(kind="audio")),
        PartDelta(choice=0, index=0, transcript="Hel"),
        PartDelta(choice=0, index=0, transcript="lo"),
        PartEnded(choice=0, index=0),
        Finished(choice=0, reason="stop"),
        Ended(),
    ]
    assert message_for(events)["content"] == [{"type": "text", "text": "Hello"}]
    assert sent_for(events)[2]["delta"]["text"] == "Hello"


def test_fields_of_the_dialect_itself_are_passed_on() -> None:
    container = {"id": "c_1", "expires_at": "2026-01-01T00:00:00Z"}
    began = Began(extras={DIALECT: {"container": container, "unknown": 1}})
    call = ToolCall(call_id="a", name="f", arguments="{}", extras={DIALECT: {"caller": {"type": "direct"}}})
    events: list[Event] = [began, PartBegan(0, 0, call), PartEnded(choice=0, index=0)]
    message = message_for([*events, Finished(choice=0, reason="tool_calls"), Ended()])
    assert message["container"] == container and "unknown" not in message
    assert message["content"][0]["caller"] == {"type": "direct"}
    assert sent_for(events)[0]["message"]["container"] == container


def test_broken_text_is_sent_as_valid_utf8() -> None:
    events: list[Event] = [
        Began(),
        PartBegan(0, 0, Text(text="\ud83d", citations=[Citation(url="u\udc00", title="\ud83d")])),
        PartEnded(choice=0, index=0),
        PartBegan(0, 1, ToolCall(call_id="\ud83d", name="f\ud83d")),
        PartEnded(choice=0, index=1),
        Finished(choice=0, reason="stop", stop_sequence="\ud83d"),
        Ended(),
    ]
    assert message_for(events)["content"][0]["text"] == "�"
    assert sent_for(events)[2]["delta"]["text"] == "�"


def _renderer() -> MessagesStreamRenderer:
    return MessagesStreamRenderer(GENERATION, "m")


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "Hm", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "EmwK"},
    ],
)
def test_anthropics_own_tokens_of_an_unknown_origin_stay_as_they_are(block: dict[str, Any]) -> None:
    is_readable = block["type"] == "thinking"
    part = Reasoning(
        text=block.get("thinking", ""),
        signature=block.get("signature"),
        encrypted=block.get("data"),
        format="anthropic-claude-v1",
    )
    events: list[Event] = [Began(), PartBegan(0, 0, part), PartEnded(choice=0, index=0)]
    events += [Finished(choice=0, reason="stop"), Ended()]
    assert message_for(events)["content"] == [block]
    bodies = sent_for(events)
    assert len([body for body in bodies if body["type"] == "content_block_delta"]) == (2 if is_readable else 0)


def test_a_result_without_choices_is_no_success() -> None:
    with pytest.raises(ApiError, match="ended the answer with an error"):
        render_message(Result(), generation_id=GENERATION, model="m")


def test_broken_details_of_a_refusal_are_sent_as_valid_utf8() -> None:
    details = {"type": "refusal", "category": None, "explanation": "\ud83d"}
    finished = Finished(choice=0, reason="content_filter", details=details)
    assert sent_for([*TEXT_ANSWER[:-2], finished, Ended()])[-2]["delta"]["stop_details"]["explanation"] == "�"


def test_a_link_in_a_text_stays_text() -> None:
    turn = [{"type": "text", "text": "See ![image](data:image/png;base64,aGk=) and (this)"}]
    fields = {"messages": [{"role": "assistant", "content": turn}], "max_tokens": 1}
    request = parse_generation({name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()})
    assert request.messages[0].parts == [Text(text=turn[0]["text"])]


def test_reasoning_that_says_nothing_is_no_block() -> None:
    events = [TEXT_ANSWER[0], PartBegan(0, 0, Reasoning()), PartEnded(choice=0, index=0)]
    events += [PartBegan(0, 1, Text()), PartDelta(choice=0, index=1, text="Hi"), PartEnded(choice=0, index=1)]
    sent = sent_for([*events, *TEXT_ANSWER[-2:]])
    assert [body["content_block"]["type"] for body in sent if body["type"] == "content_block_start"] == ["text"]
