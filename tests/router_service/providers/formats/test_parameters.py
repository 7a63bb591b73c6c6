"""Test for every format and dialect that each parameter does what the support table says, on the provider's side."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from importlib import resources
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from data.catalogue.types import Endpoint
from lab.chat_vendors import vendors as vendor_rows
from lab.server import Lab, create_app
from router_service.api.skins.chat.parse import parse_generation
from router_service.core.errors import ApiError
from router_service.core.request_source import RequestSource
from router_service.core.wire.chat import DIALECT
from router_service.providers.credentials import Credentials
from router_service.providers.formats import FORMATS
from router_service.providers.formats.openai_chat import dialect as dialects
from router_service.providers.formats.openai_chat.dialect import Dialect
from router_service.providers.formats.openai_chat.format import OpenAIChatFormat
from router_service.providers.wire_format import Encoded, ParameterSupport
from router_service.upstream.client import open_client
from tests.conftest import serving
from tests.router_service.providers.formats.converse_effects import CONVERSE_MODELS, converse_effect
from tests.router_service.providers.formats.gemini_effects import GEMINI_MODELS, gemini_effect
from tests.router_service.providers.formats.parameter_cases import (
    CASES,
    COHERE_MODELS,
    MESSAGES,
    MODEL_EFFECTS,
    REPORTED_AS,
    RESPONSES_MODELS,
    Fields,
    chat_effect,
    cohere_effect,
    endpoint_for,
    messages_effect,
    responses_effect,
)

NATIVE, EMULATED = ParameterSupport.NATIVE, ParameterSupport.EMULATED
# One model for each rule of the table that concerns single models.
MODELS_WITH_RULES = [
    ("openai", "o3"), ("openai", "gpt-5-mini"), ("openai", "gpt-5.1"), ("openai", "gpt-5.4"), ("openai", "gpt-5-pro"),
    ("openai", "gpt-4.1"), ("azure", "o4-mini"), ("groq", "openai/gpt-oss-120b"), ("mistral", "mistral-small-2603"),
    ("xai", "grok-4.3"), ("xai", "grok-4.5"), ("xai", "grok-3-mini"), ("cerebras", "gpt-oss-120b"),
    ("moonshotai", "kimi-k2.6"), ("moonshotai", "kimi-k3"), ("moonshotai", "kimi-k2-thinking"), ("zai", "glm-5.1"),
    ("minimax", "MiniMax-M3"), ("perplexity", "sonar-deep-research"),
]  # fmt: skip
ROWS = tomllib.loads(resources.files("router_service.providers").joinpath("dialects.toml").read_text())
CHAT_ENDPOINTS = [
    endpoint_for("openai_chat", provider, "model-1", tiers=tiers)
    for provider in ("without-a-row", *ROWS["openai_chat"])
    for tiers in (False, True)
] + [endpoint_for("openai_chat", provider, model) for provider, model in MODELS_WITH_RULES]
MESSAGES_ENDPOINTS = [endpoint_for("anthropic_messages", "vendor", model) for model in MODEL_EFFECTS]

RESPONSES_ENDPOINTS = [
    endpoint_for("openai_responses", provider, model, tiers=tiers)
    for provider, model in RESPONSES_MODELS
    for tiers in (False, True)
]
COHERE_ENDPOINTS = [endpoint_for("cohere", "cohere", model) for model in COHERE_MODELS]


GEMINI_ENDPOINTS = [
    endpoint_for("gemini", provider, model, tiers=tiers) for provider, model in GEMINI_MODELS for tiers in (False, True)
]
CONVERSE_ENDPOINTS = [
    endpoint_for("bedrock_converse", "amazon-bedrock", model, tiers=tiers)
    for model in CONVERSE_MODELS
    for tiers in (False, True)
]
OTHER_ENDPOINTS = [
    *MESSAGES_ENDPOINTS, *RESPONSES_ENDPOINTS, *GEMINI_ENDPOINTS, *COHERE_ENDPOINTS, *CONVERSE_ENDPOINTS
]  # fmt: skip


class Receiver:
    """Keep the body of the last request, as an ASGI application."""

    def __init__(self) -> None:
        self.body = b""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        content, more = b"", True
        while more:
            message = await receive()
            content, more = content + message["body"], message.get("more_body", False)
        self.body = content
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})


@pytest.fixture(scope="module")
def provider() -> Iterator[tuple[str, Receiver]]:
    receiver = Receiver()
    with serving(receiver) as url:
        yield url, receiver


@pytest.fixture(scope="module")
def vendors() -> Iterator[str]:
    with serving(create_app(Lab(time_scale=0.0, faults=False, strict=True))) as url:
        yield url


def encode(fields: Fields, endpoint: Endpoint, *, copied: bool = False) -> Encoded:
    """Return what a chat body with ``fields`` becomes; ``copied`` takes the way that copies its bytes."""
    body = msgspec.json.encode({"model": "author/model", "messages": MESSAGES} | fields)
    raw = msgspec.json.decode(body, type=dict[str, Raw])
    wire = FORMATS[endpoint.wire_format]
    if copied:
        assert isinstance(wire, OpenAIChatFormat)
        stream = bool(fields.get("stream"))
        source = RequestSource(DIALECT, raw, 0, stream, parse_generation)
        return wire.encode_source(source, endpoint, "gen-1")
    return wire.encode(parse_generation(raw), endpoint, "gen-1")


def contains(body: Any, wanted: Any) -> bool:
    """Return whether ``body`` has all that ``wanted`` has; objects may have more fields."""
    if isinstance(wanted, dict):
        return isinstance(body, dict) and all(n in body and contains(body[n], value) for n, value in wanted.items())
    if isinstance(wanted, list):
        same = isinstance(body, list) and len(body) == len(wanted)
        return same and all(contains(one, value) for one, value in zip(body, wanted, strict=True))
    return type(body) is type(wanted) and bool(body == wanted)


def fault(name: str, endpoint: Endpoint, encoded: Encoded, received: bytes, *, copied: bool) -> str | None:
    """Return what contradicts the support table of ``endpoint``, or ``None``."""
    body = json.loads(received)
    support = FORMATS[endpoint.wire_format].support_of(endpoint)[name]
    reported = REPORTED_AS.get(name, name)
    if support not in (NATIVE, EMULATED):
        if reported not in encoded.dropped:
            return f"{name} is {support} but not reported; dropped: {encoded.dropped}"
        rest = json.loads(encode(CASES[name].without, endpoint, copied=copied).request.body)
        return None if body == rest else f"{name} is {support} but changes the body: {body}, else {rest}"
    if endpoint.wire_format == "openai_chat":
        wanted = chat_effect(name, endpoint, copied=copied)
    elif endpoint.wire_format == "cohere":
        wanted = cohere_effect(name, endpoint)
    elif endpoint.wire_format == "openai_responses":
        wanted = responses_effect(name, endpoint)
    elif endpoint.wire_format == "gemini":
        wanted = gemini_effect(name, endpoint)
    elif endpoint.wire_format == "bedrock_converse":
        wanted = converse_effect(name, endpoint)
    else:
        wanted = messages_effect(name, endpoint)
    if not contains(body, wanted):
        return f"{name} is {support}, but {wanted} is not in the body: {body}"
    if not wanted:
        rest = json.loads(encode(CASES[name].without, endpoint, copied=copied).request.body)
        if body != rest:
            return f"{name} is for the router but changes the body: {body}, else {rest}"
    return f"{name} is {support} but reported as dropped" if reported in encoded.dropped else None


def refusal_fault(name: str, endpoint: Endpoint, *, copied: bool) -> str | None:
    """Return what is wrong with the refusal of a parameter, or ``None``: the sentence says what to change."""
    try:
        encode(CASES[name].fields, endpoint, copied=copied)
    except ApiError as error:
        return None if error.code == 400 and name in error.message else f"{name} is refused with {error.message!r}"
    return f"{name} is refused by the table, but was encoded"


def label(endpoint: Endpoint) -> str:
    """Return the name of an endpoint in the names of tests."""
    form = {"openai_responses": "responses/", "gemini": "gemini/"}.get(endpoint.wire_format, "")
    return f"{form}{endpoint.id}{'+tiers' if endpoint.tier_prices else ''}"


@pytest.mark.parametrize(
    ("endpoint", "copied"),
    [(endpoint, copied) for endpoint in CHAT_ENDPOINTS for copied in (False, True)]
    + [(endpoint, False) for endpoint in OTHER_ENDPOINTS],
    ids=lambda value: ("parts", "bytes")[value] if isinstance(value, bool) else label(value),
)
async def test_each_parameter_does_what_the_table_says(
    provider: tuple[str, Receiver], endpoint: Endpoint, copied: bool
) -> None:
    """Test native parameters by their sentinel, emulated ones by their effect, dropped ones by the report."""
    url, receiver = provider
    at = msgspec.structs.replace(endpoint, base_url=f"{url}/v1")
    upstream = open_client("direct", 60)
    faults = []
    try:
        for name, support in FORMATS[at.wire_format].support_of(at).items():
            if support is ParameterSupport.REFUSED:
                faults.append(refusal_fault(name, at, copied=copied))
                continue
            encoded = encode(CASES[name].fields, at, copied=copied)
            answer = await upstream.send(encoded.request, 60)
            assert answer.status == 200
            faults.append(fault(name, at, encoded, receiver.body, copied=copied))
    finally:
        await upstream.close()
    assert [sentence for sentence in faults if sentence] == []


@pytest.mark.parametrize(
    "endpoint",
    [
        *(endpoint_for("openai_chat", vendor, "gpt-5-mini", tiers=True) for vendor in ("openai", "azure")),
        *(endpoint_for("openai_chat", vendor, "model-1") for vendor in vendor_rows()),
        *(endpoint_for("openai_chat", vendor, model) for vendor, model in MODELS_WITH_RULES),
        *(endpoint_for("anthropic_messages", "anthropic", model) for model in MODEL_EFFECTS if "claude" in model),
        *(endpoint for endpoint in RESPONSES_ENDPOINTS if endpoint.provider in ("openai", "azure")),
        *(endpoint for endpoint in GEMINI_ENDPOINTS if endpoint.provider == "google"),
        *COHERE_ENDPOINTS,
        *CONVERSE_ENDPOINTS,
    ],
    ids=label,
)
async def test_vendors_that_are_strict_take_every_parameter(vendors: str, endpoint: Endpoint) -> None:
    """Send each parameter to the lab's imitation of each vendor, which refuses what that vendor refuses: none is."""
    at = msgspec.structs.replace(endpoint, base_url=f"{vendors}/{endpoint.provider}/v1")
    upstream, credentials = open_client("direct", 60), Credentials(lab=True)
    refusals = {}
    try:
        for name, case in CASES.items():
            if FORMATS[at.wire_format].support_of(at)[name] is ParameterSupport.REFUSED:
                continue
            for copied in (False, True) if at.wire_format == "openai_chat" else (False,):
                encoded = encode(case.fields, at, copied=copied)
                answer = await upstream.send(await credentials.sign(encoded.request, at), 60)
                if answer.status != 200:
                    refusals[name] = answer.body
    finally:
        await upstream.close()
    assert refusals == {}


def test_the_lab_imitates_every_vendor_with_a_row() -> None:
    """A row that says what a vendor refuses is tried against an imitation that refuses it.

    The lab's OpenAI is not in the table, and Google's row says alone how its answers are read.
    """
    others = {"openai", "azure", "azure-cognitive-services", "google"}
    assert set(ROWS["openai_chat"]) - set(vendor_rows()) == others


@pytest.mark.parametrize("endpoint", [*CHAT_ENDPOINTS, *OTHER_ENDPOINTS], ids=label)
def test_every_table_has_every_parameter(endpoint: Endpoint) -> None:
    """No parameter of the dialect is left out, and a table of an endpoint has no others than that of its format."""
    wire = FORMATS[endpoint.wire_format]
    assert set(wire.support_of(endpoint)) == set(wire.support) == set(CASES)
    assert wire.support_of(endpoint) is wire.support_of(endpoint)


def test_a_dialect_without_reasoning_has_no_parameter_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of dialects.toml is all that such a provider needs."""
    monkeypatch.setattr(dialects, "_rows", lambda: {"plain": Dialect(reasoning_request="none")})
    endpoint = endpoint_for("openai_chat", "plain", "model-1")
    for name in ("reasoning", "reasoning_effort", "reasoning.max_tokens", "reasoning.summary"):
        assert FORMATS["openai_chat"].support_of(endpoint)[name] is ParameterSupport.DROPPED
    for name in ("reasoning", "reasoning_effort", "reasoning.max_tokens"):
        encoded = encode(CASES[name].fields, endpoint)
        assert fault(name, endpoint, encoded, encoded.request.body, copied=False) is None


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("value", [None, [], {}, False, ""])
@pytest.mark.parametrize("name", ["debug", "plugins", "preset", "store", "transforms", "x_search_filter"])
def test_values_that_ask_for_nothing_are_not_reported(name: str, value: Any, copied: bool) -> None:
    """Null and empty values are no loss."""
    assert encode({name: value}, CHAT_ENDPOINTS[0], copied=copied).dropped == ()
    assert encode({name: value}, MESSAGES_ENDPOINTS[0]).dropped == ()


def test_fields_that_no_format_knows_reach_their_own_dialect_alone() -> None:
    """A provider's own field is copied to chat completions; elsewhere it is reported."""
    chat = encode({"safe_prompt": True}, CHAT_ENDPOINTS[0])
    assert json.loads(chat.request.body)["safe_prompt"] is True and chat.dropped == ()
    messages = encode({"safe_prompt": True}, MESSAGES_ENDPOINTS[0])
    assert b"safe_prompt" not in messages.request.body and messages.dropped == ("safe_prompt",)


def test_fields_of_the_messages_api_are_reported_by_chat_completions() -> None:
    """Report what only the messages format can say."""
    own = {"container": Raw(b'"c"'), "mcp_servers": Raw(b"[]"), "anthropic-beta": ["b"], "thinking": Raw(b"{}")}
    request = parse_generation({"messages": Raw(json.dumps(MESSAGES).encode())})
    encoded = FORMATS["openai_chat"].encode(
        msgspec.structs.replace(request, extras={"anthropic_messages": own}), CHAT_ENDPOINTS[0], "gen-1"
    )
    assert encoded.dropped == ("container",)
    assert set(json.loads(encoded.request.body)) == {"model", "messages"}


def test_a_grammar_is_reported_where_there_is_none() -> None:
    """A response format that the middle cannot hold goes to chat completions alone."""
    grammar = {"response_format": {"type": "grammar", "grammar": "root ::= x"}}
    assert json.loads(encode(grammar, CHAT_ENDPOINTS[0]).request.body)["response_format"]["type"] == "grammar"
    assert encode(grammar, MESSAGES_ENDPOINTS[0]).dropped == ("response_format",)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"modalities": ["image"]}, "modalities"),
        ({"tool_choice": "required"}, "tool_choice"),
    ],
)
def test_what_a_format_refuses_fails_with_a_sentence(fields: Fields, named: str) -> None:
    """A request that cannot be answered as it asks for is refused, and the sentence names what to change."""
    with pytest.raises(ApiError) as raised:
        encode(fields, MESSAGES_ENDPOINTS[0])
    assert raised.value.code == 400 and named in raised.value.message
