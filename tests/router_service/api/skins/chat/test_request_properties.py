"""Test what holds for every chat body, however odd its fields: a request for each provider, or a named refusal."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from data.catalogue.types import Catalogue
from router_service.api.skins.chat.endpoint import ChatEndpoint
from router_service.core.errors import ApiError
from router_service.providers.formats import FORMATS
from tests.exchanges import exchange_of
from tests.router_service.providers.formats.parameter_cases import endpoint_for

EXAMPLES, MANY = 2_000, 50_000
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
DIALECTS = (
    "acme", "alibaba", "cerebras", "deepseek", "fireworks-ai", "groq", "minimax", "mistral", "moonshotai", "ollama",
    "openai", "openrouter", "perplexity", "vllm", "xai", "zai",
)  # fmt: skip
PLACES = [
    *(endpoint_for("openai_chat", name, "model") for name in DIALECTS),
    endpoint_for("anthropic_messages", "anthropic", "claude-sonnet-4-5"),
]
EMPTY = Catalogue("empty", {}, {}, {}, {})
WORDS = st.sampled_from(
    [
        "", " ", "x", "\ud83d", "\u65e5\u672c", "text", "user", "assistant", "system", "developer", "tool", "function",
        "auto", "none", "required", "high", "json_object", "json_schema", "image_url", "data:image/png;base64,iVBO",
        "https://a.example/x.png", "ephemeral", "{", '{"a": 1}', "reasoning.text", "f", "custom", "call_1", "web",
        "response-healing", "\n\n", "ptln1_kw",
    ]
)  # fmt: skip
NUMBERS = st.sampled_from([0, 1, -1, 0.5, 2.5, 64, 32_000, 2**31, 2**63, 2**64, 10**30, 1e308])
KEYS = st.sampled_from(
    [
        "type", "text", "content", "role", "name", "id", "function", "arguments", "parameters", "schema", "strict",
        "image_url", "url", "data", "format", "index", "effort", "max_tokens", "enabled", "exclude", "json_schema",
        "properties", "items", "required", "$ref", "cache_control", "ttl", "input_audio", "file", "signature",
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | WORDS | NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=5,
)
PARTS = st.fixed_dictionaries({"type": WORDS}, optional={"text": WORDS, "image_url": VALUES, "cache_control": VALUES})
CALLS = st.fixed_dictionaries(
    {"id": WORDS, "type": WORDS, "function": st.fixed_dictionaries({"name": WORDS, "arguments": WORDS | VALUES})}
)
TURN_FIELDS = {
    "name": VALUES, "tool_call_id": WORDS, "tool_calls": st.lists(CALLS, max_size=2) | VALUES, "refusal": VALUES,
    "reasoning": VALUES, "reasoning_content": VALUES, "annotations": VALUES, "audio": VALUES, "images": VALUES,
    "reasoning_details": st.lists(
        st.fixed_dictionaries({"type": st.sampled_from(["reasoning.text", "reasoning.encrypted"]), "text": WORDS}),
        max_size=2,
    ) | VALUES,
}  # fmt: skip


def some_of(fields: dict[str, st.SearchStrategy[Any]], most: int) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects with at most ``most`` of ``fields``: many at once are slow to draw and hide each other."""
    return st.lists(st.one_of([st.tuples(st.just(name), value) for name, value in fields.items()]), max_size=most).map(
        dict
    )


TURNS = st.builds(
    lambda said, more: said | more,
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
            "content": WORDS | st.none() | st.lists(PARTS, max_size=2) | VALUES,
        }
    ),
    some_of(TURN_FIELDS, 2),
)
TOOLS = st.fixed_dictionaries(
    {"type": WORDS, "function": st.fixed_dictionaries({"name": WORDS}, optional={"parameters": VALUES})}
)
FORMATS_OF_OUTPUT = st.fixed_dictionaries(
    {"type": WORDS}, optional={"json_schema": st.fixed_dictionaries({"name": WORDS, "schema": VALUES})}
)
FIELDS = {
    **dict.fromkeys(("temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "n", "top_k"), NUMBERS),
    "tools": st.lists(TOOLS, max_size=2) | VALUES,
    "response_format": FORMATS_OF_OUTPUT | VALUES,
    **dict.fromkeys(
        (
            "tool_choice", "reasoning", "reasoning_effort", "include_reasoning", "stop", "provider", "models",
            "plugins", "stream", "stream_options", "logit_bias", "logprobs", "top_logprobs", "user", "metadata",
            "service_tier", "modalities", "audio", "functions", "function_call", "parallel_tool_calls", "usage",
            "transforms", "cache_control", "prediction", "verbosity", "session_id", "trace", "anything",
        ),
        VALUES,
    ),
}  # fmt: skip
BODIES = st.builds(
    lambda turns, more: {"model": "acme/one", "messages": turns} | more,
    st.lists(TURNS, min_size=1, max_size=2),
    some_of(FIELDS, 4),
)


def check_request(body: dict[str, Any]) -> None:
    """Check that a body is refused with a sentence, or becomes JSON for each provider, or its refusal."""
    exchange = exchange_of(json.dumps(body).encode())
    try:
        parsed = ChatEndpoint(EMPTY).parse(exchange, b"", EMPTY)
    except ApiError as error:
        assert 400 <= error.code < 500 and error.message
        return
    for place in PLACES:
        try:
            encoded = FORMATS[place.wire_format].encode_source(parsed.source, place, "gen-1")
        except ApiError as error:
            assert error.code == 400 and error.message
            continue
        sent = msgspec.json.decode(encoded.request.body)
        assert sent["model"] == place.upstream_model
        assert "plugins" not in sent and "provider" not in sent


@settings(max_examples=EXAMPLES, phases=PHASES, derandomize=True, suppress_health_check=list(HealthCheck))
@given(BODIES)
def test_any_chat_body_is_a_request_or_a_named_refusal(body: dict[str, Any]) -> None:
    check_request(body)


@pytest.mark.slow
@settings(max_examples=MANY, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(BODIES)
def test_many_chat_bodies_are_requests_or_named_refusals(body: dict[str, Any]) -> None:
    check_request(body)
