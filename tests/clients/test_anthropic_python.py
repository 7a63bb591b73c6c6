"""Test the messages API with the official Python SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import anthropic
import pydantic
import pytest

from tests.clients.served import PDF, PNG, PNG_BYTES, ServedModel, asking

pytestmark = [pytest.mark.slow, pytest.mark.client("anthropic for Python")]
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
TOOLS: list[Any] = [
    {
        "name": "find_port",
        "description": "Find a port",
        "input_schema": {
            "type": "object",
            "properties": {"place": {"type": "string", "minLength": 2}, "unit": {"enum": ["metre", "fathom"]}},
            "required": ["place", "unit"],
        },
    },
    {
        "name": "hoist",
        "description": "Hoist a flag",
        "input_schema": {"type": "object", "properties": {"flag": {"type": "boolean"}}, "required": ["flag"]},
    },
]


class Harbour(pydantic.BaseModel):
    """Describe what the model is to return."""

    place: str
    depth: int
    kind: Literal["river", "sea"]


@pytest.fixture(params=["", "/api"], ids=["v1", "api-v1"])
def client(served: ServedModel, request: pytest.FixtureRequest) -> Iterator[anthropic.Anthropic]:
    """Yield a client of either address."""
    with anthropic.Anthropic(
        base_url=served.stack.url + request.param, api_key=served.stack.key, max_retries=0
    ) as made:
        yield made


def ask(client: anthropic.Anthropic, served: ServedModel, stream: bool, **body: Any) -> Any:
    """Return the message, which the SDK puts together from the events of a stream."""
    body = {"model": served.model, "max_tokens": 2048} | body
    if not stream:
        return client.messages.create(**body)
    with client.messages.stream(**body) as events:
        return events.get_final_message()


def said(scenario: str, *blocks: dict[str, Any]) -> list[Any]:
    """Return a conversation that begins with ``scenario``."""
    return [{"role": "user", "content": [*blocks, {"type": "text", "text": asking(scenario)}]}]


def kinds(message: Any) -> list[str]:
    """Return the types of the content blocks."""
    return [block.type for block in message.content]


@STREAMED
def test_a_text_is_answered(client: anthropic.Anthropic, served: ServedModel, stream: bool) -> None:
    system: list[Any] = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    body: dict[str, Any] = {"system": system, "metadata": {"user_id": "pilot"}, "extra_body": {"temperature": 0.5}}
    message = ask(client, served, stream, messages=said("text"), **body)
    assert (message.role, message.model, message.stop_reason) == ("assistant", served.model, "end_turn")
    assert kinds(message) == ["text"] and message.content[0].text
    assert message.usage.output_tokens == len(message.content[0].text.split())


def test_a_token_of_the_authorization_header_is_a_key(served: ServedModel) -> None:
    with anthropic.Anthropic(base_url=served.stack.url, auth_token=served.stack.key, api_key=None) as client:
        assert ask(client, served, False, messages=said("text")).content


@STREAMED
def test_the_text_ends_early(client: anthropic.Anthropic, served: ServedModel, stream: bool) -> None:
    message = ask(client, served, stream, messages=said("length"), max_tokens=5)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 5)
    message = ask(client, served, stream, messages=said("refusal"))
    assert message.stop_reason == "refusal"


@STREAMED
def test_several_tools_are_called_at_once(client: anthropic.Anthropic, served: ServedModel, stream: bool) -> None:
    turns = said("parallel_tools")
    message = ask(client, served, stream, messages=turns, tools=TOOLS)
    assert message.stop_reason == "tool_use" and kinds(message) == ["tool_use", "tool_use"]
    port, flag = message.content
    assert (port.name, port.input) == ("find_port", {"place": "Genoa", "unit": "metre"})
    assert flag.name == "hoist" and isinstance(flag.input["flag"], bool)
    results = [
        {"type": "tool_result", "tool_use_id": port.id, "content": [{"type": "text", "text": "44.4 N"}]},
        {"type": "tool_result", "tool_use_id": flag.id, "content": "It is stuck", "is_error": True},
    ]
    turns += [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
    turns += [{"role": "assistant", "content": "Both are done."}, *said("text")]
    assert ask(client, served, stream, messages=turns, tools=TOOLS).stop_reason == "end_turn"


@STREAMED
def test_a_tool_loop_with_thinking_comes_to_its_end(
    client: anthropic.Anthropic, served: ServedModel, stream: bool
) -> None:
    """The thinking before the first call has to come back with its signature in each turn that follows."""
    turns = said("tool_loop:3")
    for number in range(3):
        message = ask(client, served, stream, messages=turns, tools=TOOLS, thinking=THINKING)
        thinks = ["thinking"] if served.shows_thinking and number == 0 else []
        assert kinds(message) == [*thinks, "text", "tool_use"]
        call = message.content[-1]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": f"{42 + number} fathoms"}
        reminder = {"type": "text", "text": "<system-reminder>Keep it short.</system-reminder>"}
        turns += [
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": [result, reminder]},
        ]
    message = ask(client, served, stream, messages=turns, tools=TOOLS, thinking=THINKING)
    assert message.stop_reason == "end_turn"
    assert all(f'"{number} fathoms"' in message.content[-1].text for number in (42, 43, 44))


@anthropic.beta_tool
def find_port(place: str) -> str:
    """Find a port.

    Args:
        place: The name of a place.
    """
    return f"{place} has been found"


@STREAMED
def test_the_tool_runner_comes_to_its_end(client: anthropic.Anthropic, served: ServedModel, stream: bool) -> None:
    """It begins a message thread unasked, and sends the full conversation once that is refused."""
    body: Any = {"model": served.model, "max_tokens": 2048, "messages": said("tool_loop:2"), "thinking": THINKING}
    message = client.beta.messages.tool_runner(**body, tools=[find_port], stream=stream).until_done()
    assert message.stop_reason == "end_turn"
    assert message.content[-1].type == "text" and message.content[-1].text.count("Genoa has been found") == 2


def test_the_stream_has_the_events_of_its_helpers(client: anthropic.Anthropic, served: ServedModel) -> None:
    found: dict[str, list[Any]] = {}
    asked: Any = {"model": served.model, "max_tokens": 2048, "messages": said("tool_loop"), "tools": TOOLS}
    with client.messages.stream(**asked) as events:
        for event in events:
            found.setdefault(event.type, []).append(event)
        message = events.get_final_message()
    assert "".join(event.text for event in found["text"]) == message.content[0].text  # type: ignore[union-attr]
    assert "".join(event.partial_json for event in found["input_json"]).startswith("{")
    assert json.loads("".join(event.partial_json for event in found["input_json"])) == message.content[-1].input  # type: ignore[union-attr]
    assert len(found["message_start"]) == len(found["message_stop"]) == len(found["message_delta"]) == 1


@STREAMED
@pytest.mark.parametrize("scenario", ["thinking", "redacted"])
def test_thinking_is_sent_back(client: anthropic.Anthropic, served: ServedModel, stream: bool, scenario: str) -> None:
    turns = said(scenario)
    message = ask(client, served, stream, messages=turns, thinking=THINKING)
    hidden = ["redacted_thinking"] if scenario == "redacted" else []
    assert kinds(message) == (["thinking", *hidden, "text"] if served.shows_thinking else ["text"])
    assert message.usage.output_tokens > len(message.content[-1].text.split())
    if served.shows_thinking:
        assert message.content[0].thinking and message.content[0].signature
    turns += [{"role": "assistant", "content": message.content}, *said("text")]
    assert ask(client, served, stream, messages=turns, thinking=THINKING).stop_reason == "end_turn"


@STREAMED
def test_an_image_is_seen(client: anthropic.Anthropic, served: ServedModel, stream: bool) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    message = ask(client, served, stream, messages=said("image", {"type": "image", "source": source}))
    assert f"image/png of {len(PNG_BYTES)} bytes" in message.content[0].text
    source = {"type": "url", "url": "https://harbour.example/chart.png"}
    message = ask(client, served, stream, messages=said("image", {"type": "image", "source": source}))
    assert "an image at https://harbour.example/chart.png" in message.content[0].text


@STREAMED
def test_a_screenshot_of_a_tool_is_seen(client: anthropic.Anthropic, served: ServedModel, stream: bool) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PNG}
    turns = said("tool")
    called = ask(client, served, stream, messages=turns, tools=TOOLS)
    result = {
        "type": "tool_result",
        "tool_use_id": called.content[0].id,
        "content": [{"type": "image", "source": source}],
    }
    text = {"type": "text", "text": asking("image")}
    turns += [{"role": "assistant", "content": called.content}, {"role": "user", "content": [result, text]}]
    message = ask(client, served, stream, messages=turns, tools=TOOLS)
    assert f"image/png of {len(PNG_BYTES)} bytes" in message.content[0].text


@STREAMED
def test_documents_are_read(client: anthropic.Anthropic, served: ServedModel, stream: bool) -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    untitled: dict[str, Any] = {"type": "document", "source": pdf}
    for document in (untitled, untitled | {"title": "tides.pdf"}):
        assert ask(client, served, stream, messages=said("text", document)).content[0].text
    text = {"type": "text", "media_type": "text/plain", "data": "The bell rings at six. Then comes the tide."}
    document = {"type": "document", "source": text, "citations": {"enabled": True}, "title": "Tides"}
    (block, *_) = ask(client, served, stream, messages=said("citations", document)).content
    (cited,) = block.citations
    if served.wire_format == "anthropic_messages":
        assert (cited.type, cited.cited_text) == ("char_location", "The bell rings at six")
    else:
        assert cited.type == "web_search_result_location" and cited.url.startswith("https://")
    turns = [*said("citations", document), {"role": "assistant", "content": [block]}, *said("text")]
    assert ask(client, served, stream, messages=turns).content


def test_tokens_are_counted(client: anthropic.Anthropic, served: ServedModel) -> None:
    body: Any = {"model": served.model, "messages": said("text"), "tools": TOOLS, "thinking": THINKING}
    counted = client.messages.count_tokens(**body).input_tokens
    more = client.beta.messages.count_tokens(**body | {"system": "Be brief. " * 50}, betas=["a-2026-01-01"])
    assert 0 < counted < more.input_tokens
    assert ask(client, served, False, messages=said("text")).content


@STREAMED
def test_the_output_follows_a_schema(client: anthropic.Anthropic, served: ServedModel, stream: bool) -> None:
    body: Any = {"model": served.model, "max_tokens": 2048, "messages": said("structured"), "output_format": Harbour}
    if stream:
        with client.messages.stream(**body) as events:
            message: Any = events.get_final_message()
    else:
        message = client.messages.parse(**body)
    assert message.parsed_output == Harbour(place="Genoa", depth=7, kind="river")


@STREAMED
def test_features_in_beta_are_passed_on(client: anthropic.Anthropic, served: ServedModel, stream: bool) -> None:
    """The strict lab refuses a field in beta without its header, so the header reached Anthropic's format."""
    body: Any = {
        "model": served.model,
        "max_tokens": 2048,
        "messages": said("tool"),
        "tools": TOOLS,
        "thinking": THINKING,
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "betas": ["context-management-2025-06-27", "interleaved-thinking-2025-05-14"],
    }
    if stream:
        with client.beta.messages.stream(**body) as events:
            message: Any = events.get_final_message()
    else:
        message = client.beta.messages.create(**body)
    assert message.stop_reason == "tool_use" and message.content[-1].name == "find_port"
