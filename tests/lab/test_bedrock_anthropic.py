"""Test that the clients of Anthropic and of Amazon invoke Claude at the lab's Bedrock, and what the lab refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import anthropic
import pytest
from anthropic import AnthropicBedrock
from botocore.exceptions import ClientError

from lab.bedrock_anthropic import VERSION
from lab.bedrock_signature import ACCESS_KEYS
from tests.lab.scenes import marked
from tests.lab.test_bedrock_scenarios import CLAUDE, client_for


def bedrock_sdk(url: str, secret: str = ACCESS_KEYS["AKIDLABEXAMPLE"]) -> AnthropicBedrock:
    """Return Anthropic's client of Bedrock, which signs its requests."""
    return AnthropicBedrock(
        base_url=f"{url}/amazon-bedrock/v1", aws_region="us-east-1", aws_access_key="AKIDLABEXAMPLE",
        aws_secret_key=secret, max_retries=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def bedrock(quiet_lab_url: str) -> Iterator[AnthropicBedrock]:
    with bedrock_sdk(quiet_lab_url) as client:
        yield client


@pytest.mark.parametrize("scenario", ["text", "thinking", "tool"])
def test_anthropics_client_gets_messages_and_streams(bedrock: AnthropicBedrock, scenario: str) -> None:
    body: Any = {"model": CLAUDE, "max_tokens": 4000, "messages": [{"role": "user", "content": marked(scenario)}]}
    body["tools"] = [{"name": "find", "input_schema": {"type": "object", "properties": {}}}]
    body["thinking"] = {"type": "enabled", "budget_tokens": 1024} if scenario == "thinking" else {"type": "disabled"}
    whole = bedrock.messages.create(**body)
    with bedrock.messages.stream(**body) as stream:
        streamed = stream.get_final_message()
    assert [block.type for block in streamed.content] == [block.type for block in whole.content]
    assert whole.stop_reason == ("tool_use" if scenario == "tool" else "end_turn")


def test_a_wrong_signature_and_a_broken_stream_are_errors(bedrock: AnthropicBedrock, quiet_lab_url: str) -> None:
    messages: Any = [{"role": "user", "content": marked("text")}]
    with bedrock_sdk(quiet_lab_url, "wrong") as stranger, pytest.raises(anthropic.PermissionDeniedError):
        stranger.messages.create(model=CLAUDE, max_tokens=9, messages=messages)
    messages = [{"role": "user", "content": marked("error_mid")}]
    with (
        pytest.raises(anthropic.APIStatusError),
        bedrock.messages.stream(model=CLAUDE, max_tokens=99, messages=messages) as stream,
    ):
        stream.get_final_message()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, None),
        ({"anthropic_beta": ["context-1m-2025-08-07"]}, None),
        ({"anthropic_version": "2020-01-01"}, "anthropic_version"),
        ({"model": CLAUDE}, "model: Extra inputs are not permitted"),
        ({"stream": True}, "stream: Extra inputs are not permitted"),
        ({"anthropic_beta": "one,two"}, "anthropic_beta"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_amazons_client_invokes_the_model(quiet_lab_url: str, changed: dict[str, Any], words: str | None) -> None:
    body = {"anthropic_version": VERSION, "max_tokens": 99, "messages": [{"role": "user", "content": marked("text")}]}
    client, sent = client_for(quiet_lab_url), json.dumps(body | changed)
    if words is not None:
        with pytest.raises(ClientError, match=words) as refused:
            client.invoke_model(modelId=CLAUDE, body=sent)
        assert refused.value.response["Error"]["Code"] == "ValidationException"
        return
    whole = json.loads(client.invoke_model(modelId=CLAUDE, body=sent)["body"].read())
    assert whole["content"][0]["text"] and whole["stop_reason"] == "end_turn"
    with closing(client.invoke_model_with_response_stream(modelId=CLAUDE, body=sent)["body"]) as events:
        chunks = [json.loads(event["chunk"]["bytes"]) for event in events]
    client.close()
    assert chunks[0]["type"] == "message_start" and chunks[-1]["type"] == "message_stop"
    assert any(one["type"] == "content_block_delta" for one in chunks)
