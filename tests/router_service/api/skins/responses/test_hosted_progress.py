"""Test that the events by which a provider tells how far its own tools are reach the client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import openrouter
import pytest
from msgspec import Raw

from lab.responses_hosted import ARGUMENTS, CODE, HOSTED_ITEMS, PIXEL
from router_service.core.errors import ApiError
from router_service.core.events import Began, Ended, Event, Failed, Finished, PartBegan, PartEnded, PartProgressed
from router_service.core.parts import Opaque, Text
from tests.clients.served import MODELS, RESPONSES_MODELS
from tests.conftest import Stack
from tests.router_service.api.skins.responses.rendering import Rendering
from tests.router_service.api.skins.responses.response_client import STREAMED, said
from tests.router_service.api.skins.responses.responses_grammar import check_stream, types_of

MODEL = RESPONSES_MODELS["openai_responses"]
ORIGIN = "openai_responses/openai"
SEARCH = "response.web_search_call"
# What a client sees of each tool between the beginning and the end of its item.
PROGRESS = {
    "file_search": ["file_search_call.in_progress", "file_search_call.searching", "file_search_call.completed"],
    "image_generation": [
        "image_generation_call.in_progress",
        "image_generation_call.generating",
        "image_generation_call.partial_image",
        "image_generation_call.completed",
    ],
    "code_interpreter": [
        "code_interpreter_call.in_progress",
        "code_interpreter_call_code.delta",
        "code_interpreter_call_code.done",
        "code_interpreter_call.interpreting",
        "code_interpreter_call.completed",
    ],
    "mcp": ["mcp_call.in_progress", "mcp_call_arguments.delta", "mcp_call_arguments.done", "mcp_call.completed"],
    "mcp_list_tools": ["mcp_list_tools.in_progress", "mcp_list_tools.completed"],
}
# The field of an event that repeats what the model wrote for the tool.
REPEATED = {
    "code_interpreter": ("response.code_interpreter_call_code.done", "code", CODE),
    "mcp": ("response.mcp_call_arguments.done", "arguments", ARGUMENTS),
    "image_generation": ("response.image_generation_call.partial_image", "partial_image_b64", PIXEL),
}


@pytest.mark.parametrize("tool", HOSTED_ITEMS)
def test_the_steps_of_each_tool_are_relayed(client: openai.OpenAI, tool: str) -> None:
    raw = client.responses.with_raw_response.create(model=MODEL, input=said(f"hosted:{tool}"), stream=True)
    events = check_stream(raw.http_response.read())
    types = types_of(events)
    begins, ends = types.index("output_item.added"), types.index("output_item.done")
    kind, _, content = HOSTED_ITEMS[tool]
    # An item is told as done when the next one begins.
    assert types[begins + 1 : ends] == PROGRESS[tool]
    assert types[-1] == "completed" and types[ends + 1] == "output_item.added"
    done = next(event for event in events if event["type"] == "response.output_item.done")["item"]
    assert (done["type"], done["status"]) == (kind, "completed")
    assert {name: done[name] for name in content} == content
    if tool in REPEATED:
        name, field, text = REPEATED[tool]
        assert next(event for event in events if event["type"] == name)[field] == text


@STREAMED
@pytest.mark.parametrize("tool", HOSTED_ITEMS)
def test_the_item_goes_back_to_its_origin(client: openai.OpenAI, tool: str, stream: bool) -> None:
    """The lab refuses ids that it has not made."""
    items = said(f"hosted:{tool}")
    if stream:
        with client.responses.stream(model=MODEL, input=items) as events:
            response: Any = events.get_final_response()
    else:
        response = client.responses.create(model=MODEL, input=items)
    assert [item.type for item in response.output] == [HOSTED_ITEMS[tool][0], "message"]
    items += [item.model_dump(exclude_none=True) for item in response.output]
    for model in (MODEL, *MODELS.values()):
        assert client.responses.create(model=model, input=[*items, *said("text")]).output_text


@pytest.mark.parametrize("tool", ["code_interpreter", "image_generation", "file_search"])
def test_the_references_sdk_reads_the_steps_that_it_knows(stack: Stack, tool: str) -> None:
    with (
        openrouter.OpenRouter(api_key=stack.key, server_url=f"{stack.url}/api/v1") as client,
        client.responses.send(model=MODEL, input=said(f"hosted:{tool}"), stream=True) as events,
    ):
        assert [*events][-1].type == "response.completed"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/completions"])
def test_other_apis_have_the_text_alone(stack: Stack, path: str) -> None:
    text = "Draw it. [lab:scenario=hosted:image_generation]"
    turns: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    body = {"model": MODEL, "max_tokens": 500, "stream": True, **(turns if path[4:] != "completions" else {})}
    body |= {"prompt": text} if path == "/v1/completions" else {}
    with stack.client as client:
        answer = client.post(path, json=body)
    assert answer.status_code == 200 and "partial_image" not in answer.text and '"error"' not in answer.text


def running(status: str = "in_progress", own: str = "ws_1") -> Opaque:
    item = {"type": "web_search_call", "id": own, "status": status, "action": {"type": "search", "query": "tides"}}
    raw = Raw(json.dumps(item).encode())
    return Opaque(dialect="openai_responses", raw=raw, text="tides", item_id=own, origin=ORIGIN)


def step(name: str, own: str = "ws_1", **fields: Any) -> PartProgressed:
    shown = {field: Raw(json.dumps(value).encode()) for field, value in fields.items()}
    return PartProgressed(0, running(own=own), f"{SEARCH}.{name}", shown)


def whole(part: Any, index: int) -> Iterator[Event]:
    yield from (PartBegan(0, index, part), PartEnded(choice=0, index=index))


def test_a_message_ends_before_an_item_that_begins_with_its_progress() -> None:
    events: list[Event] = [
        Began(),
        *whole(Text(text="I search."), 0),
        step("in_progress"),
        step("searching"),
        step("completed"),
        *whole(running("completed"), 1),
        *whole(Text(text="Found."), 2),
        Finished(choice=0, reason="stop"),
        Ended(),
    ]
    output = Rendering().stream(events)[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "web_search_call", "message"]
    assert output[1]["status"] == "completed"
    # A result has nothing of the progress.
    assert [item["type"] for item in Rendering().response(events)["output"]] == [item["type"] for item in output]


def test_tools_may_run_at_once() -> None:
    events: list[Event] = [
        Began(),
        step("in_progress", "ws_1"),
        step("in_progress", "ws_2"),
        step("searching", "ws_2"),
        step("searching", "ws_1"),
        step("completed", "ws_2"),
        *whole(running("completed", "ws_2"), 0),
        step("completed", "ws_1"),
        *whole(running("completed", "ws_1"), 1),
        Finished(choice=0, reason="stop"),
        Ended(),
    ]
    output = Rendering().stream(events)[-1]["response"]["output"]
    assert [item["status"] for item in output] == ["completed"] * 2 and output[0]["id"] != output[1]["id"]


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_a_tool_that_never_ends_has_failed(reason: Any) -> None:
    events = [Began(), step("in_progress"), step("searching"), Finished(choice=0, reason=reason), Ended()]
    (item,) = Rendering().stream(events)[-1]["response"]["output"]
    assert item["status"] == "failed"


def test_a_broken_answer_has_the_item_that_was_running() -> None:
    events = [Began(), step("in_progress"), Failed(ApiError("provider_unavailable", "Gone"))]
    last = Rendering().stream(events)[-1]
    assert last["type"] == "response.failed"
    assert [item["status"] for item in last["response"]["output"]] == ["incomplete"]


def test_what_a_step_adds_is_relayed_on_one_line() -> None:
    events = [Began(), step("searching", note="two\nlines \u2028"), *whole(running("completed"), 0)]
    found = Rendering().stream([*events, Finished(choice=0, reason="stop"), Ended()])
    assert next(event for event in found if event["type"] == f"{SEARCH}.searching")["note"] == "two\nlines \u2028"


@pytest.mark.parametrize(
    "part",
    [
        Opaque(dialect="anthropic_messages", raw=Raw(b"{}"), item_id="a"),
        Opaque(dialect="openai_responses", raw=Raw(b"{}"), item_id=None),
        Opaque(dialect="openai_responses", raw=Raw(b"[]"), item_id="a"),
        Opaque(dialect="openai_responses", raw=Raw(b"{"), item_id="a"),
    ],
)
def test_progress_of_what_is_no_item_is_not_told(part: Opaque) -> None:
    events = [Began(), PartProgressed(0, part, f"{SEARCH}.searching"), *whole(Text(text="Hi"), 0)]
    found = Rendering().stream([*events, Finished(choice=0, reason="stop"), Ended()])
    assert f"{SEARCH}.searching" not in [event["type"] for event in found]
