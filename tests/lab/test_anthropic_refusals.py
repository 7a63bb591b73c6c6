"""Test that the lab refuses what Anthropic refuses, with its status, type and sentence."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2
import pytest

from lab.server import Lab, create_app
from lab.signatures import Signatures
from tests.conftest import serving
from tests.lab.scenes import HTTP, PNG, SECOND, marked, message_tool

USER: dict[str, Any] = {"role": "user", "content": "Hi"}
TOOL = message_tool("hoist", SECOND)
THINKING = {"type": "enabled", "budget_tokens": 1024}
MARK = {"type": "ephemeral"}
CONSULT = "Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
RULES = f"{CONSULT}#important-considerations-when-using-extended-thinking"
EMPTY = "all messages must have non-empty content except for the optional final assistant message"
# The lab of the tests has the default seed; this one is another account.
OWN, FOREIGN = Signatures(7), Signatures(8)


def text(words: str, **more: Any) -> dict[str, Any]:
    """Return a text block."""
    return {"type": "text", "text": words} | more


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    """Return a turn of the user."""
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: dict[str, Any]) -> dict[str, Any]:
    """Return a turn of the assistant."""
    return {"role": "assistant", "content": list(blocks)}


def call(number: str = "toolu_1") -> dict[str, Any]:
    """Return a call of the tool."""
    return {"type": "tool_use", "id": number, "name": "hoist", "input": {}}


def result(number: str = "toolu_1", **more: Any) -> dict[str, Any]:
    """Return the result of a call."""
    return {"type": "tool_result", "tool_use_id": number, "content": "ok"} | more


def thought(words: str = "Hm", signature: str | None = None) -> dict[str, Any]:
    """Return a thinking block with a valid signature, unless there is another."""
    return {"type": "thinking", "thinking": words, "signature": signature or OWN.sign_thinking(words)}


def picture(**source: Any) -> dict[str, Any]:
    """Return an image block."""
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG} | source}


def unanswered(index: int, *ids: str) -> str:
    """Return the sentence for calls without results."""
    return (
        f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(ids)}. "
        "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    )


def unexpected(where: str, number: str) -> str:
    """Return the sentence for a result without a call."""
    return (
        f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {number}. Each `tool_result` "
        f"block must have "
        "a corresponding `tool_use` block in the previous message."
    )


def unthinking(where: str, found: str) -> str:
    """Return the sentence for a last turn without thinking."""
    return (
        f"{where}.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is enabled, a "
        "final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and "
        "`tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid "
        "this requirement, "
        f"disable `thinking`. {CONSULT}"
    )


SIGNATURE = "messages.1.content.0: Invalid `signature` in `thinking` block"
REDACTED = "messages.1.content.0: Invalid `data` in `redacted_thinking` block"
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
PAGE = {"type": "web_search_result", "title": "t", "url": "https://a.example", "encrypted_content": "xyz"}

# Each case: fields of the request, the sentence.
CASES: list[tuple[dict[str, Any], str]] = [
    ({"reasoning": {}}, "reasoning: Extra inputs are not permitted"),
    ({"n": 1}, "n: Extra inputs are not permitted"),
    ({"messages": [USER | {"name": "x"}]}, "messages.0.name: Extra inputs are not permitted"),
    ({"messages": [user(text("Hi", x=1))]}, "messages.0.content.0.text.x: Extra inputs are not permitted"),
    ({"messages": [user(text("Hi", cache_control=MARK | {"scope": "all"}))]},
     "messages.0.content.0.text.cache_control.ephemeral.scope: Extra inputs are not permitted"),
    ({"system": [text("Hi", x=1)]}, "system.0.x: Extra inputs are not permitted"),
    ({"max_tokens": None}, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
    ({"messages": []}, "messages: at least one message is required"),
    ({"messages": "Hi"}, "messages: Input should be a valid list"),
    ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content: Input should be a valid list"),
    ({"messages": [user({"text": "Hi"})]}, "messages.0.content.0.type: Field required"),
    ({"messages": [USER, {"role": "tool", "content": "ok"}]},
     'messages: Unexpected role "tool". Allowed roles are "user" or "assistant". For instructions on how to use tools, '
     "see https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview"),
    ({"messages": [{"role": "assistant", "content": "Hi"}, USER]}, 'messages: first message must use the "user" role'),
    ({"messages": [USER, {"role": "assistant", "content": "Ho"}, {"role": "system", "content": "Be brief"}, USER]},
     "messages.2: role 'system' must follow a 'user' message or an 'assistant' message ending in a server tool result; "
     "the directive-only form (content: [] with output_config) is accepted at any position"),
    ({"messages": [USER, {"role": "system", "content": "Be brief"}, USER]},
     "messages.1: role 'system' must precede an 'assistant' message or end the array; the "
     "directive-only form (content: "
     "[] with output_config) is accepted at any position"),
    ({"messages": [user(text(""))]}, "messages: text content blocks must be non-empty"),
    ({"messages": [user(text("Hi"), text(" \n"))]}, "messages: text content blocks must contain non-whitespace text"),
    ({"messages": [{"role": "user", "content": "  "}]},
     "messages: text content blocks must contain non-whitespace text"),
    ({"messages": [user(text("", cache_control=MARK))]},
     "messages.0.content.0.text: cache_control cannot be set for empty text blocks"),
    ({"messages": [{"role": "user", "content": ""}]}, f"messages.0: {EMPTY}"),
    ({"messages": [USER, assistant(), USER]}, f"messages.1: {EMPTY}"),
    ({"messages": [USER, {"role": "assistant", "content": "Ho "}]},
     "messages: final assistant content cannot end with trailing whitespace"),
    ({"messages": [USER, assistant(text("\n\n"))]},
     "messages: final assistant content cannot end with trailing whitespace"),
    ({"messages": [USER, assistant(call("call/1")), user(result("call/1"))]},
     "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"),
    ({"messages": [USER, assistant(call()), USER]}, unanswered(1, "toolu_1")),
    ({"messages": [USER, assistant(call())]}, unanswered(1, "toolu_1")),
    ({"messages": [USER, assistant(call(), call("toolu_2")), user(result())]}, unanswered(1, "toolu_2")),
    ({"messages": [USER, assistant(call()), user(text("Look"), result())]}, unanswered(1, "toolu_1")),
    ({"messages": [USER, assistant(call(), call()), user(result())]},
     "messages.1.content.0: `tool_use` ids must be unique"),
    ({"messages": [user(result())]}, unexpected("messages.0.content.0", "toolu_1")),
    ({"messages": [USER, assistant(call()), user(result(), result("toolu_9"))]},
     unexpected("messages.2.content.1", "toolu_9")),
    ({"messages": [USER, assistant(call()), user(result(), result())]},
     "messages.2.content.1: each tool_use must have a single result. Found multiple `tool_result` "
     "blocks with id: toolu_1"),
    ({"messages": [USER, assistant({"type": "tool_use", "id": "toolu_1", "name": "hoist", "input": "{}"})]},
     "messages.1.content.0.tool_use.input: Input should be a valid dictionary"),
    ({"messages": [USER, assistant(SEARCH), USER]},
     "messages.1: `web_search` tool use with id `srvtoolu_1` was found without a corresponding "
     "`web_search_tool_result` "
     "block"),
    ({"messages": [USER, assistant(FOUND), USER]},
     "messages.1.content.0: unexpected `tool_use_id` found in `web_search_tool_result` blocks: srvtoolu_1. Each "
     "`web_search_tool_result` block must have a corresponding `server_tool_use` block before it."),
    ({"messages": [USER, assistant(SEARCH, FOUND | {"content": [PAGE]}), USER]},
     "messages.1.content.1.web_search_tool_result.content.0: Invalid `encrypted_content` in `search_result` block"),
    ({"messages": [USER, assistant({"type": "thinking", "thinking": "Hm"}), USER]},
     "messages.1.content.0.thinking.signature: Field required"),
    ({"messages": [USER, assistant(thought("Hm") | {"signature": ""}), USER]}, SIGNATURE),
    ({"messages": [USER, assistant(thought("Hm") | {"thinking": "Hm!"}), USER]}, SIGNATURE),
    ({"messages": [USER, assistant(thought("Hm", FOREIGN.sign_thinking("Hm"))), USER]}, SIGNATURE),
    ({"messages": [USER, assistant({"type": "redacted_thinking", "data": FOREIGN.redact("Hm")}), USER]}, REDACTED),
    ({"messages": [USER, assistant({"type": "redacted_thinking", "data": "Ωμ"}), USER]}, REDACTED),
    ({"thinking": {"type": "enabled", "budget_tokens": 512}},
     "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"),
    ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
    ({"thinking": {"type": "enabled", "budget_tokens": 2048}},
     f"`max_tokens` must be greater than `thinking.budget_tokens`. {CONSULT}#max-tokens-and-context-window-size"),
    ({"thinking": THINKING, "temperature": 0.5},
     f"`temperature` may only be set to 1 when thinking is enabled. {RULES}"),
    ({"thinking": {"type": "adaptive"}, "temperature": 0},
     f"`temperature` may only be set to 1 when thinking is enabled or in adaptive mode. {RULES}"),
    ({"thinking": THINKING, "top_p": 0.9},
     f"`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled. {RULES}"),
    ({"thinking": THINKING, "top_k": 5}, f"`top_k` must be unset when thinking is enabled. {RULES}"),
    ({"thinking": THINKING, "tools": [TOOL], "tool_choice": {"type": "any"}},
     "Thinking may not be enabled when tool_choice forces tool use."),
    ({"thinking": THINKING, "tools": [TOOL], "tool_choice": {"type": "tool", "name": "hoist"}},
     "Thinking may not be enabled when tool_choice forces tool use."),
    ({"thinking": THINKING, "messages": [USER, assistant(call()), user(result())]},
     unthinking("messages.1.content.0", "tool_use")),
    ({"thinking": THINKING, "messages": [USER, assistant(text("Hm"), call()), user(result())]},
     unthinking("messages.1.content.0", "text")),
    ({"thinking": THINKING, "messages": [USER, {"role": "assistant", "content": "The"}]},
     unthinking("messages.1.content.0", "text")),
    ({"temperature": 1.5}, "temperature: range: 0..1"),
    ({"temperature": -1}, "temperature: range: 0..1"),
    ({"top_p": 2}, "top_p: range: 0..1"),
    ({"temperature": "hot"}, "temperature: Input should be a valid number"),
    ({"model": "claude-sonnet-4-5", "temperature": 0.5, "top_p": 0.5},
     "`temperature` and `top_p` cannot both be specified for this model. Please use only one."),
    ({"stop_sequences": ["END", "\n\n"]}, "stop_sequences: each stop sequence must contain non-whitespace"),
    ({"stop_sequences": "END"}, "stop_sequences: Input should be a valid list"),
    ({"system": [text(f"{number}", cache_control=MARK) for number in range(3)],
      "messages": [user(text("a", cache_control=MARK), text("b", cache_control=MARK))]},
     "A maximum of 4 blocks with cache_control may be provided. Found 5."),
    ({"messages": [user(text("Hi", cache_control=MARK | {"ttl": "2h"}))]},
     "messages.0.content.0.text.cache_control.ephemeral.ttl: Input should be '5m' or '1h'"),
    ({"messages": [user(picture(media_type="image/bmp"))]},
     "messages.0.content.0.image.source.base64.media_type: Input "
     "should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"),
    ({"messages": [USER, assistant(call()), user(result(content=[picture(media_type="image/bmp")]))]},
     "messages.2.content.0.tool_result.content.0.image.source.base64.media_type: Input should be 'image/jpeg', "
     "'image/png', 'image/gif' or 'image/webp'"),
    ({"messages": [user(picture(data="*not*base64*"))]},
     "messages.0.content.0.image.source.base64: invalid base64 data"),
    ({"tools": [{"name": "hoist"}]}, "tools.0.custom.input_schema: Field required"),
    ({"tools": [message_tool("find port", SECOND)]},
     "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"),
    ({"tools": [message_tool("hoist", {"type": "string"})]},
     "tools.0.custom.input_schema.type: Input should be 'object'"),
    ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique."),
    ({"tool_choice": {"type": "auto"}}, "tool_choice may only be specified while providing tools."),
    ({"tools": [TOOL], "tool_choice": {"type": "required"}},
     "tool_choice: Input tag 'required' found using 'type' does "
     "not match any of the expected tags: 'auto', 'any', 'tool', 'none'"),
    ({"service_tier": "priority"}, "service_tier: Input should be 'auto' or 'standard_only'"),
]  # fmt: skip


def post(url: str, body: Any, provider: str = "anthropic", path: str = "messages", **headers: str) -> httpx2.Response:
    """Send ``body`` as a messages request of the older API version, which has sampling parameters."""
    sent = {"x-api-key": "key", "anthropic-version": "2023-06-01"} | headers
    sent = {name: value for name, value in sent.items() if value}
    return HTTP.post(f"{url}/{provider}/v1/{path}", json=body, headers=sent)


def body_with(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a valid request with other ``fields``."""
    return {"model": "claude-lab", "max_tokens": 2048, "messages": [USER]} | fields


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("fields", "message"), CASES)
def test_a_refusal_is_anthropics(quiet_lab_url: str, stream: bool, fields: dict[str, Any], message: str) -> None:
    answer = post(quiet_lab_url, body_with(fields | {"stream": stream}))
    found = answer.json()
    assert found["error"] == {"type": "invalid_request_error", "message": message}
    assert answer.status_code == 400 and found["type"] == "error"
    assert answer.headers["request-id"] == found["request_id"]


def test_required_fields_are_named(quiet_lab_url: str) -> None:
    for name in ("max_tokens", "messages"):
        body = {key: value for key, value in body_with({}).items() if key != name}
        assert post(quiet_lab_url, body).json()["error"]["message"] == f"{name}: Field required"


@pytest.mark.parametrize(
    ("headers", "status", "kind", "message"),
    [
        ({"x-api-key": ""}, 401, "authentication_error", "x-api-key header is required"),
        ({"anthropic-version": ""}, 400, "invalid_request_error", "anthropic-version: header is required"),
        ({"anthropic-version": "2020-01-01"}, 400, "invalid_request_error",
         'anthropic-version: "2020-01-01" is not a valid version'),
    ],
)  # fmt: skip
def test_headers_are_required(
    quiet_lab_url: str, headers: dict[str, str], status: int, kind: str, message: str
) -> None:
    answer = post(quiet_lab_url, body_with({}), **headers)
    assert answer.status_code == status
    assert answer.json()["error"] == {"type": kind, "message": message}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"temperature": 1}, "temperature: Extra inputs are not permitted"),
        ({"top_k": 1}, "top_k: Extra inputs are not permitted"),
        (
            {
                "messages": [
                    USER,
                    assistant(
                        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a"}}
                    ),
                    USER,
                ]
            },
            "messages.1.content.0: `document` blocks are not permitted in `assistant` messages",
        ),
        (
            {"messages": [user(text("Hi", citations=[{"type": "char_location"}]))]},
            "messages.0.content.0: `citations` are not permitted in `user` messages",
        ),
    ],
)
def test_the_newer_version_refuses_more(quiet_lab_url: str, fields: dict[str, Any], says: str) -> None:
    newer = post(quiet_lab_url, body_with(fields), **{"anthropic-version": "2026-10-21"})
    assert newer.status_code == 400 and newer.json()["error"]["message"] == says
    assert post(quiet_lab_url, body_with(fields)).status_code == 200


def test_the_client_raises_the_refusal(anthropic_sdk: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="x: Extra inputs are not permitted"):
        anthropic_sdk.messages.create(
            model="claude-lab", max_tokens=5, messages=[{"role": "user", "content": "Hi"}], extra_body={"x": 1}
        )
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: Extra inputs are not permitted"):
        anthropic_sdk.messages.count_tokens(
            model="claude-lab", messages=[{"role": "user", "content": "Hi"}], extra_body={"max_tokens": 1}
        )


def test_thinking_of_another_lab_is_foreign(quiet_lab_url: str) -> None:
    ask = {"messages": [{"role": "user", "content": marked("redacted")}], "thinking": THINKING}
    with serving(create_app(Lab(seed=8, time_scale=0.0, faults=False))) as other_url:
        content = post(other_url, body_with(ask)).json()["content"]
        turns = [USER, {"role": "assistant", "content": content}, USER]
        assert post(other_url, body_with({"messages": turns})).status_code == 200
    refused = post(quiet_lab_url, body_with({"messages": turns}))
    assert refused.json()["error"]["message"] == SIGNATURE


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [USER, USER, {"role": "assistant", "content": ""}]},
        {"messages": [USER, {"role": "assistant", "content": "The"}]},
        {"messages": [USER, assistant(thought(), call()), user(result(), text("Go on"))], "thinking": THINKING},
        {"messages": [USER, assistant(call()), user(result()), USER], "thinking": THINKING},
        {
            "messages": [USER, assistant(thought(), call()), user(result()), assistant(call("b")), user(result("b"))],
            "thinking": THINKING,
        },
        {"messages": [USER, {"role": "system", "content": "Be brief"}]},
        {"thinking": THINKING, "temperature": 1, "top_p": 0.95},
        {"thinking": {"type": "adaptive"}, "messages": [USER, assistant(call()), user(result())]},
        {
            "system": [text("Be brief", cache_control=MARK | {"ttl": "1h"})], "tools": [TOOL],
            "metadata": {"user_id": "u"},
            "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}, "stop_sequences": ["END"], "top_k": 5,
            "service_tier": "auto", "output_config": {"effort": "low"}, "temperature": 0, "cache_control": None,
        },
        {"messages": [user(picture(), {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}})]},
    ],
)  # fmt: skip
def test_valid_requests_are_taken(quiet_lab_url: str, fields: dict[str, Any]) -> None:
    answer = post(quiet_lab_url, body_with(fields))
    assert answer.status_code == 200, answer.text


def test_a_beta_header_allows_its_fields(quiet_lab_url: str) -> None:
    fields = {"context_management": {"edits": []}}
    refused = post(quiet_lab_url, body_with(fields)).json()["error"]["message"]
    assert refused == "context_management: Extra inputs are not permitted"
    beta = {"anthropic-beta": "context-management-2025-06-27"}
    assert post(quiet_lab_url, body_with(fields), **beta).status_code == 200
