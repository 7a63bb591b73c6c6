"""Test that the lab refuses what Amazon Bedrock refuses, with its status, its header and its sentences."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from lab.bedrock_history import ALTERNATE, DOCUMENT_TEXT, DUPLICATES, FIRST, MIXED, NO_TOOLS
from tests.lab.scenes import HTTP, PNG

CLAUDE, NEWER = "anthropic.claude-sonnet-4-5-20250929-v1:0", "us.anthropic.claude-opus-4-7"
NOVA, NOVA_2, OSS = "amazon.nova-pro-v1:0", "amazon.nova-2-lite-v1:0", "openai.gpt-oss-120b-1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
KEY = {"authorization": "Bearer key"}
Body = dict[str, Any]
SAID: Body = {"role": "user", "content": [{"text": "Hello."}]}
USE: Body = {"toolUse": {"toolUseId": "t1", "name": "tide", "input": {}}}
RESULT: Body = {"toolResult": {"toolUseId": "t1", "content": [{"text": "high"}]}}
POINT: Body = {"cachePoint": {"type": "default"}}
HOUR: Body = {"cachePoint": {"type": "default", "ttl": "1h"}}
TIDE: Body = {"toolSpec": {"name": "tide", "inputSchema": {"json": {"type": "object"}}}}
TOOLS: Body = {"toolConfig": {"tools": [TIDE]}}
DOCUMENT: Body = {"document": {"format": "txt", "name": "Tides", "source": {"bytes": PNG}}}
THOUGHT: Body = {"reasoningContent": {"reasoningText": {"text": "Look.", "signature": "bm9uZQ=="}}}


def post(url: str, body: Any, model: str = CLAUDE, **fields: Any) -> httpx2.Response:
    """Send a request to the lab's Bedrock."""
    address = f"{url}/amazon-bedrock/v1/model/{quote(model, safe='')}/converse"
    return HTTP.post(address, json=body, **{"headers": KEY} | fields)


def turns(*contents: list[Body]) -> Body:
    """Return a conversation that the user begins."""
    return {"messages": [{"role": ("user", "assistant")[at % 2], "content": one} for at, one in enumerate(contents)]}


def chosen(**choice: Any) -> Body:
    """Return a request with a choice of tools."""
    return {"toolConfig": {"tools": [TIDE], "toolChoice": choice}}


def own(**fields: Any) -> Body:
    """Return a request with fields of the model's own."""
    return {"additionalModelRequestFields": fields}


@pytest.mark.parametrize(
    ("body", "model", "words"),
    [
        ({"messages": []}, CLAUDE, "The messages field is required"),
        ({"massages": []}, CLAUDE, "extraneous key [massages] is not permitted"),
        (
            {"messages": [{"role": "system", "content": []}]},
            CLAUDE,
            "Value at 'messages.1.member.role' failed to satisfy constraint: Member must satisfy enum value set",
        ),
        (
            {"messages": [{"role": "user"}]},
            CLAUDE,
            "'messages.1.member.content' failed to satisfy constraint: Member must not",
        ),
        ({"inferenceConfig": {"maxTokens": 0}}, CLAUDE, "Member must have value greater than or equal to 1"),
        ({"inferenceConfig": {"temperature": 1.5}}, CLAUDE, "Member must have value less than or equal to 1"),
        ({"toolConfig": {"tools": []}}, CLAUDE, "Member must have length greater than or equal to 1"),
        (
            {"toolConfig": {"tools": [{"toolSpec": TIDE["toolSpec"] | {"name": "a b"}}]}},
            CLAUDE,
            "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
        ),
        (chosen(any={}, auto={}), CLAUDE, "exactly one member"),
        ({"messages": [{"role": "assistant", "content": [{"text": "Hi."}]}]}, CLAUDE, FIRST),
        ({"messages": [SAID, SAID]}, CLAUDE, ALTERNATE),
        (turns([{"text": " "}]), CLAUDE, "The text field in the ContentBlock object at messages.0.content.0 is blank"),
        (
            turns([{"text": "a", "image": {"format": "png", "source": {"bytes": PNG}}}]),
            CLAUDE,
            "must set one of the following keys",
        ),
        (turns([]), CLAUDE, "The content field in the Message object at messages.0 is empty"),
        (turns([POINT]), CLAUDE, "must follow the content"),
        (turns([USE]) | TOOLS, CLAUDE, "User messages cannot contain tool uses"),
        (turns([{"text": "?"}], [USE], [RESULT]), CLAUDE, NO_TOOLS),
        (
            turns([{"text": "?"}], [USE], [{"text": "?"}]) | TOOLS,
            CLAUDE,
            "Expected toolResult blocks at messages.2.content for the following Ids: t1",
        ),
        (
            turns([{"text": "?"}], [{"text": "!"}], [RESULT]) | TOOLS,
            CLAUDE,
            "exceeds the number of toolUse blocks of previous",
        ),
        (turns([{"text": "?"}], [USE, USE], [RESULT]) | TOOLS, CLAUDE, "contain duplicate Ids: t1, t1"),
        (turns([{"text": "?"}], [USE], [RESULT, {"text": "And?"}]) | TOOLS, LLAMA, MIXED),
        (
            turns([{"text": "?"}], [USE], [{"toolResult": RESULT["toolResult"] | {"content": [], "status": "error"}}])
            | TOOLS,
            CLAUDE,
            "cannot be empty when status value is error",
        ),
        (turns([DOCUMENT]), CLAUDE, DOCUMENT_TEXT),
        (turns([{"text": "Read."}, DOCUMENT, DOCUMENT]), CLAUDE, DUPLICATES),
        (
            turns([{"text": "Read."}, {"document": DOCUMENT["document"] | {"name": "a_b"}}]),
            CLAUDE,
            "can only contain alphanumeric",
        ),
        (
            turns([{"text": "?"}], [THOUGHT, {"text": "!"}], [{"text": "?"}]),
            CLAUDE,
            "Invalid `signature` in `thinking` block",
        ),
        (
            turns([{"text": "?"}], [THOUGHT, {"text": "!"}], [{"text": "?"}]),
            NOVA,
            "doesn't support the reasoningContent field",
        ),
        (
            turns([{"text": "a"}, *[POINT, {"text": "b"}] * 4, POINT]),
            CLAUDE,
            "The maximum number of cachePoint blocks is 4",
        ),
        (turns([{"text": "a"}, POINT, {"text": "b"}, HOUR]), CLAUDE, "must not come after a ttl='5m' block"),
        (turns([{"text": "a"}, HOUR]), NOVA, "does not support the ttl field"),
        (chosen(any={}), LLAMA, "doesn't support the toolConfig.toolChoice.any field"),
        (chosen(tool={"name": "other"}), CLAUDE, "Tool 'other' not found in provided tools"),
        (turns([{"text": "?"}], [{"text": "The"}]), NOVA, "does not support assistant message prefill"),
        (
            {"outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{}"}}}}},
            NOVA,
            "doesn't support the outputConfig.textFormat field",
        ),
        (
            {"inferenceConfig": {"temperature": 0.5, "topP": 0.5}},
            CLAUDE,
            "`temperature` and `top_p` cannot both be specified",
        ),
        ({"inferenceConfig": {"temperature": 0.5}}, NEWER, "`temperature` is deprecated for this model"),
        (
            own(thinking={"type": "enabled", "budget_tokens": 5000}),
            CLAUDE,
            "must be greater than `thinking.budget_tokens`",
        ),
        (own(thinking={"type": "enabled", "budget_tokens": 2000}), NEWER, "is not supported for this model"),
        (
            own(thinking={"type": "enabled", "budget_tokens": 2000}) | {"inferenceConfig": {"temperature": 0}},
            CLAUDE,
            "`temperature` may only be set to 1 when thinking is enabled",
        ),
        (
            own(thinking={"type": "enabled", "budget_tokens": 2000}) | chosen(any={}),
            CLAUDE,
            "when tool_choice forces tool use",
        ),
        (own(min_p=0.5), CLAUDE, "extraneous key [min_p] is not permitted"),
        (own(top_k=5), LLAMA, "extraneous key [top_k] is not permitted"),
        (
            own(reasoningConfig={"type": "enabled", "maxReasoningEffort": "low"}),
            NOVA,
            "extraneous key [reasoningConfig]",
        ),
        (
            own(reasoningConfig={"type": "enabled", "maxReasoningEffort": "high"})
            | {"inferenceConfig": {"maxTokens": 9}},
            NOVA_2,
            "must be unset when maxReasoningEffort is high",
        ),
    ],
)
def test_a_request_is_refused(quiet_lab_url: str, body: Body, model: str, words: str) -> None:
    """Refuse with 400; the header names the error, and the body has its sentence alone."""
    answer = post(quiet_lab_url, {"messages": [SAID]} | body, model)
    assert answer.status_code == 400 and set(answer.json()) == {"message"}
    assert words in answer.json()["message"]
    assert answer.headers["x-amzn-errortype"].startswith("ValidationException:")


def test_wrong_types_and_no_json_are_refused(quiet_lab_url: str) -> None:
    """Refuse what is not of the documented shape."""
    wrong = post(quiet_lab_url, {"messages": 7})
    assert wrong.status_code == 400 and wrong.headers["x-amzn-errortype"].startswith("SerializationException:")
    broken = HTTP.post(f"{quiet_lab_url}/amazon-bedrock/v1/model/m/converse", content=b"{", headers=KEY)
    assert broken.status_code == 400 and "parse" in broken.json()["message"]


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({}, "MissingAuthenticationTokenException"),
        ({"authorization": "Bearer invalid-key"}, "AccessDeniedException"),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=x"}, "IncompleteSignatureException"),
    ],
)
def test_a_request_without_a_valid_key_is_refused(quiet_lab_url: str, headers: dict[str, str], name: str) -> None:
    """Refuse with 403 before the body is read."""
    answer = post(quiet_lab_url, {"messages": []}, headers=headers)
    assert answer.status_code == 403 and answer.headers["x-amzn-errortype"].startswith(f"{name}:")


def test_cache_points_of_other_models_are_refused(quiet_lab_url: str) -> None:
    """Refuse with 403, as AWS does."""
    for model, body in (
        (OSS, turns([{"text": "a"}, POINT])),
        (NOVA, turns([{"text": "a"}]) | {"toolConfig": {"tools": [TIDE, POINT]}}),
    ):
        answer = post(quiet_lab_url, body, model)
        assert answer.status_code == 403 and "did not allow prompt caching" in answer.json()["message"]
