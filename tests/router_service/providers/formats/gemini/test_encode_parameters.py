"""Test what parameters become: sampling, thinking, formats, tools and the vendor's own fields."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from router_service.core.errors import ApiError
from router_service.core.generation import OutputFormat, ReasoningOptions, Sampling, Tool, ToolChoice
from router_service.providers.formats.gemini.dialect import gemini_token_format
from router_service.providers.formats.gemini.json_schema import MAX_DEPTH, reduced_schema
from router_service.providers.formats.gemini.model_traits import gemini_traits
from router_service.providers.formats.gemini.support import gemini_support_at
from router_service.providers.wire_format import ParameterSupport
from tests.router_service.providers.formats.asked import ask, assistant, call, function, raw, user
from tests.router_service.providers.formats.gemini.gemini_world import (
    FLASH,
    OLD,
    ORIGIN,
    PRO,
    body_of,
    encode,
    endpoint,
)
from tests.router_service.providers.formats.parameter_cases import endpoint_for

OBJECT = {"type": "object", "properties": {}}
SEARCH = Tool(name="google_search", kind="hosted", dialect="gemini", raw=raw({"googleSearch": {}}))
FOREIGN = Tool(name="web_search", kind="hosted", dialect="openai_responses", raw=raw({"type": "web_search"}))


def chat(**fields: Any) -> dict[str, Any]:
    """Return extras of the chat dialect."""
    return {"openai_chat": {name: raw(value) for name, value in fields.items()}}


def config(model: str = FLASH, **fields: Any) -> Any:
    """Return ``generationConfig`` and what was dropped."""
    encoded = encode(ask(**fields), endpoint(model))
    return json.loads(encoded.request.body).get("generationConfig", {}), encoded.dropped


def test_the_address_names_model_and_method() -> None:
    """Streams are asked for by the address, and names are quoted in it."""
    assert encode(ask()).request.url == f"http://provider.test/v1/models/{FLASH}:generateContent"
    streamed = encode(ask(stream=True)).request
    assert streamed.url.endswith(":streamGenerateContent?alt=sse") and b"stream" not in streamed.body
    assert "models/a%2Fb@1:generate" in encode(ask(), endpoint("a/b@1")).request.url
    context = encode(ask()).context
    assert (context.origin, context.generation_id) == (ORIGIN, "gen-1")
    assert gemini_token_format(ORIGIN) == "google-gemini-v1" and gemini_token_format("openai_chat/google") is None


def test_values_beyond_the_vendors_bounds() -> None:
    """They are cut to the bound and reported; a seed of more than 32 bits always becomes the same one."""
    stops = list("abcdefg")
    found, dropped = config(sampling=Sampling(top_k=500, stop=[*stops, ""], seed=2**40 + 7))
    assert found == {"topK": 64, "seed": 7, "stopSequences": stops[:5]} and dropped == ("stop", "top_k")
    assert config(sampling=Sampling(top_k=0, stop=[""], seed=-5)) == ({"seed": -5}, ("stop",))
    at = msgspec.structs.replace(endpoint(), max_completion_tokens=100)
    limited = encode(ask(max_tokens=500), at)
    assert json.loads(limited.request.body)["generationConfig"] == {"maxOutputTokens": 100}
    assert limited.dropped == ("max_tokens",)


def test_what_single_models_take() -> None:
    """Penalties and log probabilities go to the models that have them, and are reported elsewhere."""
    asked = Sampling(frequency_penalty=0.5, presence_penalty=0.0, logprobs=True, top_logprobs=30, n=2, min_p=0.5)
    found, dropped = config(OLD, sampling=asked)
    assert found == {"frequencyPenalty": 0.5, "responseLogprobs": True, "logprobs": 20} and dropped == ("min_p", "n")
    found, dropped = config(sampling=asked)
    assert not found and dropped == ("frequency_penalty", "logprobs", "min_p", "n", "top_logprobs")


THINKING: list[tuple[str, ReasoningOptions, Any, tuple[str, ...]]] = [
    (FLASH, ReasoningOptions(effort="xhigh"), {"thinkingLevel": "HIGH", "includeThoughts": True}, ()),
    (FLASH, ReasoningOptions(enabled=False), {"thinkingLevel": "MINIMAL"}, ("reasoning.enabled",)),
    (FLASH, ReasoningOptions(effort="low", exclude=True), {"thinkingLevel": "LOW"}, ()),
    (FLASH, ReasoningOptions(summary="auto"), {"includeThoughts": True}, ()),
    (FLASH, ReasoningOptions(exclude=True), None, ()),
    (
        "gemini-3.1-pro-preview",
        ReasoningOptions(max_tokens=99),
        {"thinkingLevel": "MEDIUM", "includeThoughts": True},
        ("reasoning.max_tokens",),
    ),
    ("gemini-3-pro-preview", ReasoningOptions(effort="minimal"), {"thinkingLevel": "LOW", "includeThoughts": True}, ()),
    ("gemini-3-pro-image-preview", ReasoningOptions(effort="high"), {"includeThoughts": True}, ("reasoning",)),
    (
        "gemini-3.1-flash-image",
        ReasoningOptions(effort="low"),
        {"thinkingLevel": "MINIMAL", "includeThoughts": True},
        (),
    ),
    (PRO, ReasoningOptions(effort="max"), {"thinkingBudget": 32768, "includeThoughts": True}, ()),
    (PRO, ReasoningOptions(max_tokens=1), {"thinkingBudget": 128, "includeThoughts": True}, ()),
    (PRO, ReasoningOptions(enabled=False), {"thinkingBudget": 128}, ("reasoning.enabled",)),
    (PRO, ReasoningOptions(exclude=True), None, ()),
    ("gemini-2.5-flash-lite", ReasoningOptions(max_tokens=1), {"thinkingBudget": 512, "includeThoughts": True}, ()),
    ("gemini-2.5-flash", ReasoningOptions(enabled=False), {"thinkingBudget": 0}, ()),
    (
        OLD,
        ReasoningOptions(max_tokens=9, summary="auto"),
        None,
        ("reasoning", "reasoning.max_tokens", "reasoning.summary"),
    ),
    (OLD, ReasoningOptions(enabled=False), None, ()),
    ("gemma-4-31b-it", ReasoningOptions(enabled=False), None, ()),
]


@pytest.mark.parametrize(("model", "options", "wanted", "dropped"), THINKING)
def test_thinking(model: str, options: ReasoningOptions, wanted: Any, dropped: tuple[str, ...]) -> None:
    """Each generation is asked in its own way, and what it cannot be asked is reported."""
    found, lost = config(model, reasoning=options)
    assert found.get("thinkingConfig") == wanted and lost == dropped


def test_newest_models_are_known_by_their_family() -> None:
    """A name without a version is the newest of its family."""
    assert gemini_traits("gemini-flash-latest").signed_calls and gemini_traits("gemini-flash-latest").levels
    assert gemini_traits("gemini-2.5-flash-preview-tts").speech
    assert gemini_traits("model-1") == gemini_traits("gemma-3-27b-it")


def test_formats_of_the_answer() -> None:
    """JSON is native, but for models that refuse it beside functions: these are asked in words."""
    as_json = OutputFormat(kind="json_object")
    assert config(output=as_json) == ({"responseMimeType": "application/json"}, ())
    schema = OutputFormat(kind="json_schema", description="A port", schema=raw(OBJECT))
    wanted = {"responseMimeType": "application/json", "responseJsonSchema": OBJECT | {"description": "A port"}}
    assert config(output=schema) == (wanted, ())
    with_tools = body_of(ask(output=schema, tools=[function()]), endpoint(PRO))
    assert "generationConfig" not in with_tools
    assert json.dumps(OBJECT, separators=(",", ":")) in with_tools["systemInstruction"]["parts"][0]["text"]
    assert "responseJsonSchema" in config(output=schema, tools=[function()])[0]
    plain = OutputFormat(kind="json_schema")
    assert "one JSON object" in json.dumps(body_of(ask(output=plain, tools=[function()]), endpoint(PRO)))
    with pytest.raises(ApiError, match="schema of response_format must be a JSON object"):
        encode(ask(output=OutputFormat(kind="json_schema", schema=raw([1]))))


def test_modalities_and_images() -> None:
    """A model makes what it makes; what it does not make is reported, or refused where nothing is left."""
    image = "gemini-2.5-flash-image"
    asked = {"modalities": ["image", "text", "audio"], "extras": chat(image_config={"image_size": "2K", "style": "x"})}
    found, dropped = config(image, **asked)
    assert found == {"responseModalities": ["IMAGE", "TEXT"], "imageConfig": {"imageSize": "2K"}}
    assert dropped == ("image_config", "modalities")
    assert config(modalities=["text"]) == ({}, ())
    assert config(image, modalities=["text"])[0] == {"responseModalities": ["TEXT"]}
    assert config("gemini-2.5-flash-preview-tts", modalities=["audio"])[0] == {"responseModalities": ["AUDIO"]}
    assert config(extras=chat(image_config={"aspect_ratio": "1:1"})) == ({}, ("image_config",))
    assert config(image, extras=chat(image_config={"aspect_ratio": None})) == config(image) == ({}, ())
    for wrong in (7, "16:9", ["16:9"], True):
        with pytest.raises(ApiError, match="image_config must be an object"):
            encode(ask(extras=chat(image_config=wrong)), endpoint(image))
    with pytest.raises(ApiError, match="does not make image; change modalities"):
        encode(ask(modalities=["image"]))
    table = gemini_support_at(endpoint(image))
    assert table["modalities"] is table["image_config"] is ParameterSupport.NATIVE
    assert gemini_support_at(endpoint("gemini-3-pro-image"))["reasoning"] is ParameterSupport.DROPPED


def test_functions_have_names_and_schemas_that_the_vendor_takes() -> None:
    """Names are fitted the same way where they are offered, called and answered; two of one name are one."""
    tools = [function("1st tool"), function("1st tool"), Tool(name="plain", description="Hoist", strict=True)]
    encoded = encode(ask(user("x"), assistant(call(name="1st tool")), user("y"), tools=tools))
    found = json.loads(encoded.request.body)
    named, plain = found["tools"][0]["functionDeclarations"]
    assert named["name"].startswith("_1st_tool_") and plain == {"name": "plain", "description": "Hoist"}
    assert found["contents"][1]["parts"][0]["functionCall"]["name"] == named["name"]
    assert encoded.context.tool_names == {named["name"]: "1st tool"} and encoded.dropped == ("strict", "tools")
    custom = encode(ask(tools=[Tool(name="sail", kind="custom")]))
    (declared,) = json.loads(custom.request.body)["tools"][0]["functionDeclarations"]
    assert declared["parametersJsonSchema"]["required"] == ["input"] and custom.context.custom_tools == {"sail"}
    answered = body_of(ask(user("x"), assistant(call(name="sail", arguments="to Genoa", kind="custom")), user("y")))
    assert answered["contents"][1]["parts"][0]["functionCall"]["args"] == {"input": "to Genoa"}


@pytest.mark.parametrize("schema", [[1], {"type": "string"}])
def test_schemas_that_are_no_objects_are_refused(schema: Any) -> None:
    with pytest.raises(ApiError, match="schema of the tool 'hoist' must be"):
        encode(ask(tools=[function(schema=schema)]))


def test_choices_among_functions() -> None:
    """A choice without functions is none, and one that forces a call is refused."""
    one = [function("find"), function("hoist")]
    for choice, wanted in (
        (ToolChoice(mode="auto"), None),
        (ToolChoice(mode="none", parallel=False), {"mode": "NONE"}),
        (ToolChoice(mode="required"), {"mode": "ANY"}),
        (ToolChoice(mode="tool", name="hoist"), {"mode": "ANY", "allowedFunctionNames": ["hoist"]}),
    ):
        encoded = encode(ask(tools=one, tool_choice=choice))
        found = json.loads(encoded.request.body).get("toolConfig", {}).get("functionCallingConfig")
        assert found == wanted and encoded.dropped == ()
    assert encode(ask(tools=one, tool_choice=ToolChoice(parallel=False))).dropped == ("parallel_tool_calls",)
    assert "toolConfig" not in body_of(ask(tool_choice=ToolChoice(mode="none")))
    with pytest.raises(ApiError, match="no tools are offered"):
        encode(ask(tool_choice=ToolChoice(mode="required")))
    with pytest.raises(ApiError, match="names 'sail', which is none of the tools"):
        encode(ask(tools=one, tool_choice=ToolChoice(mode="tool", name="sail")))


def test_tools_that_the_vendor_runs() -> None:
    """Those of this dialect are sent, those of others are reported; a search is one for the reader of the answer."""
    encoded = encode(ask(tools=[SEARCH, FOREIGN]))
    assert json.loads(encoded.request.body)["tools"] == [{"googleSearch": {}}]
    assert encoded.dropped == ("tools",) and encoded.context.lists_sources
    assert not encode(ask(tools=[function()])).context.lists_sources
    wished = chat(web_search_options={"search_context_size": "low"})
    assert body_of(ask(extras=wished))["tools"] == body_of(ask(tools=[SEARCH], extras=wished))["tools"]
    beside = encode(ask(tools=[function()], extras=wished))
    assert beside.dropped == ("web_search_options",) and b"googleSearch" not in beside.request.body


def test_own_fields_reach_the_vendor() -> None:
    """They come as extras of this dialect, beside the chat parameters, or as Google's compatible API takes them."""
    safe = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]
    own = {
        "gemini": {"labels": raw({"a": "b"}), "contents": raw([]), "generationConfig": raw({"mediaResolution": "X"})}
    }
    found = body_of(ask(extras=own, sampling=Sampling(top_p=0.5)))
    assert found["labels"] == {"a": "b"} and found["contents"]
    assert found["generationConfig"] == {"mediaResolution": "X", "topP": 0.5}
    for extras in (chat(safety_settings=safe), chat(extra_body={"google": {"safety_settings": safe}})):
        encoded = encode(ask(extras=extras))
        assert json.loads(encoded.request.body)["safetySettings"] == safe and encoded.dropped == ()
    unread = chat(extra_body={"google": {"thinking_config": {}, "cached_content": "c"}}, novel=1, store=False)
    assert encode(ask(extras=unread)).dropped == ("extra_body", "novel")
    assert encode(ask(extras=chat(extra_body=7))).dropped == ("extra_body",)


def test_own_fields_of_the_wrong_type_are_refused() -> None:
    for fields, words in (
        ({"safety_settings": {}}, "safety_settings must be a list"),
        ({"cached_content": 7}, "cached_content must be the name of a cache"),
    ):
        with pytest.raises(ApiError, match=words):
            encode(ask(extras=chat(**fields)))
    with pytest.raises(ApiError, match="leave them out beside cached_content"):
        encode(ask(tools=[function()], extras=chat(cached_content="cachedContents/1")))


def test_service_tiers_and_what_has_no_field() -> None:
    at = endpoint_for("gemini", "google", FLASH, tiers=True)
    assert body_of(ask(service_tier="default"), at)["serviceTier"] == "standard"
    flex = msgspec.structs.replace(at, service_tier="flex")
    assert body_of(ask(), flex)["serviceTier"] == "flex"
    lost = ask(user=None, metadata={"a": "b"}, verbosity="low", service_tier="flex")
    assert encode(lost).dropped == ("metadata", "service_tier", "verbosity")


SCHEMAS: list[tuple[Any, Any, bool]] = [
    ({"type": "string", "minLength": 1}, {"type": "string"}, True),
    ({"type": "string", "format": "uuid"}, {"type": "string"}, True),
    ({"type": "string", "format": "date", "default": "x", "examples": []}, {"type": "string", "format": "date"}, False),
    ({"const": "a"}, {"enum": ["a"]}, False),
    ({"const": None}, {"type": "null"}, False),
    ({"enum": ["a", None]}, {"anyOf": [{"enum": ["a"]}, {"type": "null"}]}, False),
    ({"enum": [True, False]}, {"type": "boolean"}, False),
    ({"const": True}, {"type": "boolean"}, True),
    ({"enum": [{}]}, {}, True),
    ({"type": "string", "nullable": True}, {"type": ["string", "null"]}, False),
    ({"items": True}, {"items": {}}, False),
    ({"items": False}, {"items": {}}, True),
    ({"anyOf": [{"type": "string"}, {"not": {}}]}, {"anyOf": [{"type": "string"}, {}]}, True),
    ({"prefixItems": [{"const": 1}]}, {"prefixItems": [{"enum": [1]}]}, False),
    ({"additionalProperties": {"const": 1}}, {"additionalProperties": {"enum": [1]}}, False),
    ({"additionalProperties": False, "properties": 7}, {"additionalProperties": False, "properties": 7}, False),
    ({"$ref": "#/$defs/a", "description": "x"}, {"$ref": "#/$defs/a"}, False),
    ({"$ref": "#/$defs/a", "type": "object"}, {"$ref": "#/$defs/a"}, True),
    (
        {"$ref": "#/definitions/a", "definitions": {"a": {"const": 1}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"enum": [1]}}},
        False,
    ),
    ({"$ref": "#/$defs/a", "$defs": {"a": {"const": 1}}}, {"$ref": "#/$defs/a", "$defs": {"a": {"enum": [1]}}}, False),
    (
        {
            "allOf": [{"properties": {"a": {}}, "required": ["a"], "type": "object"}, {"properties": {"b": {}}}, 7],
            "required": ["b"],
        },
        {"required": ["b", "a"], "properties": {"b": {}, "a": {}}, "type": "object"},
        False,
    ),
    ({"allOf": [{"type": "string"}], "type": "object"}, {"type": "object"}, True),
]


@pytest.mark.parametrize(("schema", "wanted", "lost"), SCHEMAS)
def test_schemas_are_reduced(schema: Any, wanted: Any, lost: bool) -> None:
    """Keywords that limit nothing go silently; one that limits the values is reported."""
    assert reduced_schema(schema) == (wanted, lost)


def test_a_schema_that_is_too_deep_is_cut_off() -> None:
    schema: Any = {"type": "string"}
    for _ in range(MAX_DEPTH + 10):
        schema = {"type": "array", "items": schema}
    assert reduced_schema(schema)[1]


def test_reductions_are_reported() -> None:
    narrow = {"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}}
    assert encode(ask(tools=[function(schema=narrow)])).dropped == ("tools.parameters",)
    output = OutputFormat(kind="json_schema", schema=raw(narrow))
    assert encode(ask(output=output)).dropped == ("response_format.schema",)
