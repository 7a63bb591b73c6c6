"""Test that no body makes the router fail: it is answered, or refused with a sentence."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from router_service.api.skins.responses.parse import READ_FIELDS
from router_service.core.errors import ApiError
from router_service.core.parts import Text
from tests.conftest import Stack
from tests.router_service.api.skins.responses.rendering import HELLO, MODEL, Rendering, answer

WORDS = st.sampled_from(
    [
        "message", "reasoning", "function_call", "function_call_output", "custom_tool_call", "item_reference",
        "web_search_call", "image_generation_call", "additional_tools", "compaction", "input_text", "output_text",
        "input_image", "input_file", "refusal", "user", "assistant", "system", "developer", "function", "custom",
        "namespace", "web_search", "auto", "required", "allowed_tools", "json_schema", "", "call_1", "ptln1_",
        "ptln1_k", "msg_ptln1_kw", "data:image/png;base64,aGk=", "\ud83d", "\u0000",
    ]
)  # fmt: skip
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(max_size=5)
KEYS = st.sampled_from(
    [
        "type", "role", "content", "text", "id", "call_id", "name", "arguments", "input", "output", "summary",
        "encrypted_content", "image_url", "file_data", "result", "tools", "namespace", "format", "schema", "parameters",
        "mode", "effort", "annotations", "phase", "refusal", "function",
    ]
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=15
)
ITEM_FIELDS = (
    "role", "content", "call_id", "name", "arguments", "output", "summary", "tools", "id", "encrypted_content", "phase",
)  # fmt: skip
TEXT_PARTS = st.builds(dict, type=st.sampled_from(["input_text", "output_text", "text"]), text=WORDS)
MESSAGES = st.builds(dict, role=st.sampled_from(["user", "assistant", "system"]), content=WORDS | st.lists(TEXT_PARTS))
CALLS = st.builds(
    dict,
    type=st.sampled_from(
        ["function_call", "function_call_output", "reasoning", "web_search_call", "shell_call_output"]
    ),
    call_id=WORDS,
    name=st.sampled_from(["f", "g"]),
    arguments=WORDS,
    output=WORDS,
    encrypted_content=WORDS,
    id=WORDS,
)
ITEMS = MESSAGES | CALLS | st.fixed_dictionaries({"type": WORDS}, optional=dict.fromkeys(ITEM_FIELDS, VALUES))
FIELDS = sorted({*READ_FIELDS, "unknown", "plugins"} - {"input", "model", "models", "provider"})


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a body with at most two fields besides its input: of more, one is nearly always refused."""
    body: dict[str, Any] = {"input": draw(st.lists(MESSAGES | CALLS, max_size=4) | st.lists(ITEMS) | VALUES)}
    return body | draw(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=2))


def encoded(body: dict[str, Any]) -> bytes:
    """Return ``body`` as JSON, halves of surrogate pairs as escapes."""
    return json.dumps(body).encode()


@settings(max_examples=400, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(bodies())
@example({"input": "\ud83d"})
@example({"input": "hi", "tools": [{"type": "function", "name": "\ud83d"}]})
@example({"input": [{"type": "web_search_call", "id": "ws_ptln1_k", "action": "\ud83d"}]})
def test_any_body_is_a_request_or_an_error_that_says_what_to_change(body: dict[str, Any]) -> None:
    try:
        found = Rendering(HELLO | body)
    except ApiError as error:
        assert 400 <= error.code < 500
        assert len(error.message) > 10
    else:
        assert found.generation.messages or found.generation.instructions
        found.stream(answer(Text(text="Hi")))


@settings(
    max_examples=60,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(bodies(), st.sampled_from([MODEL, "anthropic/claude-sonnet-4.5"]))
def test_the_router_answers_or_refuses_any_body(stack: Stack, body: dict[str, Any], model: str) -> None:
    with stack.client as client:
        found = client.post("/v1/responses", content=encoded(body | {"model": model}))
    assert found.status_code < 500, found.text
    if found.headers["content-type"] == "application/json":
        status = found.json()["status"]
        assert status in ("completed", "incomplete", "failed")
        assert (status == "failed") is (found.status_code >= 400)
        assert "Traceback" not in found.text
