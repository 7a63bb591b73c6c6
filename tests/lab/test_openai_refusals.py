"""Test that the lab refuses what OpenAI refuses, with its status, type, parameter, code and sentence."""

from __future__ import annotations

from typing import Any

import httpx2
import openai
import pytest

from tests.lab.scenes import HTTP, PNG, SECOND, chat_tool

USER: dict[str, Any] = {"role": "user", "content": "Hi"}
FUNCTION = {"name": "hoist", "arguments": "{}"}
CALLS = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": FUNCTION},
        {"id": "call_2", "type": "function", "function": FUNCTION},
    ],
}
ONE, TWO = ({"role": "tool", "tool_call_id": f"call_{number}", "content": "ok"} for number in (1, 2))
TOOL = chat_tool("hoist", SECOND)
ORPHAN = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
UNANSWERED = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The "
    "following tool_call_ids did not have response messages: "
)
MIME = (
    "Expected a base64-encoded data URL with an image MIME type (e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), "
    "but got"
)
URL = "messages[0].content[0].image_url.url"
ATTACHED = "messages[0].content[0].file"
INLINE_PDF = (
    "Expected a base64-encoded data URL with an application/pdf MIME type (e.g. "
    "'data:application/pdf;base64,SGVsbG8sIFdvcmxkIQ=='), but got an invalid base64-encoded value."
)


def attached(**file: str) -> list[dict[str, Any]]:
    """Return messages with a file."""
    return [{"role": "user", "content": [{"type": "file", "file": file}]}]


def image(url: str) -> list[dict[str, Any]]:
    """Return messages with an image at ``url``."""
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def schema_format(**schema: Any) -> dict[str, Any]:
    """Return a response format with these fields of ``json_schema``."""
    return {"type": "json_schema", "json_schema": schema}


# Each case: fields of the request, the parameter, the code, the sentence.
LONG = {"id": "c" * 41, "type": "function", "function": {"name": "hoist", "arguments": "{}"}}
CASES: list[tuple[dict[str, Any], str | None, str | None, str]] = [
    ({"reasoning": {}}, "reasoning", "unknown_parameter", "Unknown parameter: 'reasoning'."),
    ({"top_k": 4}, "top_k", "unknown_parameter", "Unknown parameter: 'top_k'."),
    (
        {"messages": [USER, {"role": "assistant", "content": "Hi", "reasoning_content": "x"}, USER]},
        "messages[1].reasoning_content",
        "unknown_parameter",
        "Unknown parameter: 'messages[1].reasoning_content'.",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {}}]}]},
        "messages[0].content[0].cache_control",
        "unknown_parameter",
        "Unknown parameter: 'messages[0].content[0].cache_control'.",
    ),
    ({"messages": None}, "messages", "invalid_type",
     "Invalid type for 'messages': expected an array of objects, but got null instead."),
    ({"messages": []}, "messages", "empty_array",
     "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter",
     "Missing required parameter: 'messages[0].content'."),
    ({"messages": [{"content": "Hi"}]}, "messages[0].role", "missing_required_parameter",
     "Missing required parameter: 'messages[0].role'."),
    ({"messages": [{"role": "captain", "content": "Hi"}]}, "messages[0].role", "invalid_value",
     "Invalid value: 'captain'. Supported values are: 'system', 'developer', 'user', 'assistant', 'tool', and "
     "'function'."),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content", "invalid_type",
     "Invalid type for 'messages[0].content': expected one of a string or array of objects, but got "
     "an integer instead."),
    ({"messages": [{"role": "user", "content": None}]}, "messages.[0].content", None,
     "Invalid value for 'content': expected a string, got null."),
    ({"messages": [USER, {"role": "assistant", "content": None}]}, "messages.[1].content", None,
     "Invalid value for 'content': expected a string, got null."),
    ({"messages": [USER, {"role": "assistant", "content": "Hi", "tool_calls": []}]}, "messages[1].tool_calls",
     "empty_array", "Invalid 'messages[1].tool_calls': empty array. Expected an array with minimum length 1, but got "
     "an empty array instead."),
    ({"messages": [USER, ONE]}, "messages.[1].role", None, ORPHAN),
    ({"messages": [USER, CALLS, ONE, TWO, USER, ONE]}, "messages.[5].role", None, ORPHAN),
    ({"messages": [USER, CALLS, ONE, USER]}, "messages.[3].role", None, UNANSWERED + "call_2"),
    ({"messages": [USER, CALLS]}, "messages.[1].role", None, UNANSWERED + "call_1, call_2"),
    ({"messages": [USER, CALLS, ONE | {"tool_call_id": "call_3"}]}, "messages.[2].tool_call_id", None,
     "Invalid parameter: 'tool_call_id' of 'call_3' not found in 'tool_calls' of previous message."),
    ({"messages": [USER, CALLS, {"role": "tool", "content": "ok"}]}, "messages.[2].tool_call_id", None,
     "Missing parameter 'tool_call_id': messages with role 'tool' must have a 'tool_call_id'."),
    ({"temperature": 3}, "temperature", "decimal_above_max_value",
     "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead."),
    ({"temperature": -0.5}, "temperature", "decimal_below_min_value",
     "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -0.5 instead."),
    ({"temperature": "hot"}, "temperature", "invalid_type",
     "Invalid type for 'temperature': expected a decimal, but got a string instead."),
    ({"top_p": 1.5}, "top_p", "decimal_above_max_value",
     "Invalid 'top_p': decimal above maximum value. Expected a value <= 1, but got 1.5 instead."),
    ({"presence_penalty": -3}, "presence_penalty", "decimal_below_min_value",
     "Invalid 'presence_penalty': decimal below minimum value. Expected a value >= -2, but got -3 instead."),
    ({"n": 0}, "n", "integer_below_min_value",
     "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead."),
    ({"n": 129}, "n", "integer_above_max_value",
     "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead."),
    ({"max_tokens": 0}, "max_tokens", "integer_below_min_value",
     "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead."),
    ({"max_tokens": 1.5}, "max_tokens", "invalid_type",
     "Invalid type for 'max_tokens': expected an integer, but got a decimal instead."),
    ({"logprobs": 1}, "logprobs", "invalid_type",
     "Invalid type for 'logprobs': expected a boolean, but got an integer instead."),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "integer_above_max_value",
     "Invalid 'top_logprobs': integer above maximum value. Expected a value <= 20, but got 21 instead."),
    ({"top_logprobs": 2}, "top_logprobs", None,
     "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "array_above_max_length",
     "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5 "
     "instead."),
    ({"stream_options": {"include_usage": True}}, "stream_options", None,
     "The 'stream_options' parameter is only allowed when 'stream' is enabled."),
    ({"tool_choice": "auto"}, "tool_choice", None,
     "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."),
    ({"parallel_tool_calls": False}, "parallel_tool_calls", None,
     "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when 'tools' are specified."),
    ({"tools": []}, "tools", "empty_array",
     "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead."),
    ({"tools": [{"type": "function", "function": {"parameters": SECOND}}]}, "tools[0].function.name",
     "missing_required_parameter", "Missing required parameter: 'tools[0].function.name'."),
    ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter",
     "Missing required parameter: 'tools[0].function'."),
    ({"tools": [chat_tool("find port", SECOND)]}, "tools[0].function.name", "invalid_value",
     "Invalid 'tools[0].function.name': string does not match pattern. Expected a string that matches the pattern "
     "'^[a-zA-Z0-9_-]+$'."),
    ({"tools": [chat_tool("x" * 65, SECOND)]}, "tools[0].function.name", "string_above_max_length",
     "Invalid 'tools[0].function.name': string too long. Expected a string with maximum length 64, but got a string "
     "with length 65 instead."),
    ({"messages": [USER, {"role": "assistant", "tool_calls": [LONG]}]}, "messages[1].tool_calls[0].id",
     "string_above_max_length", "Invalid 'messages[1].tool_calls[0].id': string too long. Expected a string with "
     "maximum length 40, but got a string with length 41 instead."),
    ({"tools": [chat_tool("hoist", {"type": "string"})]}, "tools[0].function.parameters",
     "invalid_function_parameters", "Invalid schema for function 'hoist': schema must be a JSON Schema of 'type: "
     "\"object\"', got 'type: \"string\"'."),
    ({"tools": [{"type": "function", "function": {"name": "hoist", "strict": True, "parameters": SECOND}}]},
     "tools[0].function.parameters", "invalid_function_parameters", "Invalid schema for function 'hoist': In "
     "context=(), 'additionalProperties' is required to be supplied and to be false."),
    ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice", "invalid_value",
     "Invalid value: 'any'. Supported values are: 'none', 'auto', and 'required'."),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter",
     "Missing required parameter: 'response_format.json_schema'."),
    ({"response_format": schema_format(schema={"type": "object"})}, "response_format.json_schema.name",
     "missing_required_parameter", "Missing required parameter: 'response_format.json_schema.name'."),
    ({"response_format": {"type": "json_object"}}, "messages", None,
     "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."),
    ({"messages": image(f"data:application/pdf;base64,{PNG}")}, URL, "invalid_value",
     f"Invalid image URL: '{URL}'. {MIME} unsupported MIME type 'application/pdf'."),
    ({"messages": image("data:image/png;base64,*not*base64*")}, URL, "invalid_value",
     f"Invalid '{URL}'. {MIME} an invalid base64-encoded value."),
    ({"messages": image("file:///etc/passwd")}, URL, "invalid_value",
     f"Invalid '{URL}'. Expected a valid URL, but got a value with an invalid format."),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "https://a.example/b.png"}]}]},
     "messages[0].content[0].image_url", "invalid_type", "Invalid type for 'messages[0].content[0].image_url': "
     "expected an object, but got a string instead."),
    ({"messages": attached(file_data=f"data:application/pdf;base64,{PNG}")}, f"{ATTACHED}.file_id",
     "missing_required_parameter", f"Missing required parameter: '{ATTACHED}.file_id'."),
    ({"messages": attached(file_data="https://a.example/b.pdf", filename="b.pdf")}, f"{ATTACHED}.file_data",
     "invalid_value", f"Invalid file data: '{ATTACHED}.file_data'. {INLINE_PDF}"),
    ({"reasoning_effort": "extreme"}, "reasoning_effort", "invalid_value",
     "Invalid value: 'extreme'. Supported values are: 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and "
     "'max'."),
]  # fmt: skip


def post(url: str, body: Any, provider: str = "openai", **headers: str) -> httpx2.Response:
    """Send ``body`` as a chat completions request."""
    sent = {"authorization": "Bearer key"} | headers
    return HTTP.post(f"{url}/{provider}/v1/chat/completions", json=body, headers=sent)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("fields", "param", "code", "message"), CASES)
def test_a_refusal_is_openais(
    quiet_lab_url: str, stream: bool, fields: dict[str, Any], param: str | None, code: str | None, message: str
) -> None:
    if stream and "stream_options" in fields:
        pytest.skip("streams may have stream options")
    body = {"model": "gpt-lab", "messages": [USER]} | fields | ({"stream": True} if stream else {})
    answer = post(quiet_lab_url, body)
    assert answer.status_code == 400
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    assert answer.json() == {"error": error}
    assert answer.headers["x-request-id"].startswith("req_")


def test_messages_and_model_are_required(quiet_lab_url: str) -> None:
    missing = post(quiet_lab_url, {"model": "gpt-lab"}).json()["error"]
    assert missing["message"] == "Missing required parameter: 'messages'."
    assert post(quiet_lab_url, {"messages": [USER]}).json()["error"]["message"] == "you must provide a model parameter"


def test_a_key_is_required(quiet_lab_url: str) -> None:
    answer = post(quiet_lab_url, {"model": "gpt-lab", "messages": [USER]}, authorization="")
    assert answer.status_code == 401
    assert answer.json()["error"]["message"].startswith("You didn't provide an API key.")
    key = {"authorization": "", "api-key": "key"}
    assert post(quiet_lab_url, {"model": "gpt-lab", "messages": [USER]}, "azure", **key).status_code == 200


def test_the_client_raises_the_refusal(openai_sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        openai_sdk.chat.completions.create(
            model="gpt-lab", messages=[{"role": "user", "content": "Hi"}], extra_body={"min_p": 0.1}
        )
    assert (caught.value.param, caught.value.code) == ("min_p", "unknown_parameter")


def test_every_documented_parameter_is_taken(quiet_lab_url: str) -> None:
    body = {
        "model": "gpt-lab",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief"}], "name": "crew"},
            {"role": "developer", "content": "Speak json"},
            USER,
            CALLS | {"refusal": None, "audio": None, "function_call": None, "annotations": []},
            TWO,
            ONE | {"content": [{"type": "text", "text": "ok"}]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]},
            *image(f"data:image/png;base64,{PNG}"),
            *image("https://harbour.example/a.png"),
        ],
        "frequency_penalty": 0.1, "presence_penalty": -0.1, "logit_bias": {"50256": -100}, "logprobs": True,
        "top_logprobs": 0, "max_completion_tokens": 50, "metadata": {"a": "b"}, "modalities": ["text"], "n": 1,
        "parallel_tool_calls": True, "prompt_cache_key": "k", "prompt_cache_retention": "24h",
        "reasoning_effort": "low", "response_format": {"type": "json_object"}, "safety_identifier": "s", "seed": 7,
        "service_tier": "auto", "stop": "END", "store": False, "stream": False, "temperature": 0, "top_p": 1,
        "tools": [TOOL, {"type": "custom", "custom": {"name": "log", "format": {"type": "text"}}}],
        "tool_choice": "auto", "user": "u", "verbosity": "low", "web_search_options": {},
    }  # fmt: skip
    answer = post(quiet_lab_url, body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["service_tier"] == "default"
