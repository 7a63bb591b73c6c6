"""Test that the lab refuses what Google refuses, with its status and sentences."""

from __future__ import annotations

import copy
from typing import Any

import httpx2
import pytest

from lab.gemini_caches import CACHE_HOLDS
from lab.gemini_history import COUNTS, RESPONSE_FOLLOWS
from lab.gemini_models import BOTH, NO_JSON_WITH_TOOLS, NO_SEARCH_WITH_TOOLS, SEARCH_WITH_TOOLS, THINKS_ALWAYS
from lab.gemini_refusals import BAD_KEY, NO_CREDENTIALS, WRONG_KEY
from tests.lab.scenes import HTTP, PNG

KEY = {"x-goog-api-key": "key"}
NEW, PRO, OLD = "gemini-3-flash-preview", "gemini-2.5-pro", "gemini-2.0-flash"
JSON = {"responseMimeType": "application/json"}
Body = dict[str, Any]
SAID: Body = {"role": "user", "parts": [{"text": "Hello."}]}
UNSIGNED: Body = {"functionCall": {"name": "tide", "args": {}}}
CALL: Body = UNSIGNED | {"thoughtSignature": "skip_thought_signature_validator"}
ANSWER: Body = {"functionResponse": {"name": "tide", "response": {"output": "high"}}}
OTHER_ANSWER: Body = {"functionResponse": {"name": "depth", "response": {}}}
TIDE: Body = {"name": "tide", "parametersJsonSchema": {"type": "object", "properties": {}}}
BESIDE: Body = {"type": "object", "properties": {"a": {"$ref": "#/$defs/a", "type": "string"}}}
TOOLS: list[Body] = [{"functionDeclarations": [TIDE]}]


def post(url: str, body: Body, model: str = NEW, **fields: Any) -> httpx2.Response:
    """Send a request to the lab's Google."""
    address = f"{url}/google/v1beta/models/{model}:generateContent"
    return HTTP.post(address, json=body, **{"headers": KEY} | fields)


def refusal(url: str, body: Body, model: str = NEW) -> str:
    """Return the sentence of a refusal with status 400, and check its shape."""
    answer = post(url, {"contents": [SAID]} | body, model)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    return str(error["message"])


def history(*parts: Body, answers: tuple[Body, ...] = (ANSWER,)) -> Body:
    """Return a conversation in which the model has said ``parts``."""
    contents = [SAID, {"role": "model", "parts": list(parts)}]
    return {"contents": [*contents, *([{"role": "user", "parts": list(answers)}] if answers else [])]}


def config(**fields: Any) -> Body:
    """Return a request with fields of ``generationConfig``."""
    return {"generationConfig": fields}


def thinking(**fields: Any) -> Body:
    """Return a request with fields of ``thinkingConfig``."""
    return config(thinkingConfig=fields)


def said(role: str, *parts: Body) -> Body:
    """Return a request with one content."""
    return {"contents": [{"role": role, "parts": list(parts)}]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"stream": True}, 'Unknown name "stream": Cannot find field.'),
        (config(topKey=1), "Unknown name \"topKey\" at 'generation_config': Cannot find field."),
        (said("user", {"words": "x"}), "at 'contents[0].parts[0]': Cannot find field."),
        (config(temperature="warm"), "'generation_config.temperature' (TYPE_FLOAT), warm"),
        (config(temperature=3), "temperature must be in the range [0, 2]"),
        (config(seed=2**40), "'generation_config.seed' (TYPE_INT32)"),
        (config(topK=40.5), "'generation_config.top_k' (TYPE_INT32), 40.5"),
        (config(stopSequences=list("abcdef")), "at most 5 stop sequences"),
        (config(candidateCount=2), "Multiple candidates is not enabled for this model"),
        (config(candidateCount=9), "candidate_count must be in the range [1, 8]"),
        (config(logprobs=3), "logprobs is only allowed when response_logprobs is true"),
        (config(maxOutputTokens=0), "max_output_tokens must be positive"),
        (config(responseJsonSchema={}), "response_mime_type must be application/json"),
        (config(responseJsonSchema={}, responseSchema={}), "Only one of response_schema and response_json_schema"),
        ({"contents": []}, "contents is not specified"),
        (said("assistant", {"text": "x"}), "Please use a valid role: user, model."),
        (said("user"), "contents.parts must not be empty"),
        (said("user", {}), "required oneof field 'data' must have one initialized field"),
        (said("user", {"text": ""}), "required oneof field 'data'"),
        (said("user", {"text": "x", "fileData": {}}), "oneof field 'data' is already set"),
        (said("model", {"text": "x"}), "single turn requests end with a user role"),
        ({"systemInstruction": {"parts": []}}, "contents.parts must not be empty"),
        ({"cachedContent": "cachedContents/1", "tools": TOOLS}, CACHE_HOLDS),
        ({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, "without function_declarations"),
        ({"safetySettings": [{"category": "HARM", "threshold": "OFF"}]}, "'safety_settings[0].category' (TYPE_ENUM)"),
    ],
)
def test_fields_contents_and_ranges(quiet_lab_url: str, body: Body, words: str) -> None:
    assert words in refusal(quiet_lab_url, body)


@pytest.mark.parametrize(
    ("parts", "answers", "words"),
    [
        ((CALL,), (), COUNTS),
        ((CALL,), (ANSWER, ANSWER), COUNTS),
        ((CALL,), (OTHER_ANSWER,), COUNTS),
        (({"text": "x"},), (ANSWER,), RESPONSE_FOLLOWS),
        ((UNSIGNED,), (ANSWER,), "Function call is missing a thought_signature"),
        ((CALL | {"thoughtSignature": "c2lnbmVk"},), (ANSWER,), "Corrupted thought signature."),
        (({"text": "x", "thoughtSignature": "c2lnbmVk"},), ({"text": "y"},), "Corrupted thought signature."),
    ],
)
def test_histories(quiet_lab_url: str, parts: tuple[Body, ...], answers: tuple[Body, ...], words: str) -> None:
    assert words in refusal(quiet_lab_url, history(*parts, answers=answers))


def test_a_call_follows_a_turn_of_the_user(quiet_lab_url: str) -> None:
    contents = [SAID, {"role": "model", "parts": [{"text": "I look."}]}, {"role": "model", "parts": [CALL]}]
    found = refusal(quiet_lab_url, {"contents": [*contents, {"role": "user", "parts": [ANSWER]}]})
    assert found.startswith("Please ensure that function call turn comes immediately after a user turn")


def test_a_signed_call_that_was_changed_is_refused(quiet_lab_url: str) -> None:
    """A signature belongs to one call: neither another call nor other arguments take it over."""
    asked = said("user", {"text": "[lab:scenario=tool]"}) | {"tools": TOOLS}
    part = post(quiet_lab_url, asked).json()["candidates"][0]["content"]["parts"][0]
    call = part["functionCall"]
    answer = {"functionResponse": {"name": call["name"], "id": call["id"], "response": {"output": "high"}}}
    assert post(quiet_lab_url, history(part, answers=(answer,))).status_code == 200
    changed = copy.deepcopy(part)
    changed["functionCall"]["args"] = {"place": "Genoa"}
    assert refusal(quiet_lab_url, history(changed, answers=(answer,))) == "Corrupted thought signature."


def test_earlier_turns_need_no_signature(quiet_lab_url: str) -> None:
    """Only the current turn is checked, and models before Gemini 3 check none."""
    earlier = history(UNSIGNED)["contents"]
    later = [{"role": "model", "parts": [{"text": "High."}]}, SAID]
    assert post(quiet_lab_url, {"contents": [*earlier, *later]}).status_code == 200
    assert post(quiet_lab_url, {"contents": earlier}, PRO).status_code == 200


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        ({"mimeType": "image/gif", "data": PNG}, "Unsupported MIME type: image/gif"),
        ({"mimeType": "image/png", "data": "no base64"}, "(TYPE_BYTES), Base64 decoding failed"),
    ],
)
def test_media(quiet_lab_url: str, blob: Body, words: str) -> None:
    assert words in refusal(quiet_lab_url, said("user", {"inlineData": blob}))


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ([TIDE | {"name": "1st"}], "Invalid function name."),
        ([TIDE | {"name": "x" * 65}], "Invalid function name."),
        ([TIDE, TIDE], "Duplicate function declaration found: tide"),
        ([TIDE | {"parametersJsonSchema": {"type": "string"}}], "only an object is allowed"),
        ([TIDE | {"parametersJsonSchema": BESIDE}], "if $ref is set, no other properties may be set"),
    ],
)
def test_functions(quiet_lab_url: str, declared: list[Body], words: str) -> None:
    assert words in refusal(quiet_lab_url, {"tools": [{"functionDeclarations": declared}]})


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"mode": "AUTO", "allowedFunctionNames": ["tide"]}, "should only be set when the mode is ANY"),
        ({"mode": "ANY", "allowedFunctionNames": ["depth"]}, "which is not declared"),
    ],
)
def test_choices_among_functions(quiet_lab_url: str, choice: Body, words: str) -> None:
    assert words in refusal(quiet_lab_url, {"tools": TOOLS, "toolConfig": {"functionCallingConfig": choice}})


@pytest.mark.parametrize(
    ("model", "body", "words"),
    [
        (NEW, config(presencePenalty=0.5), "Penalty is not enabled for this model"),
        (PRO, config(responseLogprobs=True), f"Logprobs is not enabled for models/{PRO}"),
        (PRO, thinking(thinkingBudget=0), THINKS_ALWAYS),
        (PRO, thinking(thinkingBudget=99), "between 128 and 32768"),
        (PRO, thinking(thinkingLevel="LOW"), "Thinking level LOW"),
        (OLD, thinking(thinkingBudget=99), "Thinking budget is not supported"),
        (OLD, thinking(includeThoughts=True), "Thinking is not enabled"),
        (NEW, thinking(thinkingBudget=9, thinkingLevel="LOW"), BOTH),
        ("gemini-3-pro-preview", thinking(thinkingLevel="MEDIUM"), "level MEDIUM"),
        ("gemini-3-pro-image", thinking(thinkingLevel="LOW"), "level LOW"),
        (PRO, config(**JSON) | {"tools": TOOLS}, NO_JSON_WITH_TOOLS),
        (PRO, {"tools": [*TOOLS, {"googleSearch": {}}]}, NO_SEARCH_WITH_TOOLS),
        (NEW, {"tools": [*TOOLS, {"googleSearch": {}}]}, SEARCH_WITH_TOOLS),
        (NEW, config(responseModalities=["IMAGE"]), "combination of response modalities (IMAGE)"),
    ],
)
def test_models(quiet_lab_url: str, model: str, body: Body, words: str) -> None:
    assert words in refusal(quiet_lab_url, body, model)


def test_keys_and_addresses(quiet_lab_url: str) -> None:
    body = {"contents": [SAID]}
    answer = post(quiet_lab_url, body, headers={})
    assert (answer.status_code, answer.json()["error"]["message"]) == (403, NO_CREDENTIALS)
    answer = post(quiet_lab_url, body, headers={"x-goog-api-key": WRONG_KEY})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, BAD_KEY)
    assert answer.json()["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    for call, status in (("countThings", 404), ("streamGenerateContent", 400)):
        address = f"{quiet_lab_url}/google/v1beta/models/{NEW}:{call}"
        assert HTTP.post(address, json=body, headers=KEY).status_code == status
    assert post(quiet_lab_url, {"contents": "Hello."}).status_code == 400


def test_a_lenient_provider_takes_what_it_can_read(quiet_lab_url: str) -> None:
    """Other providers of the format refuse nothing but what the lab cannot read."""
    body = {"contents": [SAID], "stream": True} | config(stopSequences=list("abcdef"))
    address = f"{quiet_lab_url}/harbour/v1/models/{NEW}:generateContent"
    assert HTTP.post(address, json=body).status_code == 200
