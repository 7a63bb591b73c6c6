"""Test that Amazon's own client plays the scenarios of the lab, streamed and not, with requests that it signs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import jsonschema_rs
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from urllib3.exceptions import ProtocolError

from lab.bedrock_signature import ACCESS_KEYS, SESSION_TOKEN, TEMPORARY
from lab.scenarios import SCENARIOS
from tests.lab.scenes import PNG_BYTES, SCHEMA, SECOND, marked

CLAUDE, NOVA = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-pro-v1:0"
STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
TOOLS: dict[str, Any] = {
    "tools": [
        {"toolSpec": {"name": "find_port", "description": "Sail", "inputSchema": {"json": SCHEMA}}},
        {"toolSpec": {"name": "hoist", "inputSchema": {"json": SECOND}}},
    ]
}
THINKING: dict[str, Any] = {
    "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    "inferenceConfig": {"maxTokens": 4000},
}
# These show what the format does not have, and these fail before an answer.
UNSAID = {"hosted", "pause_turn", "draw", "blocked", "failed", "every_event"}
Block = dict[str, Any]


def client_for(url: str, key: str = "AKIDLABEXAMPLE", secret: str | None = None, token: str | None = None) -> Any:
    """Return Amazon's client of the lab, which signs with this access key."""
    return boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=f"{url}/amazon-bedrock/v1",
        aws_access_key_id=key,
        aws_secret_access_key=ACCESS_KEYS.get(key, "none") if secret is None else secret,
        aws_session_token=token,
        config=Config(retries={"max_attempts": 1, "mode": "standard"}),
    )


@pytest.fixture(scope="module")
def amazon(quiet_lab_url: str) -> Iterator[Any]:
    """Yield the official client."""
    client = client_for(quiet_lab_url)
    yield client
    client.close()


def ask(client: Any, stream: bool, messages: list[Block], model: str = CLAUDE, **fields: Any) -> Block:
    """Return the response; that of a stream is put together from its events."""
    if not stream:
        found: Block = client.converse(modelId=model, messages=messages, **fields)
        return found
    content: dict[int, Block] = {}
    told: Block = {}
    # The client leaves the connection of a stream that fails open until the stream is closed.
    with closing(client.converse_stream(modelId=model, messages=messages, **fields)["stream"]) as events:
        for event in events:
            ((name, body),) = event.items()
            if name == "contentBlockStart":
                content[body["contentBlockIndex"]] = {"toolUse": body["start"]["toolUse"] | {"input": ""}}
            elif name == "contentBlockDelta":
                add(content.setdefault(body["contentBlockIndex"], {}), body["delta"])
            elif name in ("messageStop", "metadata"):
                told |= body
    for block in content.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return told | {"output": {"message": {"role": "assistant", "content": list(content.values())}}}


def add(block: Block, delta: Block) -> None:
    """Add a delta to its block."""
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    elif "citation" in delta:
        block.setdefault("citations", []).append(delta["citation"])
    else:
        reasoning = delta["reasoningContent"]
        if "redactedContent" in reasoning:
            block["reasoningContent"] = reasoning
            return
        shown = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
        shown["text"] += reasoning.get("text", "")
        shown |= {name: value for name, value in reasoning.items() if name == "signature"}


def said_by_user(text: str, *more: Block) -> Block:
    """Return a turn of the user."""
    return {"role": "user", "content": [{"text": text}, *more]}


def play(client: Any, stream: bool, scenario: str, **fields: Any) -> Block:
    """Return the response of ``scenario``."""
    return ask(client, stream, [said_by_user(marked(scenario))], **fields)


def content_of(response: Block) -> list[Block]:
    """Return the blocks of the answer."""
    return list(response["output"]["message"]["content"])


@STREAMED
@pytest.mark.parametrize("model", [CLAUDE, NOVA])
def test_text_is_said_and_counted(amazon: Any, stream: bool, model: str) -> None:
    found = play(amazon, stream, "text", model=model)
    (block,) = content_of(found)
    usage = found["usage"]
    assert found["stopReason"] == "end_turn" and usage["outputTokens"] == len(block["text"].split())
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]


@STREAMED
@pytest.mark.parametrize("scenario", ["thinking", "redacted"])
def test_reasoning_is_signed_and_taken_back_unchanged(amazon: Any, stream: bool, scenario: str) -> None:
    asked = said_by_user(marked(scenario))
    found = ask(amazon, stream, [asked], **THINKING)
    first = content_of(found)[0]["reasoningContent"]["reasoningText"]
    assert first["text"] and first["signature"]
    hidden = [b["reasoningContent"] for b in content_of(found) if "redactedContent" in b.get("reasoningContent", {})]
    assert bool(hidden) == (scenario == "redacted")
    turns = [asked, found["output"]["message"], said_by_user(marked("text"))]
    assert ask(amazon, stream, turns, **THINKING)["stopReason"] == "end_turn"
    first["text"] += "!"
    with pytest.raises(ClientError, match="Invalid `signature`"):
        ask(amazon, stream, turns, **THINKING)


@STREAMED
@pytest.mark.parametrize("model", [CLAUDE, NOVA])
def test_tools_are_called_and_their_results_quoted(amazon: Any, stream: bool, model: str) -> None:
    turns = [said_by_user(marked("tool_loop:2"))]
    for number, schema in enumerate((SCHEMA, SECOND)):
        found = ask(amazon, stream, turns, model, toolConfig=TOOLS)
        (call,) = [block["toolUse"] for block in content_of(found) if "toolUse" in block]
        assert found["stopReason"] == "tool_use" and call["name"] == ("find_port", "hoist")[number]
        jsonschema_rs.validator_for(schema).validate(json.loads(json.dumps(call["input"], default=str)))
        result = {"toolUseId": call["toolUseId"], "content": [{"text": f"result {number}"}]}
        turns += [found["output"]["message"], {"role": "user", "content": [{"toolResult": result}]}]
    final = content_of(ask(amazon, stream, turns, model, toolConfig=TOOLS))[0]["text"]
    assert '"result 0"' in final and '"result 1"' in final


@STREAMED
def test_a_schema_an_image_and_a_document_are_read(amazon: Any, stream: bool) -> None:
    form = {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(SECOND), "name": "flag"}}}
    structured = play(amazon, stream, "structured", outputConfig={"textFormat": form})
    jsonschema_rs.validator_for(SECOND).validate(json.loads(content_of(structured)[0]["text"]))
    image = {"image": {"format": "png", "source": {"bytes": b"\x89PNG\r\n\x1a\n and the rest"}}}
    seen = content_of(ask(amazon, stream, [said_by_user(marked("image"), image)]))[0]["text"]
    assert f"image/png of {PNG_BYTES} bytes" in seen
    document = {"document": {"format": "txt", "name": "Tides", "source": {"bytes": b"The tide turns. It is late."}}}
    said = content_of(ask(amazon, stream, [said_by_user(marked("citations"), document)]))
    cited = [block if stream else block.get("citationsContent", {}) for block in said]
    (citation,) = [one for block in cited for one in block.get("citations", ())]
    assert citation["sourceContent"] == [{"text": "The tide turns"}] and "documentChar" in citation["location"]


@STREAMED
def test_the_end_is_told(amazon: Any, stream: bool) -> None:
    config = {"stopSequences": ["STOP"]}
    paths = ["/stop_sequence"]
    stopped = play(amazon, stream, "stop_sequence", inferenceConfig=config, additionalModelResponseFieldPaths=paths)
    assert stopped["stopReason"] == "stop_sequence"
    assert stopped["additionalModelResponseFields"] == {"stop_sequence": "STOP"}
    assert play(amazon, stream, "length", inferenceConfig={"maxTokens": 3})["stopReason"] == "max_tokens"
    assert play(amazon, stream, "refusal")["stopReason"] == "content_filtered"


@STREAMED
def test_a_marked_prompt_is_cached(amazon: Any, stream: bool) -> None:
    words = ("streamed " if stream else "whole ") * 1000
    system = [{"text": words}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    first, second = (play(amazon, stream, "text", system=system)["usage"] for _ in range(2))
    assert first["cacheReadInputTokens"] == 0 and first["cacheWriteInputTokens"] > 1024
    assert first["cacheDetails"] == [{"ttl": "1h", "inputTokens": first["cacheWriteInputTokens"]}]
    assert second["cacheReadInputTokens"] > 1024


@STREAMED
@pytest.mark.parametrize(
    ("status", "name"),
    [(429, "ThrottlingException"), (503, "ServiceUnavailableException"), (500, "InternalServerException"),
     (403, "AccessDeniedException"), (424, "ModelErrorException"), (408, "ModelTimeoutException")],
)  # fmt: skip
def test_failures_are_the_clients_own_exceptions(amazon: Any, stream: bool, status: int, name: str) -> None:
    with pytest.raises(getattr(amazon.exceptions, name)) as raised:
        play(amazon, stream, f"error_before:{status}")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_a_stream_ends_with_an_exception_or_is_cut(amazon: Any) -> None:
    with pytest.raises(EventStreamError, match="serviceUnavailableException"):
        play(amazon, True, "error_mid")
    with pytest.raises(ProtocolError):
        play(amazon, True, "cut")


@STREAMED
@pytest.mark.parametrize("scenario", sorted(set(SCENARIOS) - UNSAID - {"error_before", "error_mid", "cut", "say"}))
def test_every_other_scenario_is_played_or_refused_with_a_sentence(amazon: Any, stream: bool, scenario: str) -> None:
    try:
        found = play(amazon, stream, scenario, toolConfig=TOOLS)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ValidationException" and scenario in str(error)
    else:
        assert found["usage"]["totalTokens"] > 0


@pytest.mark.parametrize("scenario", sorted(UNSAID))
def test_what_the_format_cannot_show_is_refused(amazon: Any, scenario: str) -> None:
    with pytest.raises(ClientError, match="which this wire format does not have"):
        play(amazon, False, scenario)


def test_a_temporary_key_needs_its_token(quiet_lab_url: str) -> None:
    signed = client_for(quiet_lab_url, TEMPORARY, token=SESSION_TOKEN)
    arn = f"arn:aws:bedrock:eu-central-1:123456789012:inference-profile/{CLAUDE}"
    assert play(signed, False, "text", model=arn)["stopReason"] == "end_turn"
    for client, name in (
        (client_for(quiet_lab_url, TEMPORARY), "UnrecognizedClientException"),
        (client_for(quiet_lab_url, "AKIDNOBODY"), "UnrecognizedClientException"),
        (client_for(quiet_lab_url, secret="other"), "InvalidSignatureException"),
    ):
        with pytest.raises(ClientError) as raised:
            play(client, False, "text")
        assert raised.value.response["Error"]["Code"] == name
