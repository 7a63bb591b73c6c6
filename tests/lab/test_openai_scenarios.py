"""Test that the official openai client plays each scenario of the lab, streamed and not."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs
import openai
import pytest

from lab.scenarios import SCENARIOS
from tests.lab.scenes import PNG, PNG_BYTES, SCHEMA, SECOND, chat_tool, marked

TOOLS = [chat_tool("find_port", SCHEMA), chat_tool("hoist", SECOND)]
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@dataclass
class Choice:
    """One choice, the same whether it was streamed or not."""

    content: str = ""
    refusal: str = ""
    calls: dict[int, dict[str, Any]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(str)))
    logprobs: list[Any] = field(default_factory=list)
    annotations: list[Any] = field(default_factory=list)
    reason: str | None = None

    def message(self) -> dict[str, Any]:
        """Return the choice as a message of the history."""
        calls = [dict(call) for call in self.calls.values()]
        for call in calls:
            body = {"name": call.pop("name"), "input" if call["type"] == "custom" else "arguments": call.pop("text")}
            call[call["type"]] = body
        message = {"role": "assistant", "content": self.content or None, "refusal": self.refusal or None}
        return message | ({"tool_calls": calls} if calls else {})


def ask(client: openai.OpenAI, stream: bool, **body: Any) -> tuple[dict[int, Choice], Any]:
    """Return the choices by index, and the usage."""
    body = {"model": "gpt-lab"} | body
    choices: dict[int, Choice] = defaultdict(Choice)
    if not stream:
        answer = client.chat.completions.create(**body)
        for whole in answer.choices:
            assert whole.message.role == "assistant"
            add(choices[whole.index], whole.message.model_dump(), whole)
        assert answer.system_fingerprint and answer.id.startswith("chatcmpl-")
        return dict(choices), answer.usage
    usage, order = None, []
    for chunk in client.chat.completions.create(**body, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for part in chunk.choices:
            order.append(part.index)
            add(choices[part.index], part.delta.model_dump(), part)
    assert usage is not None
    if len(choices) > 1:
        assert order != sorted(order), "the chunks of the choices alternate"
    return dict(choices), usage


def add(choice: Choice, delta: dict[str, Any], part: Any) -> None:
    """Add a message or a delta to ``choice``."""
    choice.content += delta.get("content") or ""
    choice.refusal += delta.get("refusal") or ""
    choice.annotations += delta.get("annotations") or []
    if part.logprobs:
        choice.logprobs += part.logprobs.content or part.logprobs.refusal or []
    for position, call in enumerate(delta.get("tool_calls") or ()):
        kept = choice.calls[call.get("index", position)]
        said = call.get("function") or call.get("custom") or {}
        for name in ("id", "type"):
            kept[name] = kept[name] or call.get(name) or ""
        kept["name"] += said.get("name") or ""
        kept["text"] += said.get("arguments") or said.get("input") or ""
    choice.reason = part.finish_reason or choice.reason


def play(client: openai.OpenAI, stream: bool, scenario: str, **body: Any) -> Choice:
    """Return the only choice of ``scenario``."""
    messages = [{"role": "user", "content": marked(scenario)}]
    choices, _usage = ask(client, stream, **{"messages": messages} | body)
    assert list(choices) == [0]
    return choices[0]


@STREAMED
@pytest.mark.parametrize("scenario", ["text", "thinking", "redacted", "logprobs"])
def test_text_is_said_and_thinking_is_counted(openai_sdk: openai.OpenAI, stream: bool, scenario: str) -> None:
    messages = [{"role": "user", "content": marked(scenario)}]
    choices, usage = ask(openai_sdk, stream, messages=messages)
    assert choices[0].content and choices[0].reason == "stop"
    thought = usage.completion_tokens_details.reasoning_tokens
    assert (thought > 0) == (scenario in ("thinking", "redacted"))
    assert usage.completion_tokens == thought + len(choices[0].content.split())
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@STREAMED
def test_log_probabilities_cover_the_text(openai_sdk: openai.OpenAI, stream: bool) -> None:
    choice = play(openai_sdk, stream, "logprobs", logprobs=True, top_logprobs=3)
    assert "".join(entry.token for entry in choice.logprobs) == choice.content
    for entry in choice.logprobs:
        assert bytes(entry.bytes).decode() == entry.token
        assert len(entry.top_logprobs) == 3 and entry.top_logprobs[0].token == entry.token
        assert entry.logprob == entry.top_logprobs[0].logprob > entry.top_logprobs[1].logprob


@STREAMED
def test_several_choices_need_no_marker(openai_sdk: openai.OpenAI, stream: bool) -> None:
    messages = [{"role": "user", "content": "Name a wind."}]
    choices, usage = ask(openai_sdk, stream, messages=messages, n=3, logprobs=True)
    assert sorted(choices) == [0, 1, 2]
    assert len({choice.content for choice in choices.values()}) == 3
    assert all(choice.reason == "stop" and choice.logprobs for choice in choices.values())
    assert usage.completion_tokens == sum(len(choice.logprobs) for choice in choices.values())


@STREAMED
def test_a_tool_is_called_with_arguments_that_fit_its_schema(openai_sdk: openai.OpenAI, stream: bool) -> None:
    choice = play(openai_sdk, stream, "tool", tools=TOOLS)
    assert choice.reason == "tool_calls" and list(choice.calls) == [0]
    assert choice.calls[0]["name"] == "find_port"
    jsonschema_rs.validate(SCHEMA, json.loads(choice.calls[0]["text"]))


@STREAMED
def test_a_named_tool_is_the_one_that_is_called(openai_sdk: openai.OpenAI, stream: bool) -> None:
    named = {"type": "function", "function": {"name": "hoist"}}
    assert play(openai_sdk, stream, "tool", tools=TOOLS, tool_choice=named).calls[0]["name"] == "hoist"


@STREAMED
def test_tools_are_called_in_parallel_unless_that_is_off(openai_sdk: openai.OpenAI, stream: bool) -> None:
    choice = play(openai_sdk, stream, "parallel_tools", tools=TOOLS)
    assert [call["name"] for call in choice.calls.values()] == ["find_port", "hoist"]
    assert len({call["id"] for call in choice.calls.values()}) == 2
    one = play(openai_sdk, stream, "parallel_tools", tools=TOOLS, parallel_tool_calls=False)
    assert len(one.calls) == 1


@STREAMED
@pytest.mark.parametrize("marker", ["[lab:scenario=tool]", ""], ids=["scripted", "plain"])
def test_a_custom_tool_gets_text(openai_sdk: openai.OpenAI, stream: bool, marker: str) -> None:
    tools = [{"type": "custom", "custom": {"name": "log", "description": "Write the log"}}]
    choices, _usage = ask(openai_sdk, stream, messages=[{"role": "user", "content": marker or "Hi"}], tools=tools)
    call = choices[0].calls[0]
    assert (call["type"], call["name"]) == ("custom", "log") and call["text"]


@STREAMED
def test_a_tool_loop_ends_with_text_that_quotes_the_results(openai_sdk: openai.OpenAI, stream: bool) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": marked("tool_loop:2")}]
    for number in range(2):
        choice = ask(openai_sdk, stream, messages=messages, tools=TOOLS)[0][0]
        assert choice.reason == "tool_calls" and len(choice.calls) == 1
        messages.append(choice.message())
        result = {"role": "tool", "tool_call_id": choice.calls[0]["id"], "content": f"42{number} fathoms"}
        messages.append(result)
    choice = ask(openai_sdk, stream, messages=messages, tools=TOOLS)[0][0]
    assert choice.reason == "stop" and not choice.calls
    assert "420 fathoms" in choice.content and "421 fathoms" in choice.content


@STREAMED
def test_an_image_is_described(openai_sdk: openai.OpenAI, stream: bool) -> None:
    content = [{"type": "text", "text": marked("image")}, IMAGE]
    choice = play(openai_sdk, stream, "image", messages=[{"role": "user", "content": content}])
    assert f"image/png of {PNG_BYTES} bytes" in choice.content


@STREAMED
@pytest.mark.parametrize("scenario", ["citations", "hosted"])
def test_pages_are_cited_as_annotations(openai_sdk: openai.OpenAI, stream: bool, scenario: str) -> None:
    choice = play(openai_sdk, stream, scenario, web_search_options={})
    cited = choice.annotations[0]["url_citation"]
    assert cited["url"].startswith("https://")
    assert choice.content[cited["start_index"] : cited["end_index"]].strip()


@STREAMED
def test_a_refusal_is_no_content(openai_sdk: openai.OpenAI, stream: bool) -> None:
    choice = play(openai_sdk, stream, "refusal", logprobs=True)
    assert choice.refusal and not choice.content and choice.reason == "stop"
    assert "".join(entry.token for entry in choice.logprobs) == choice.refusal


@STREAMED
def test_the_limit_ends_the_text(openai_sdk: openai.OpenAI, stream: bool) -> None:
    choice = play(openai_sdk, stream, "length", max_completion_tokens=5)
    assert choice.reason == "length" and len(choice.content.split()) == 5
    assert play(openai_sdk, stream, "text", max_completion_tokens=3).reason == "length"


@STREAMED
def test_the_text_follows_the_schema(openai_sdk: openai.OpenAI, stream: bool) -> None:
    output = {"type": "json_schema", "json_schema": {"name": "harbour", "schema": SCHEMA}}
    jsonschema_rs.validate(SCHEMA, json.loads(play(openai_sdk, stream, "structured", response_format=output).content))
    output["json_schema"] = {
        "name": "harbour",
        "schema": {"type": "object", "required": ["a"], "properties": {"a": False}},
    }
    with pytest.raises(openai.BadRequestError, match="cannot make a value of the output format"):
        play(openai_sdk, stream, "structured", response_format=output)


@STREAMED
def test_a_stop_sequence_is_a_normal_end(openai_sdk: openai.OpenAI, stream: bool) -> None:
    assert play(openai_sdk, stream, "stop_sequence", stop=["END"]).reason == "stop"


@STREAMED
@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (401, openai.AuthenticationError, "invalid_api_key"),
        (404, openai.NotFoundError, "model_not_found"),
        (429, openai.RateLimitError, "rate_limit_exceeded"),
        (500, openai.InternalServerError, None),
        (503, openai.InternalServerError, None),
    ],
)
def test_an_error_comes_before_the_response(
    openai_sdk: openai.OpenAI, stream: bool, status: int, error: type[openai.APIStatusError], code: str | None
) -> None:
    with pytest.raises(error) as caught:
        play(openai_sdk, stream, f"error_before:{status}")
    assert caught.value.status_code == status and caught.value.code == code
    assert caught.value.request_id


def test_a_stream_fails_in_the_middle(openai_sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.APIError, match="The server had an error") as caught:
        play(openai_sdk, True, "error_mid")
    assert not isinstance(caught.value, openai.APIStatusError)
    with pytest.raises(openai.InternalServerError):
        play(openai_sdk, False, "error_mid")


@STREAMED
def test_a_connection_is_cut(openai_sdk: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(Exception, match=r"incomplete|peer closed|Connection error"):
        play(openai_sdk, stream, "cut")


@STREAMED
def test_a_slow_response_arrives(openai_sdk: openai.OpenAI, stream: bool) -> None:
    assert play(openai_sdk, stream, "slow:0.01").reason == "stop"


@STREAMED
def test_every_part_is_shown(openai_sdk: openai.OpenAI, stream: bool) -> None:
    choice = play(openai_sdk, stream, "every_event", tools=TOOLS, logprobs=True)
    assert choice.content and choice.annotations and choice.logprobs
    assert len(choice.calls) == 2 and choice.reason == "tool_calls"


@pytest.mark.parametrize(
    ("scenario", "says"),
    [
        ("failed", "a response that says that it has failed, which this wire format does not have"),
        ("pause_turn", "a turn that pauses, which this wire format does not have"),
        ("tool", "Send `tools` that the model may call"),
        ("image", "Send one."),
        ("stop_sequence", "Send one."),
        ("structured", "the schema of the output format. Send one."),
        ("nonsense", "The lab has no scenario 'nonsense'. It has: text, thinking"),
        ("error_before:200", "takes a number from 400 to 599, not '200'"),
        ("slow:never", "takes a number from 0 to 600, not 'never'"),
    ],
)
def test_a_scenario_that_cannot_be_played_says_why(openai_sdk: openai.OpenAI, scenario: str, says: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        play(openai_sdk, False, scenario)
    assert says in caught.value.message


@STREAMED
@pytest.mark.parametrize(
    "scenario",
    sorted(
        set(SCENARIOS)
        - {"named_calls", "say", "structured", "pause_turn", "error_before", "error_mid", "cut", "failed"}
        - {"draw", "blocked", "slow"}
        | {"slow:0.01"}
    ),
)
def test_each_answer_can_be_sent_back(openai_sdk: openai.OpenAI, stream: bool, scenario: str) -> None:
    content = [{"type": "text", "text": marked(scenario)}, IMAGE]
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    choice = ask(openai_sdk, stream, messages=messages, tools=TOOLS, stop=["END"])[0][0]
    messages.append(choice.message())
    messages += [{"role": "tool", "tool_call_id": call["id"], "content": "ok"} for call in choice.calls.values()]
    messages.append({"role": "user", "content": "And now? [lab:scenario=text]"})
    assert ask(openai_sdk, stream, messages=messages, tools=TOOLS)[0][0].reason == "stop"


def test_the_clients_own_message_can_be_sent_back(openai_sdk: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": marked("every_event")}]
    answer = openai_sdk.chat.completions.create(model="gpt-lab", messages=messages, tools=TOOLS)  # type: ignore[arg-type]
    message = answer.choices[0].message
    messages.append(message)
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "ok"} for call in message.tool_calls or ()]
    assert openai_sdk.chat.completions.create(model="gpt-lab", messages=messages).choices[0].finish_reason == "stop"
