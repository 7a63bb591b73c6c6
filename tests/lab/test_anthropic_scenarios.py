"""Test that the official anthropic client plays each scenario of the lab, streamed and not."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import anthropic
import jsonschema_rs
import pytest

from lab.scenarios import SCENARIOS
from tests.lab.scenes import PNG, PNG_BYTES, SCHEMA, SECOND, marked, message_tool

TOOLS = [message_tool("find_port", SCHEMA), message_tool("hoist", SECOND)]
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
THINKING = {"type": "enabled", "budget_tokens": 1024}
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def ask(client: anthropic.Anthropic, stream: bool, **body: Any) -> Any:
    """Return the message, which the client puts together from the events of a stream."""
    body = {"model": "claude-lab", "max_tokens": 2048} | body
    if not stream:
        return client.messages.create(**body)
    with client.messages.stream(**body) as events:
        return events.get_final_message()


def play(client: anthropic.Anthropic, stream: bool, scenario: str, **body: Any) -> Any:
    """Return the message of ``scenario``."""
    return ask(client, stream, **{"messages": [{"role": "user", "content": marked(scenario)}]} | body)


def kinds(message: Any) -> list[str]:
    """Return the types of the content blocks."""
    return [block.type for block in message.content]


def history(message: Any) -> dict[str, Any]:
    """Return the message as one of the history, as the client makes it."""
    content = [block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in message.content]
    return {"role": "assistant", "content": content}


@STREAMED
@pytest.mark.parametrize("scenario", ["text", "logprobs", "slow:0.01"])
def test_text_is_said(anthropic_sdk: anthropic.Anthropic, stream: bool, scenario: str) -> None:
    message = play(anthropic_sdk, stream, scenario)
    assert kinds(message) == ["text"] and message.content[0].text
    assert message.stop_reason == "end_turn" and message.usage.service_tier == "standard"
    assert message.usage.output_tokens == len(message.content[0].text.split())


@STREAMED
@pytest.mark.parametrize(
    ("scenario", "shown"),
    [("thinking", ["thinking", "text"]), ("redacted", ["thinking", "redacted_thinking", "text"])],
)
def test_thinking_is_signed_and_comes_back(
    anthropic_sdk: anthropic.Anthropic, stream: bool, scenario: str, shown: list[str]
) -> None:
    message = play(anthropic_sdk, stream, scenario, thinking=THINKING)
    assert kinds(message) == shown
    assert message.content[0].thinking and message.content[0].signature
    assert message.usage.output_tokens > message.usage.output_tokens_details.thinking_tokens > 0
    turns = [{"role": "user", "content": "Hi"}, history(message), {"role": "user", "content": "Go on"}]
    assert ask(anthropic_sdk, stream, messages=turns, thinking=THINKING).stop_reason == "end_turn"


@STREAMED
def test_a_request_for_thinking_needs_no_marker(anthropic_sdk: anthropic.Anthropic, stream: bool) -> None:
    turns = [{"role": "user", "content": "Hi"}]
    assert kinds(ask(anthropic_sdk, stream, messages=turns, thinking=THINKING)) == ["thinking", "text"]
    hidden = ask(anthropic_sdk, stream, messages=turns, thinking=THINKING | {"display": "omitted"})
    assert hidden.content[0].thinking == "" and hidden.content[0].signature
    turns += [history(hidden), {"role": "user", "content": "Go on"}]
    assert ask(anthropic_sdk, stream, messages=turns, thinking=THINKING).stop_reason in ("end_turn", "max_tokens")


@STREAMED
def test_a_tool_is_called_with_arguments_that_fit_its_schema(anthropic_sdk: anthropic.Anthropic, stream: bool) -> None:
    message = play(anthropic_sdk, stream, "tool", tools=TOOLS)
    assert kinds(message) == ["tool_use"] and message.stop_reason == "tool_use"
    assert message.content[0].name == "find_port"
    jsonschema_rs.validate(SCHEMA, message.content[0].input)
    named = play(anthropic_sdk, stream, "tool", tools=TOOLS, tool_choice={"type": "tool", "name": "hoist"})
    assert named.content[0].name == "hoist"


@STREAMED
def test_tools_are_called_in_parallel_unless_that_is_off(anthropic_sdk: anthropic.Anthropic, stream: bool) -> None:
    message = play(anthropic_sdk, stream, "parallel_tools", tools=TOOLS)
    assert [block.name for block in message.content] == ["find_port", "hoist"]
    assert len({block.id for block in message.content}) == 2
    alone = {"type": "auto", "disable_parallel_tool_use": True}
    assert len(play(anthropic_sdk, stream, "parallel_tools", tools=TOOLS, tool_choice=alone).content) == 1


@STREAMED
@pytest.mark.parametrize("thinks", [False, True], ids=["plain", "thinking"])
def test_a_tool_loop_ends_with_text_that_quotes_the_results(
    anthropic_sdk: anthropic.Anthropic, stream: bool, thinks: bool
) -> None:
    body: dict[str, Any] = {"tools": TOOLS} | ({"thinking": THINKING} if thinks else {})
    turns: list[dict[str, Any]] = [{"role": "user", "content": marked("tool_loop:2")}]
    for number in range(2):
        message = ask(anthropic_sdk, stream, messages=turns, **body)
        assert message.stop_reason == "tool_use"
        assert (kinds(message)[0] == "thinking") == (thinks and number == 0)
        call = message.content[-1]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": f"42{number} fathoms"}
        reminder = {"type": "text", "text": "Keep it short."}
        turns += [history(message), {"role": "user", "content": [result, reminder]}]
    message = ask(anthropic_sdk, stream, messages=turns, **body)
    assert kinds(message) == ["text"] and message.stop_reason == "end_turn"
    assert "420 fathoms" in message.content[0].text and "421 fathoms" in message.content[0].text


@STREAMED
def test_images_are_described_wherever_they_are(anthropic_sdk: anthropic.Anthropic, stream: bool) -> None:
    turns: list[dict[str, Any]] = [{"role": "user", "content": [IMAGE, {"type": "text", "text": marked("image")}]}]
    assert f"image/png of {PNG_BYTES} bytes" in ask(anthropic_sdk, stream, messages=turns).content[0].text
    called = play(anthropic_sdk, stream, "tool", tools=TOOLS)
    result = {"type": "tool_result", "tool_use_id": called.content[0].id, "content": [IMAGE]}
    text = {"type": "text", "text": marked("image")}
    turns = [{"role": "user", "content": "Hi"}, history(called), {"role": "user", "content": [result, text]}]
    assert f"image/png of {PNG_BYTES} bytes" in ask(anthropic_sdk, stream, messages=turns).content[0].text


@STREAMED
def test_a_document_is_cited_where_it_says_so(anthropic_sdk: anthropic.Anthropic, stream: bool) -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "The bell rings at six. Then comes the tide."}
    document = {"type": "document", "source": source, "citations": {"enabled": True}}
    turns = [{"role": "user", "content": [document, {"type": "text", "text": marked("citations")}]}]
    message = ask(anthropic_sdk, stream, messages=turns)
    (cited,) = message.content[0].citations
    assert cited.type == "char_location" and cited.cited_text == "The bell rings at six"
    assert source["data"][cited.start_char_index : cited.end_char_index] == cited.cited_text
    (page,) = play(anthropic_sdk, stream, "citations").content[0].citations
    assert page.type == "web_search_result_location"


@STREAMED
def test_a_hosted_search_comes_with_its_result(anthropic_sdk: anthropic.Anthropic, stream: bool) -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    message = play(anthropic_sdk, stream, "hosted", tools=[search])
    assert kinds(message) == ["server_tool_use", "web_search_tool_result", "text"]
    call, result, text = message.content
    assert call.name == "web_search" and call.input == {"query": "tide tables"} and result.tool_use_id == call.id
    assert result.content[0].url == text.citations[0].url
    assert message.usage.server_tool_use.web_search_requests == 1


@STREAMED
def test_a_paused_turn_goes_on_when_it_is_sent_back(anthropic_sdk: anthropic.Anthropic, stream: bool) -> None:
    turns = [{"role": "user", "content": marked("pause_turn")}]
    paused = ask(anthropic_sdk, stream, messages=turns)
    assert paused.stop_reason == "pause_turn" and kinds(paused)[-1] == "server_tool_use"
    turns.append(history(paused))
    rest = ask(anthropic_sdk, stream, messages=turns)
    assert rest.stop_reason == "end_turn" and kinds(rest) == ["web_search_tool_result", "text"]
    turns += [history(rest), {"role": "user", "content": "Thanks"}]
    assert ask(anthropic_sdk, stream, messages=turns).content


@STREAMED
@pytest.mark.parametrize("thinks", [False, True], ids=["plain", "thinking"])
def test_the_text_follows_the_schema(anthropic_sdk: anthropic.Anthropic, stream: bool, thinks: bool) -> None:
    body: dict[str, Any] = {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    message = play(anthropic_sdk, stream, "structured", **body, **({"thinking": THINKING} if thinks else {}))
    jsonschema_rs.validate(SCHEMA, json.loads(message.content[-1].text))
    with pytest.raises(anthropic.BadRequestError, match="follows the schema of the output format"):
        play(anthropic_sdk, stream, "structured")


@STREAMED
def test_a_refusal_has_its_details(anthropic_sdk: anthropic.Anthropic, stream: bool) -> None:
    message = play(anthropic_sdk, stream, "refusal")
    assert message.stop_reason == "refusal"
    assert message.stop_details.type == "refusal" and message.stop_details.explanation


@STREAMED
def test_limits_and_stop_sequences_end_the_text(anthropic_sdk: anthropic.Anthropic, stream: bool) -> None:
    message = play(anthropic_sdk, stream, "length", max_tokens=5)
    assert message.stop_reason == "max_tokens" and len(message.content[0].text.split()) == 5
    assert play(anthropic_sdk, stream, "text", max_tokens=3).stop_reason == "max_tokens"
    stopped = play(anthropic_sdk, stream, "stop_sequence", stop_sequences=["END", "STOP"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "END")


@STREAMED
@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (401, anthropic.AuthenticationError, "authentication_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (413, anthropic.APIStatusError, "request_too_large"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.APIStatusError, "overloaded_error"),
    ],
)
def test_an_error_comes_before_the_response(
    anthropic_sdk: anthropic.Anthropic, stream: bool, status: int, error: type[anthropic.APIStatusError], kind: str
) -> None:
    with pytest.raises(error) as caught:
        play(anthropic_sdk, stream, f"error_before:{status}")
    body: Any = caught.value.body
    assert caught.value.status_code == status
    assert body["type"] == "error" and body["error"]["type"] == kind
    assert caught.value.request_id == body["request_id"]


@STREAMED
def test_a_response_fails_in_the_middle(anthropic_sdk: anthropic.Anthropic, stream: bool) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        play(anthropic_sdk, stream, "error_mid")
    body: Any = caught.value.body
    assert body["error"] == {"type": "overloaded_error", "message": "Overloaded"}
    assert caught.value.status_code == (200 if stream else 529)


@STREAMED
def test_a_connection_is_cut(anthropic_sdk: anthropic.Anthropic, stream: bool) -> None:
    with pytest.raises(Exception, match=r"incomplete|peer closed|Connection error"):
        play(anthropic_sdk, stream, "cut")


def test_a_stream_has_every_documented_event(anthropic_sdk: anthropic.Anthropic) -> None:
    raw = anthropic_sdk.messages.with_raw_response.create(
        model="claude-lab",
        max_tokens=2048,
        stream=True,
        messages=[{"role": "user", "content": marked("every_event")}],
        tools=TOOLS,  # type: ignore[arg-type]
    )
    text = raw.http_response.read().decode()
    names = Counter(line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event: "))
    assert set(names) == {
        "message_start", "content_block_start", "ping", "content_block_delta", "content_block_stop", "message_delta",
        "message_stop",
    }  # fmt: skip
    assert names["message_start"] == names["message_stop"] == names["message_delta"] == 1
    for delta in ("text", "input_json", "thinking", "signature", "citations"):
        assert f'"type": "{delta}_delta"' in text
    blocks = ("thinking", "redacted_thinking", "text", "tool_use", "server_tool_use", "web_search_tool_result")
    for block in blocks:
        assert f'"content_block": {{"type": "{block}"' in text


def test_the_cache_is_told_by_the_time_it_lives(anthropic_sdk: anthropic.Anthropic) -> None:
    for ttl, name in (("5m", "ephemeral_5m_input_tokens"), ("1h", "ephemeral_1h_input_tokens")):
        long = {"type": "text", "text": f"{ttl} " * 3000, "cache_control": {"type": "ephemeral", "ttl": ttl}}
        turns = [{"role": "user", "content": [long, {"type": "text", "text": marked("text")}]}]
        written = ask(anthropic_sdk, False, messages=turns).usage
        assert written.cache_creation_input_tokens == getattr(written.cache_creation, name) > 1024
        read = ask(anthropic_sdk, True, messages=turns).usage
        assert read.cache_read_input_tokens == written.cache_creation_input_tokens
        assert read.cache_creation_input_tokens == 0


def test_tokens_are_counted(anthropic_sdk: anthropic.Anthropic) -> None:
    short = anthropic_sdk.messages.count_tokens(model="claude-lab", messages=[{"role": "user", "content": "Hi"}])
    long = anthropic_sdk.messages.count_tokens(model="claude-lab", messages=[{"role": "user", "content": "Hi " * 99}])
    assert 0 < short.input_tokens < long.input_tokens


@STREAMED
@pytest.mark.parametrize(
    "scenario",
    sorted(
        set(SCENARIOS)
        - {"named_calls", "say", "structured", "error_before", "error_mid", "cut", "failed", "pause_turn"}
        - {"draw", "blocked", "slow"}
        | {"slow:0.01"}
    ),
)
@pytest.mark.parametrize("thinks", [False, True], ids=["plain", "thinking"])
def test_each_answer_can_be_sent_back(
    anthropic_sdk: anthropic.Anthropic, stream: bool, scenario: str, thinks: bool
) -> None:
    body: dict[str, Any] = {"tools": TOOLS} | ({"thinking": THINKING} if thinks else {})
    turns: list[dict[str, Any]] = [{"role": "user", "content": [IMAGE, {"type": "text", "text": marked(scenario)}]}]
    message = ask(anthropic_sdk, stream, messages=turns, stop_sequences=["END"], **body)
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "ok"}
        for block in message.content
        if block.type == "tool_use"
    ]
    text = {"type": "text", "text": "And now? [lab:scenario=text]"}
    turns += [history(message), {"role": "user", "content": [*results, text]}]
    assert ask(anthropic_sdk, stream, messages=turns, **body).stop_reason == "end_turn"
