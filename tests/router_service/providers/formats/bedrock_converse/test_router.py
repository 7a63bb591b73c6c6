"""Test Bedrock's answers through a running router, which signs requests to a lab that refuses what Bedrock refuses."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from lab.bedrock_signature import SESSION_TOKEN
from lab.scenarios import CHART
from tests.conftest import Stack
from tests.router_service.providers.formats.bedrock_converse.converse_world import bedrock_stack

CLAUDE, NOVA, OSS = "anthropic/claude-sonnet-4.5", "amazon/nova-2-lite-v1", "openai/gpt-oss-120b"
LLAMA = "meta-llama/llama-3.3-70b-instruct"
# A model that is asked in words may put its JSON into a fence of code.
SAID = base64.urlsafe_b64encode(b'```json\n{"place":"Genoa"}\n```').decode().rstrip("=")
FIND = {
    "name": "find",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
TOOLS: list[Any] = [{"type": "function", "function": FIND}]
MODES = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
pytestmark = pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, str]]:
    """Yield a router in front of a lab's Bedrock, and the address of the lab."""
    with bedrock_stack(tmp_path_factory.mktemp("bedrock")) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(market: tuple[Stack, str]) -> Iterator[openai.OpenAI]:
    """Yield the official client of chat completions."""
    with openai.OpenAI(base_url=f"{market[0].url}/v1", api_key=market[0].key, max_retries=0) as found:
        yield found


@pytest.fixture(scope="module")
def messages_client(market: tuple[Stack, str]) -> Iterator[anthropic.Anthropic]:
    """Yield the official client of the messages API."""
    with anthropic.Anthropic(base_url=market[0].url, api_key=market[0].key, max_retries=0) as found:
        yield found


def prompt(scenario: str) -> dict[str, Any]:
    """Return a message that the lab answers by ``scenario``."""
    return {"role": "user", "content": f"Now? [lab:scenario={scenario}]"}


def answer_of(client: openai.OpenAI, stream: bool, **body: Any) -> Any:
    """Return the chat completion."""
    if stream:
        with client.chat.completions.stream(**body) as events:
            return events.get_final_completion()
    return client.chat.completions.create(**body)


def message_of(client: anthropic.Anthropic, stream: bool, **body: Any) -> Any:
    """Return the message."""
    if stream:
        with client.messages.stream(max_tokens=4000, **body) as events:
            return events.get_final_message()
    return client.messages.create(max_tokens=4000, **body)


@MODES
@pytest.mark.parametrize("model", [CLAUDE, NOVA, OSS])
def test_text_is_answered_and_metered(client: openai.OpenAI, model: str, stream: bool) -> None:
    """Answer with text, the tokens of the provider and its name."""
    extra = {"stream_options": {"include_usage": True}} if stream else {}
    found = answer_of(client, stream, model=model, messages=[prompt("text")], **extra)
    assert found.choices[0].message.content and found.choices[0].finish_reason == "stop"
    assert found.usage.completion_tokens > 0 and found.provider == "Amazon Bedrock"


@MODES
@pytest.mark.parametrize("model", [CLAUDE, NOVA, OSS])
def test_tools_are_called_and_their_results_read(client: openai.OpenAI, model: str, stream: bool) -> None:
    """Call a tool twice, then quote both results; the ids of the calls pair them."""
    messages: list[Any] = [prompt("tool_loop:2")]
    for number in range(2):
        found = answer_of(client, stream, model=model, messages=messages, tools=TOOLS).choices[0]
        assert found.finish_reason == "tool_calls"
        (called,) = found.message.tool_calls
        assert called.function.name == "find" and called.function.arguments.replace(" ", "") == '{"place":"Genoa"}'
        messages += [found.message.model_dump(exclude_none=True, exclude={"parsed": True})]
        messages += [{"role": "tool", "tool_call_id": called.id, "content": f"result {number}"}]
    final = answer_of(client, stream, model=model, messages=messages, tools=TOOLS).choices[0]
    assert final.finish_reason == "stop" and "result 0" in final.message.content and "result 1" in final.message.content


@MODES
def test_parallel_calls_keep_their_results(messages_client: anthropic.Anthropic, stream: bool) -> None:
    """Answer several calls of one turn through the messages API."""
    tools: list[Any] = [{"name": name, "input_schema": FIND["parameters"]} for name in ("find", "seek")]
    asked = [prompt("parallel_tools")]
    first = message_of(messages_client, stream, model=CLAUDE, messages=asked, tools=tools)
    calls = [block for block in first.content if block.type == "tool_use"]
    assert len(calls) > 1 and first.stop_reason == "tool_use"
    told: list[Any] = [{"type": "tool_result", "tool_use_id": one.id, "content": one.id} for one in calls]
    told += [{"type": "text", "text": prompt("text")["content"]}]
    content = [block.model_dump(exclude_none=True) for block in first.content]
    turns: list[Any] = [*asked, {"role": "assistant", "content": content}, {"role": "user", "content": told}]
    assert message_of(messages_client, stream, model=CLAUDE, messages=turns, tools=tools).stop_reason == "end_turn"


@MODES
@pytest.mark.parametrize("scenario", ["thinking", "redacted"])
def test_signed_reasoning_goes_back_through_the_messages_api(
    messages_client: anthropic.Anthropic, market: tuple[Stack, str], scenario: str, stream: bool
) -> None:
    """Send thinking back as it came: the lab refuses a signature that is not its own."""
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    asked: list[Any] = [prompt(scenario)]
    found = message_of(messages_client, stream, model=CLAUDE, messages=asked, thinking=thinking)
    kinds = [block.type for block in found.content]
    assert kinds[0] == "thinking" and ("redacted_thinking" in kinds) == (scenario == "redacted")
    content = [block.model_dump(exclude_none=True) for block in found.content]
    turns: list[Any] = [*asked, {"role": "assistant", "content": content}, prompt("text")]
    before = httpx2.get(f"{market[1]}/_log").json()["refused"]
    again = message_of(messages_client, stream, model=CLAUDE, messages=turns, thinking=thinking)
    assert again.content[-1].text
    assert httpx2.get(f"{market[1]}/_log").json()["refused"] == before


@MODES
def test_signed_reasoning_goes_back_through_chat_completions(
    client: openai.OpenAI, market: tuple[Stack, str], stream: bool
) -> None:
    """Send ``reasoning_details`` back within a loop of tools, where Claude has to begin with its reasoning."""
    body: dict[str, Any] = {"model": CLAUDE, "tools": TOOLS, "max_tokens": 4000}
    body["extra_body"] = {"reasoning": {"max_tokens": 1024}}
    asked = [prompt("tool_loop:1")]
    message = answer_of(client, stream, messages=asked, **body).choices[0].message
    told = message.model_dump(exclude_none=True, exclude={"parsed": True})
    assert told["reasoning_details"]
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "High water at noon."}
    before = httpx2.get(f"{market[1]}/_log").json()["refused"]
    final = answer_of(client, stream, messages=[*asked, told, result], **body)
    assert "High water at noon." in final.choices[0].message.content
    assert httpx2.get(f"{market[1]}/_log").json()["refused"] == before


@MODES
def test_an_image_is_read(client: openai.OpenAI, stream: bool) -> None:
    """Send an image by its data; the answer names its type and size."""
    text = {"type": "text", "text": "What is it? [lab:scenario=image]"}
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{CHART}"}}
    found = answer_of(client, stream, model=CLAUDE, messages=[{"role": "user", "content": [text, image]}])
    assert "image/png of" in found.choices[0].message.content


@MODES
def test_a_cached_prompt_is_metered(client: openai.OpenAI, stream: bool) -> None:
    """Mark a prompt: the first request writes it to the cache, the second reads it."""
    text = f"{'mode streamed ' if stream else 'mode whole '}" * 600
    marked = {"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    messages: list[Any] = [{"role": "system", "content": [marked]}, prompt("text")]
    extra = {"stream_options": {"include_usage": True}} if stream else {}
    first, second = (answer_of(client, stream, model=CLAUDE, messages=messages, **extra).usage for _ in range(2))
    assert first.prompt_tokens_details.cached_tokens == 0
    assert first.prompt_tokens_details.cache_write_tokens > 1024
    assert second.prompt_tokens_details.cached_tokens > 1024
    assert second.prompt_tokens == first.prompt_tokens


@MODES
@pytest.mark.parametrize("model", [CLAUDE, NOVA, OSS, LLAMA])
def test_json_follows_a_schema(client: openai.OpenAI, model: str, stream: bool) -> None:
    """Ask natively, by a forced tool or in words: the text is the JSON."""
    schema = FIND["parameters"] | {"additionalProperties": False}  # type: ignore[operator]
    shape: Any = {"type": "json_schema", "json_schema": {"name": "shape", "schema": schema}}
    # The lab's models without schemas do what they are told: they call the tool that is forced, or say what is quoted.
    scenario = {NOVA: "tool", LLAMA: f"say:{SAID}"}.get(model, "structured")
    found = answer_of(client, stream, model=model, messages=[prompt(scenario)], response_format=shape)
    assert json.loads(found.choices[0].message.content)["place"] and found.choices[0].finish_reason == "stop"


@MODES
def test_an_error_before_the_answer_has_its_type(client: openai.OpenAI, stream: bool) -> None:
    """Type a failure by the header that names it."""
    with pytest.raises(openai.APIStatusError, match="unable to process") as raised:
        client.chat.completions.create(model=CLAUDE, messages=[prompt("error_before:503")], stream=stream)  # type: ignore[arg-type,misc]
    assert raised.value.status_code == 503
    with pytest.raises(openai.RateLimitError, match="Too many requests"):
        client.chat.completions.create(model=CLAUDE, messages=[prompt("error_before:429")], stream=stream)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(("scenario", "words"), [("error_mid", "unable to process"), ("cut", "connection")])
def test_a_stream_that_breaks_says_so(client: openai.OpenAI, scenario: str, words: str) -> None:
    """An exception within a stream, and a connection that is closed, are never a success."""
    with pytest.raises(openai.APIError, match=words):
        for _ in client.chat.completions.create(model=CLAUDE, messages=[prompt(scenario)], stream=True):  # type: ignore[call-overload]
            pass


@MODES
def test_a_refusal_and_a_stop_sequence_are_told(messages_client: anthropic.Anthropic, stream: bool) -> None:
    """Tell the reasons of the end, and the sequence that the vendor tells only when asked to."""
    refused = message_of(messages_client, stream, model=CLAUDE, messages=[prompt("refusal")])
    assert refused.stop_reason == "refusal"
    stopped = message_of(
        messages_client, stream, model=CLAUDE, messages=[prompt("stop_sequence")], stop_sequences=["STOP"]
    )
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "STOP")


def test_a_signature_that_fails_shows_no_secret(tmp_path: Path) -> None:
    """The vendor's sentence repeats what was signed: the session token in it is not passed on."""
    with bedrock_stack(tmp_path, secret_access_key="not/the/secret/of/this/key") as (stack, _):
        body = {"model": CLAUDE, "messages": [prompt("text")]}
        headers = {"authorization": f"Bearer {stack.key}"}
        answer = httpx2.post(f"{stack.url}/v1/chat/completions", json=body, headers=headers, timeout=60)
    assert answer.status_code == 502 and "does not match the signature you provided" in answer.text
    assert "x-amz-security-token" in answer.text and "[redacted]" in answer.text
    assert SESSION_TOKEN not in answer.text and "not/the/secret" not in answer.text
