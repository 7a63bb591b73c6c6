"""Test that the official openai client plays each scenario of the lab through the Responses API, streamed and not."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import openai
import pydantic
import pytest
from openai.types.responses import Response, ResponseStreamEvent

from lab.responses_hosted import HOSTED_ITEMS
from lab.scenarios import SCENARIOS
from tests.lab.scenes import PNG, PNG_BYTES, SCHEMA, SECOND, marked

STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
ENCRYPTED = ["reasoning.encrypted_content"]
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "find_port", "parameters": SCHEMA, "strict": False},
    {"type": "function", "name": "hoist", "parameters": SECOND, "strict": False},
]
EVENT: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(ResponseStreamEvent)


def ask(client: openai.OpenAI, stream: bool, **body: Any) -> Response:
    """Return the response; the events of a stream are valid under the client's own types, and numbered."""
    body = {"model": "gpt-5-codex", "store": False} | body
    if not stream:
        found = client.responses.create(**body)
        assert Response.model_validate(found.model_dump())
        return found
    last: Response | None = None
    for number, event in enumerate(client.responses.create(**body, stream=True)):
        EVENT.validate_python(event.model_dump())
        assert event.sequence_number == number
        last = getattr(event, "response", last)
    assert last is not None
    return last


def play(client: openai.OpenAI, stream: bool, scenario: str, **body: Any) -> Response:
    """Return the response of ``scenario``."""
    return ask(client, stream, **{"input": marked(scenario)} | body)


def items(response: Response, kind: str) -> list[Any]:
    """Return the items of one type."""
    return [item for item in response.output if item.type == kind]


@STREAMED
@pytest.mark.parametrize("scenario", ["text", "thinking", "redacted"])
def test_text_is_said_and_reasoning_is_counted(openai_sdk: openai.OpenAI, stream: bool, scenario: str) -> None:
    found = play(openai_sdk, stream, scenario)
    assert found.status == "completed" and found.output_text
    assert found.usage is not None
    thought = found.usage.output_tokens_details.reasoning_tokens
    assert (thought > 0) == (scenario != "text") == bool(items(found, "reasoning"))
    assert found.usage.output_tokens == thought + len(found.output_text.split())
    assert all(not item.summary and not item.encrypted_content for item in items(found, "reasoning"))


@STREAMED
def test_reasoning_is_summarised_and_encrypted_where_that_is_asked_for(openai_sdk: openai.OpenAI, stream: bool) -> None:
    reasoning: Any = {"effort": "high", "summary": "auto"}
    first = play(openai_sdk, stream, "redacted", reasoning=reasoning, include=ENCRYPTED)
    (item,) = items(first, "reasoning")
    assert item.summary[0].text and item.encrypted_content
    history: list[Any] = [{"role": "user", "content": marked("redacted")}, *first.output]
    again = [*history, {"role": "user", "content": marked("text")}]
    assert ask(openai_sdk, stream, input=again).output_text


@STREAMED
def test_tools_are_called_and_their_results_quoted(openai_sdk: openai.OpenAI, stream: bool) -> None:
    history: list[Any] = [{"role": "user", "content": marked("tool_loop:2")}]
    for turn in range(2):
        found = ask(openai_sdk, stream, input=history, tools=TOOLS, include=ENCRYPTED, reasoning={"effort": "low"})
        (call,) = items(found, "function_call")
        assert call.name == TOOLS[turn]["name"]
        jsonschema_rs.validator_for(TOOLS[turn]["parameters"]).validate(json.loads(call.arguments))
        history += found.output
        history.append({"type": "function_call_output", "call_id": call.call_id, "output": f"result {turn}"})
    final = ask(openai_sdk, stream, input=history, tools=TOOLS)
    assert '"result 0"' in final.output_text and '"result 1"' in final.output_text


@STREAMED
def test_custom_and_parallel_calls(openai_sdk: openai.OpenAI, stream: bool) -> None:
    custom: Any = {"type": "custom", "name": "sail", "format": {"type": "text"}}
    found = play(openai_sdk, stream, "parallel_tools", tools=[*TOOLS, custom])
    assert [item.type for item in found.output] == ["function_call", "function_call", "custom_tool_call"]
    assert items(found, "custom_tool_call")[0].input == "Genoa, then the cape"
    only = play(openai_sdk, stream, "tool", tools=[*TOOLS, custom], tool_choice={"type": "custom", "name": "sail"})
    assert items(only, "custom_tool_call")
    allowed: Any = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "hoist"}]}
    some = play(openai_sdk, stream, "parallel_tools", tools=TOOLS, tool_choice=allowed)
    assert {item.name for item in items(some, "function_call")} == {"hoist"}


@STREAMED
def test_searches_are_items_and_texts_cite_them(openai_sdk: openai.OpenAI, stream: bool) -> None:
    sources: Any = ["web_search_call.action.sources"]
    found = play(openai_sdk, stream, "hosted", include=sources, tools=[{"type": "web_search"}])
    (search,) = items(found, "web_search_call")
    assert search.action.query == "tide tables" and search.action.sources[0].url
    annotation = items(found, "message")[0].content[0].annotations[0]
    assert annotation.url == search.action.sources[0].url and annotation.end_index == len(found.output_text)
    assert found.tool_usage is not None and found.tool_usage.web_search.num_requests == 1


@STREAMED
@pytest.mark.parametrize("tool", HOSTED_ITEMS)
def test_tools_that_the_vendor_runs_are_items(openai_sdk: openai.OpenAI, stream: bool, tool: str) -> None:
    found = play(openai_sdk, stream, f"hosted:{tool}")
    kind, prefix, content = HOSTED_ITEMS[tool]
    assert [item.type for item in found.output] == [kind, "message"]
    (ran,) = items(found, kind)
    assert ran.id.startswith(f"{prefix}_")
    shown = ran.model_dump()
    assert shown.keys() >= content.keys() and shown.get("status") == content.get("status")


def test_a_tool_that_the_vendor_does_not_have_is_refused(openai_sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"runs no tool 'sextant'\. It runs: file_search"):
        play(openai_sdk, False, "hosted:sextant")


@STREAMED
def test_ends_that_are_no_success(openai_sdk: openai.OpenAI, stream: bool) -> None:
    short = play(openai_sdk, stream, "length", max_output_tokens=16)
    assert short.status == "incomplete" and short.incomplete_details is not None
    assert short.incomplete_details.reason == "max_output_tokens" and len(short.output_text.split()) == 16
    refused = play(openai_sdk, stream, "refusal")
    assert items(refused, "message")[0].content[0].refusal == "I cannot help with that."
    failed = play(openai_sdk, stream, "failed")
    assert failed.status == "failed" and failed.error is not None and failed.error.code == "server_error"


@STREAMED
def test_log_probabilities_cover_the_text(openai_sdk: openai.OpenAI, stream: bool) -> None:
    include: Any = ["message.output_text.logprobs"]
    found = play(openai_sdk, stream, "logprobs", model="gpt-4.1", include=include, top_logprobs=3)
    listed = items(found, "message")[0].content[0].logprobs
    assert "".join(entry.token for entry in listed) == found.output_text
    assert all(len(entry.top_logprobs) == 3 for entry in listed)


@STREAMED
def test_images_are_described(openai_sdk: openai.OpenAI, stream: bool) -> None:
    image = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PNG}"}
    content = [{"type": "input_text", "text": marked("image")}, image]
    found = ask(openai_sdk, stream, input=[{"role": "user", "content": content}])
    assert f"image/png of {PNG_BYTES} bytes" in found.output_text


def test_the_helpers_of_the_client_read_the_stream_and_the_schema(openai_sdk: openai.OpenAI) -> None:
    class Port(pydantic.BaseModel):
        name: str
        metres: int

    parsed = openai_sdk.responses.parse(model="gpt-5-codex", input=marked("structured"), text_format=Port, store=False)
    assert isinstance(parsed.output_parsed, Port)
    with openai_sdk.responses.stream(model="gpt-5-codex", input=marked("every_event"), tools=TOOLS) as events:  # type: ignore[arg-type]
        kinds = {event.type for event in events}
        final = events.get_final_response()
    assert {"response.output_text.delta", "response.function_call_arguments.delta", "response.completed"} <= kinds
    assert [item.type for item in final.output][:3] == ["reasoning", "web_search_call", "message"]


def test_every_event_is_sent(openai_sdk: openai.OpenAI) -> None:
    """The stream of the fullest scenario has every event of reasoning, texts, citations, calls and searches."""
    custom: Any = {"type": "custom", "name": "sail"}
    asked: Any = {"reasoning": {"summary": "detailed"}, "include": ENCRYPTED, "tools": [*TOOLS, custom]}
    stream = openai_sdk.responses.create(model="gpt-5-codex", input=marked("every_event"), stream=True, **asked)
    stems = ["output_item", "content_part", "reasoning_summary_part"]
    wanted = {f"response.{stem}.{step}" for stem in stems for step in ("added", "done")}
    stems = ["output_text", "reasoning_summary_text", "function_call_arguments", "custom_tool_call_input"]
    wanted |= {f"response.{stem}.{step}" for stem in stems for step in ("delta", "done")}
    wanted |= {f"response.web_search_call.{step}" for step in ("in_progress", "searching", "completed")}
    wanted |= {f"response.{step}" for step in ("created", "in_progress", "completed")}
    assert {event.type for event in stream} == wanted | {"response.output_text.annotation.added"}


def test_failures_before_and_within_a_response(openai_sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError):
        play(openai_sdk, False, "error_before:429")
    with pytest.raises(openai.InternalServerError):
        play(openai_sdk, False, "error_mid")
    events = list(openai_sdk.responses.create(model="gpt-5-codex", input=marked("error_mid"), stream=True))
    assert events[-1].type == "error" and events[-1].message.startswith("The server had an error")
    assert [event.sequence_number for event in events] == list(range(len(events)))
    with pytest.raises(openai.APIError):
        list(openai_sdk.responses.create(model="gpt-5-codex", input=marked("error_before:503"), stream=True))


@pytest.mark.parametrize("scenario", ["pause_turn", "stop_sequence"])
def test_what_the_format_cannot_say_is_refused(openai_sdk: openai.OpenAI, scenario: str) -> None:
    assert scenario in SCENARIOS
    with pytest.raises(openai.BadRequestError):
        play(openai_sdk, False, scenario)


def test_without_a_marker_the_model_draws_a_text_or_a_call(openai_sdk: openai.OpenAI) -> None:
    asked: Any = {"model": "gpt-4.1", "input": "Name a wind.", "instructions": "Be brief."}
    plain = openai_sdk.responses.create(**asked)
    assert plain.output_text and plain.usage is not None and plain.usage.input_tokens == 5
    called = openai_sdk.responses.create(**asked, tools=TOOLS)
    assert items(called, "function_call")[0].name == "find_port"
