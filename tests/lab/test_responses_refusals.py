"""Test that the lab refuses what OpenAI refuses of the Responses API, with its status, parameter, code and sentence."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest

from tests.lab.scenes import HTTP, PNG, SECOND, marked

USER: dict[str, Any] = {"role": "user", "content": "Hi"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "hoist", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "ok"}
CUSTOM = {"type": "custom_tool_call", "call_id": "call_1", "name": "sail", "input": "x"}
TOOL = {"type": "function", "name": "hoist", "parameters": SECOND, "strict": False}
NOT_STORED = (
    "not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove "
    "this item from your input."
)
FOLLOWING = "was provided without its required following item."
UNSUPPORTED = "is not supported with this model."


def part(**fields: str) -> list[dict[str, Any]]:
    """Return an input with one part of content."""
    return [{"role": "user", "content": [fields]}]


def form(**fields: Any) -> dict[str, Any]:
    """Return a request for a format of the text."""
    return {"text": {"format": fields}}


# Each case: fields of the request, the status, the parameter, the code, the sentence.
CASES: list[tuple[dict[str, Any], int, str | None, str | None, str]] = [
    ({"messages": []}, 400, "messages", "unknown_parameter", "Unknown parameter: 'messages'."),
    ({"stop": ["x"]}, 400, "stop", "unknown_parameter", "Unknown parameter: 'stop'."),
    ({"n": 2}, 400, "n", "unknown_parameter", "Unknown parameter: 'n'."),
    (
        {"max_output_tokens": 15}, 400, "max_output_tokens", "integer_below_min_value",
        "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 15 instead.",
    ),
    (
        {"temperature": 0.5}, 400, "temperature", "unsupported_parameter",
        f"Unsupported parameter: 'temperature' {UNSUPPORTED}",
    ),
    ({"top_p": 0.5}, 400, "top_p", "unsupported_parameter", f"Unsupported parameter: 'top_p' {UNSUPPORTED}"),
    (
        {"reasoning": {"effort": "minimal"}}, 400, "reasoning.effort", "unsupported_value",
        "Unsupported value: 'minimal' is not supported with the 'gpt-5-codex' model. Supported values are: 'low', "
        "'medium', 'high'.",
    ),
    (
        {"model": "gpt-4.1", "reasoning": {"effort": "low"}}, 400, "reasoning.effort", "unsupported_parameter",
        f"Unsupported parameter: 'reasoning.effort' {UNSUPPORTED}",
    ),
    (
        {"model": "gpt-4.1", "include": ["reasoning.encrypted_content"]}, 400, "include", None,
        "Encrypted content is not supported with this model.",
    ),
    (
        {"previous_response_id": "resp_1"}, 400, "previous_response_id", "previous_response_not_found",
        "Previous response with id 'resp_1' not found.",
    ),
    ({"conversation": "conv_1"}, 404, "conversation", None, "Conversation with id 'conv_1' not found."),
    ({"conversation": {"id": "conv_1"}}, 404, "conversation", None, "Conversation with id 'conv_1' not found."),
    (
        {"background": True}, 400, "background", None,
        "The lab serves no responses in the background. Leave background out.",
    ),
    (
        {"stream_options": {"include_obfuscation": False}}, 400, "stream_options", None,
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
    ),
    (
        {"tool_choice": "required"}, 400, "tool_choice", None,
        "Tool choice 'required' must be specified with 'tools' parameter.",
    ),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "name": "sail"}}, 400, "tool_choice", None,
        "Tool choice 'sail' not found in 'tools' parameter.",
    ),
    (
        {"tools": [TOOL | {"parameters": {"type": "array"}}]}, 400, "tools[0].parameters",
        "invalid_function_parameters",
        "Invalid schema for function 'hoist': schema must be a JSON Schema of 'type: \"object\"', got 'type: "
        "\"array\"'.",
    ),
    (
        form(type="json_schema", name="a", schema={"type": "object"}, strict=True), 400, "text.format.schema",
        "invalid_json_schema",
        "Invalid schema for response_format 'a': In context=(), 'additionalProperties' is required to be supplied and "
        "to be false.",
    ),
    (
        form(type="json_object"), 400, "input", None,
        "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.",
    ),
    (
        {"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "Hi"}]}]}, 400,
        "input[0].content[0]", "invalid_value",
        "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.",
    ),
    (
        {"input": [USER, {"type": "message", "id": "x1", "role": "assistant", "content": "Hi"}]}, 400, "input[1].id",
        "invalid_value", "Invalid 'input[1].id': 'x1'. Expected an ID that begins with 'msg'.",
    ),
    (
        {"input": [USER, {"id": "msg_1", "role": "assistant", "content": "Hi"}]}, 404, "input", None,
        f"Item with id 'msg_1' {NOT_STORED}",
    ),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, 404, "input", None, f"Item with id 'msg_1' {NOT_STORED}"),
    (
        {"input": [{"type": "item_reference", "id": "msg_1"}], "store": True}, 404, "input", None,
        "Item with id 'msg_1' not found.",
    ),
    (
        {"input": [USER, {"type": "reasoning", "id": "rs_1", "summary": []}, CALL, RESULT]}, 404, "input", None,
        f"Item with id 'rs_1' {NOT_STORED}",
    ),
    (
        {"input": [{"type": "reasoning", "summary": []}]}, 400, "input[0].id", "missing_required_parameter",
        "Missing required parameter: 'input[0].id'.",
    ),
    (
        {"input": [{"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}, CALL, RESULT]}, 400, None,
        "invalid_encrypted_content",
        "The encrypted content could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
    ),
    ({"input": [USER, RESULT]}, 400, "input", None, "No tool call found for function call output with call_id call_1."),
    ({"input": [USER, CALL]}, 400, "input", None, "No tool output found for function call call_1."),
    (
        {"input": [USER, CUSTOM, RESULT]}, 400, "input", None,
        "No tool call found for function call output with call_id call_1.",
    ),
    ({"input": [USER, CUSTOM]}, 400, "input", None, "No tool output found for custom tool call call_1."),
    (
        {"input": part(type="input_image")}, 400, "input[0].content[0].image_url", "missing_required_parameter",
        "Missing required parameter: 'input[0].content[0].image_url'.",
    ),
    (
        {"input": part(type="input_image", image_url="data:text/plain;base64,aGk=")}, 400,
        "input[0].content[0].image_url", "invalid_value",
        "Invalid image URL: 'input[0].content[0].image_url'. Expected a base64-encoded data URL with an image MIME "
        "type (e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got unsupported MIME type 'text/plain'.",
    ),
    (
        {"input": part(type="input_file", file_data=f"data:application/pdf;base64,{PNG}")}, 400,
        "input[0].content[0].filename", "missing_required_parameter",
        "Missing required parameter: 'input[0].content[0].filename'.",
    ),
    (
        {"input": part(type="input_file", filename="a.pdf", file_data="hello")}, 400,
        "input[0].content[0].file_data", "invalid_value",
        "Invalid 'input[0].content[0].file_data'. Expected a base64-encoded data URL, but got an invalid "
        "base64-encoded value.",
    ),
]  # fmt: skip


def post(url: str, body: dict[str, Any], key: str | None = "Bearer key") -> httpx2.Response:
    """Send a request to the lab's OpenAI."""
    headers = {} if key is None else {"authorization": key}
    sent = {"model": "gpt-5-codex", "input": [USER], "store": False} | body
    return HTTP.post(f"{url}/openai/v1/responses", json=sent, headers=headers)


@pytest.mark.parametrize(
    ("body", "status", "param", "code", "sentence"),
    CASES,
    ids=[f"{at} {case[4][:40]}" for at, case in enumerate(CASES)],
)
def test_refusals(
    quiet_lab_url: str, body: dict[str, Any], status: int, param: str | None, code: str | None, sentence: str
) -> None:
    answer = post(quiet_lab_url, body)
    error = answer.json()["error"]
    assert (error["message"], error["param"], error["code"]) == (sentence, param, code)
    assert (answer.status_code, error["type"]) == (status, "invalid_request_error")


def test_a_key_a_model_and_an_input_are_needed(quiet_lab_url: str) -> None:
    assert post(quiet_lab_url, {}, None).status_code == 401
    for name in ("model", "input"):
        error = post(quiet_lab_url, {name: ""}).json()["error"]
        assert error["message"] == f"Missing required parameter: '{name}'."


def test_media_that_are_taken(quiet_lab_url: str) -> None:
    """Images and files are known by an id, at an address, or come with the request."""
    inline = f"data:application/pdf;base64,{PNG}"
    content = [
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_image", "image_url": "https://harbour.example/a.png"},
        {"type": "input_file", "file_id": "file-1"},
        {"type": "input_file", "file_url": "https://harbour.example/a.pdf"},
        {"type": "input_file", "filename": "a.pdf", "file_data": inline},
    ]
    assert post(quiet_lab_url, {"input": [{"role": "user", "content": content}]}).status_code == 200


@pytest.fixture(scope="module")
def thought(openai_sdk: openai.OpenAI) -> list[dict[str, Any]]:
    """Return an input whose reasoning, two calls and results are in order."""
    asked: Any = {"include": ["reasoning.encrypted_content"], "reasoning": {"effort": "low"}, "tools": [TOOL]}
    found = openai_sdk.responses.create(model="gpt-5-codex", input=marked("parallel_tools"), store=False, **asked)
    made = [item.model_dump(exclude_none=True) for item in found.output]
    assert [item["type"] for item in made] == ["reasoning", "function_call", "function_call"]
    results = [RESULT | {"call_id": item["call_id"]} for item in made[1:]]
    return [USER, *made, *results]


def refusal(url: str, items: list[dict[str, Any]], **fields: Any) -> str | None:
    """Return the sentence that refuses ``items``, ``None`` where they are taken."""
    answer = post(url, {"input": items} | fields)
    return None if answer.status_code == 200 else str(answer.json()["error"]["message"])


def test_reasoning_needs_its_follower_and_the_other_way_round(
    quiet_lab_url: str, thought: list[dict[str, Any]]
) -> None:
    user, reasoning, first, second, *results = thought
    bare = {name: value for name, value in reasoning.items() if name != "id"}
    calls = [{name: value for name, value in call.items() if name != "id"} for call in (first, second)]
    assert refusal(quiet_lab_url, thought) is None
    assert refusal(quiet_lab_url, [user, bare, *calls, *results]) is None
    assert refusal(quiet_lab_url, [user, *calls, *results]) is None
    without = f"Item '{reasoning['id']}' of type 'reasoning' {FOLLOWING}"
    assert refusal(quiet_lab_url, [user, reasoning]) == without
    assert refusal(quiet_lab_url, [reasoning, user, first, second, *results]) == without
    assert refusal(quiet_lab_url, [user, reasoning, *calls, *results]) == without
    assert FOLLOWING in (refusal(quiet_lab_url, [user, bare]) or "")
    for alone in ([user, first, second, *results], [user, bare, first, second, *results]):
        assert "without its required 'reasoning' item: 'rs_" in (refusal(quiet_lab_url, alone) or "")
    twice = [*thought[:2], first, first, second, *results]
    assert "Duplicate item found" in (refusal(quiet_lab_url, twice) or "")
    items_at = refusal(quiet_lab_url, thought, model="gpt-4.1")
    assert items_at is not None and items_at.startswith("Reasoning input items can only be provided")
