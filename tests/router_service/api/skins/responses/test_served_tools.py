"""Test tools, reasoning, typed output and media on a running router, with the official SDK."""

from __future__ import annotations

import base64
import json
from typing import Any

import openai
import pydantic

from tests.clients.served import MODELS, PDF, PNG, RESPONSES_MODELS, asking
from tests.conftest import Stack
from tests.router_service.api.skins.responses.response_client import (
    GRAMMAR,
    HOIST,
    NOTE,
    PORT,
    STREAMED,
    Harbour,
    ask,
    kinds,
    said,
    shows_thinking,
)


@STREAMED
def test_a_tool_loop_comes_to_its_end(client: openai.OpenAI, model: str, stream: bool) -> None:
    """Each turn sends back the output of those before it, reasoning included."""
    items = said("tool_loop:3")
    body: dict[str, Any] = {"model": model, "tools": [PORT, HOIST], "reasoning": {"effort": "low"}}
    seen: list[str] = []
    for _ in range(3):
        response = ask(client, stream, input=items, **body)
        seen += kinds(response)
        items += [item.model_dump(exclude_none=True) for item in response.output]
        calls = [item for item in response.output if item.type == "function_call"]
        assert len(calls) == 1 and isinstance(json.loads(calls[0].arguments), dict)
        items.append({"type": "function_call_output", "call_id": calls[0].call_id, "output": "done"})
    assert ask(client, stream, input=items, **body).output_text.count("done") == 3
    assert ("reasoning" in seen) is shows_thinking(model)


@STREAMED
def test_several_tools_are_called_at_once(client: openai.OpenAI, model: str, stream: bool) -> None:
    items = said("parallel_tools")
    body: dict[str, Any] = {"model": model, "tools": [PORT, HOIST], "parallel_tool_calls": True}
    response = ask(client, stream, input=items, **body)
    assert kinds(response) == ["function_call", "function_call"]
    items += [item.model_dump(exclude_none=True) for item in response.output]
    for item in response.output:
        picture = [
            {"type": "input_text", "text": "seen"},
            {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
        ]
        items.append({"type": "function_call_output", "call_id": item.call_id, "output": picture})  # type: ignore[union-attr]
    items += [{"role": "assistant", "content": "Both are done."}, *said("text")]
    assert ask(client, stream, input=items, **body).output_text


@STREAMED
def test_one_tool_is_forced_or_none(client: openai.OpenAI, model: str, stream: bool) -> None:
    body: dict[str, Any] = {"model": model, "input": said("tool"), "tools": [PORT, HOIST]}
    forced = ask(client, stream, **body, tool_choice={"type": "function", "name": "hoist"})
    assert forced.output[-1].name == "hoist"  # type: ignore[union-attr]
    only = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "hoist"}]}
    assert ask(client, stream, **body, tool_choice=only).output[-1].name == "hoist"  # type: ignore[union-attr]


@STREAMED
def test_a_custom_tool_takes_free_text(client: openai.OpenAI, model: str, stream: bool) -> None:
    items = said("tool")
    response = ask(client, stream, model=model, input=items, tools=[NOTE | GRAMMAR])
    (call,) = response.output
    assert call.type == "custom_tool_call" and call.name == "note" and "Genoa" in call.input
    items += [
        call.model_dump(exclude_none=True),
        {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "written"},
    ]
    assert ask(client, stream, model=model, input=items, tools=[NOTE | GRAMMAR]).status == "completed"


@STREAMED
def test_a_namespaced_tool_is_called_by_its_name(client: openai.OpenAI, model: str, stream: bool) -> None:
    tools = [{"type": "namespace", "name": "mcp__harbour", "description": "The harbour", "tools": [PORT]}]
    items = said("tool_loop:1")
    response = ask(client, stream, model=model, input=items, tools=tools)
    call = response.output[-1]
    assert call.type == "function_call" and (call.namespace, call.name) == ("mcp__harbour", "find_port")
    items += [item.model_dump(exclude_none=True) for item in response.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "found"})
    assert "found" in ask(client, stream, model=model, input=items, tools=tools).output_text


@STREAMED
def test_reasoning_is_shown_and_goes_back(client: openai.OpenAI, model: str, stream: bool) -> None:
    items = said("thinking")
    body: dict[str, Any] = {"model": model, "reasoning": {"effort": "low"}, "max_output_tokens": 4000}
    response = ask(client, stream, input=items, **body, include=["reasoning.encrypted_content"])
    if shows_thinking(model):
        thought = response.output[0]
        assert thought.type == "reasoning"
        # OpenAI shows a summary of what its models think, Anthropic the text.
        shown: Any = thought.summary if model == RESPONSES_MODELS["openai_responses"] else thought.content
        assert shown and shown[0].text
        assert thought.encrypted_content and response.usage is not None
        assert response.usage.output_tokens_details.reasoning_tokens > 0
    items += [item.model_dump(exclude_none=True) for item in response.output]
    items += said("redacted")
    again = ask(client, stream, input=items, **body)
    items += [item.model_dump(exclude_none=True) for item in again.output]
    assert ask(client, stream, input=[*items, *said("text")], **body).output_text


def test_a_conversation_moves_between_providers_at_each_turn(client: openai.OpenAI) -> None:
    items = said("tool_loop:4")
    for number in range(4):
        model = MODELS[sorted(MODELS)[number % 2]]
        response = ask(client, number > 1, model=model, input=items, tools=[PORT], reasoning={"effort": "low"})
        call = response.output[-1]
        items += [item.model_dump(exclude_none=True) for item in response.output]
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": "done"})  # type: ignore[union-attr]
    for model in MODELS.values():
        assert ask(client, False, model=model, input=items, tools=[PORT]).output_text


def test_parsed_output_has_its_type(client: openai.OpenAI, model: str) -> None:
    asked: Any = {"model": model, "input": said("structured"), "text_format": Harbour}
    parsed = client.responses.parse(**asked).output_parsed
    assert isinstance(parsed, Harbour)
    with client.responses.stream(**asked) as events:
        assert isinstance(events.get_final_response().output_parsed, Harbour)


def test_a_tool_of_the_sdk_is_parsed(client: openai.OpenAI, model: str) -> None:
    class find_port(pydantic.BaseModel):
        """Find a port."""

        place: str

    tool: Any = openai.pydantic_function_tool(find_port)
    offered = {"type": "function", "name": "find_port", **tool["function"]}
    response = client.responses.parse(model=model, input=said("tool"), tools=[offered])
    (call,) = response.output
    assert call.type == "function_call" and isinstance(json.loads(call.arguments)["place"], str)


def test_json_without_a_schema_is_json(client: openai.OpenAI, model: str) -> None:
    response = client.responses.create(
        model=model, input=[{"role": "user", "content": "Say it in JSON."}], text={"format": {"type": "json_object"}}
    )
    assert response.status == "completed" and response.text is not None and response.text.format is not None
    assert response.text.format.type == "json_object"


@STREAMED
def test_images_and_files_are_seen(client: openai.OpenAI, model: str, stream: bool) -> None:
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
    file = {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}
    response = ask(client, stream, model=model, input=said("image", image, file))
    assert "png" in response.output_text


def test_a_hosted_tool_goes_to_its_own_format_and_is_dropped_with_a_report_elsewhere(stack: Stack, model: str) -> None:
    body = {"model": model, "input": asking("tool"), "tools": [PORT, {"type": "web_search"}]}
    with stack.client as client:
        found = client.post("/v1/responses", json=body)
    assert found.status_code == 200
    dropped = found.headers.get("x-portolan-dropped-parameters", "")
    assert ("tools" in dropped) is (model != RESPONSES_MODELS["openai_responses"])


def test_a_picture_of_a_tool_result_is_bytes(client: openai.OpenAI, model: str) -> None:
    assert base64.b64decode(PNG).startswith(b"\x89PNG")
    items = said("tool_loop:1")
    first = client.responses.create(model=model, input=items, tools=[PORT])
    call = first.output[-1]
    output = [{"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "low"}]
    items += [item.model_dump(exclude_none=True) for item in first.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": output})  # type: ignore[union-attr]
    assert client.responses.create(model=model, input=items, tools=[PORT]).status == "completed"
