"""Refuse what OpenAI refuses of a chat completions request, with its status and sentences.

Sources of the sentences: the error bodies that users quote in the issues of openai-python (#1483, #1632, #1635, #1812),
openai-node (#1341), openai-agents-python (#1513), vercel/ai (#7266), langchain, autogen and agno, read on 2026-11-29;
ranges are those of ``lab/openai_fields.py``.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.openai_fields import CHAT_REQUEST
from lab.openai_history import check_history
from lab.openai_models import check_model
from lab.shapes import Path, RequestRefused, Tag, check, json_kind

KINDS = {
    "array": "an array",
    "boolean": "a boolean",
    "decimal": "a decimal",
    "integer": "an integer",
    "object": "an object",
    "string": "a string",
    "null": "null",
}
IMAGE_TYPES = ("image/png", "image/jpeg", "image/gif", "image/webp")
INLINE_PDF = (
    "Expected a base64-encoded data URL with an application/pdf MIME type (e.g. "
    "'data:application/pdf;base64,SGVsbG8sIFdvcmxkIQ=='), but got an invalid base64-encoded value."
)
DATA_URL = re.compile(r"^data:([^;,]*);base64,(.*)$", re.DOTALL)
NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the "
    "API from your browser and are prompted for a username and password."
)


def refuse_chat(body: dict[str, Any], headers: Mapping[str, str]) -> None:
    """Raise ``RequestRefused`` if OpenAI would refuse this request."""
    if not headers.get("authorization") and not headers.get("api-key"):
        raise RequestRefused(NO_KEY, status=401)
    if "model" not in body:
        raise RequestRefused("you must provide a model parameter")
    check(CHAT_REQUEST, body, (), OpenAIVocabulary())
    check_model(body)
    check_history(body["messages"])
    check_combinations(body)
    _check_schemas(body)
    for path, url in _image_urls(body["messages"]):
        check_image(path, url)
    _check_files(body["messages"])


class OpenAIVocabulary:
    """Implement ``Vocabulary`` with OpenAI's sentences, parameters and codes."""

    def missing(self, path: Path) -> RequestRefused:
        return _refusal(path, f"Missing required parameter: '{_dotted(path)}'.", "missing_required_parameter")

    def unknown(self, path: Path) -> RequestRefused:
        return _refusal(path, f"Unknown parameter: '{_dotted(path)}'.", "unknown_parameter")

    def wrong_type(self, path: Path, wanted: Sequence[str], value: Any) -> RequestRefused:
        names = [kind for kind in dict.fromkeys(wanted) if kind != "integer" or "decimal" not in wanted]
        first = f"{KINDS[names[0].split(' ')[0]].split(' ')[0]} {names[0]}"
        expected = first if len(names) == 1 else f"one of {' or '.join([first, *names[1:]])}"
        got = KINDS[json_kind(value)]
        instead = f"expected {expected}, but got {got} instead."
        return _refusal(path, f"Invalid type for '{_dotted(path)}': {instead}", "invalid_type")

    def below(self, path: Path, value: float, bound: float, whole: bool) -> RequestRefused:
        return _out_of_range(path, value, bound, whole, "below minimum", ">=", "below_min_value")

    def above(self, path: Path, value: float, bound: float, whole: bool) -> RequestRefused:
        return _out_of_range(path, value, bound, whole, "above maximum", "<=", "above_max_value")

    def not_one_of(self, path: Path, value: Any, choices: Sequence[str]) -> RequestRefused:
        quoted = [f"'{choice}'" for choice in choices]
        listed = {1: quoted[0], 2: " and ".join(quoted)}.get(len(quoted), f"{', '.join(quoted[:-1])}, and {quoted[-1]}")
        return _refusal(path, f"Invalid value: '{value}'. Supported values are: {listed}.", "invalid_value")

    def bad_tag(self, path: Path, key: str, value: Any, choices: Sequence[str]) -> RequestRefused:
        return self.not_one_of((*path, key), value, choices)

    def length(self, path: Path, kind: str, length: int, least: int, most: int | None) -> RequestRefused:
        name, an = _dotted(path), KINDS[kind]
        if length == 0:
            instead = f"empty {kind}. Expected {an} with minimum length {least}, but got an empty {kind} instead."
            return _refusal(path, f"Invalid '{name}': {instead}", f"empty_{kind}")
        bound, word = (least, "minimum") if length < least else (most, "maximum")
        size, code = ("short", "below_min") if length < least else ("long", "above_max")
        instead = f"Expected {an} with {word} length {bound}, but got {an} with length {length} instead."
        return _refusal(path, f"Invalid '{name}': {kind} too {size}. {instead}", f"{kind}_{code}_length")

    def mismatch(self, path: Path, pattern: str) -> RequestRefused:
        instead = f"string does not match pattern. Expected a string that matches the pattern '{pattern}'."
        return _refusal(path, f"Invalid '{_dotted(path)}': {instead}", "invalid_value")


def _dotted(path: Path) -> str:
    """Return ``messages[0].content`` for the steps ``messages``, 0, ``content``; variants are not named."""
    steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in path if not isinstance(step, Tag)]
    return "".join(steps).removeprefix(".")


def _refusal(path: Path, message: str, code: str | None) -> RequestRefused:
    return RequestRefused(message, param=_dotted(path), code=code)


def _out_of_range(
    path: Path, value: float, bound: float, whole: bool, where: str, sign: str, code: str
) -> RequestRefused:
    kind = "integer" if whole else "decimal"
    expected = f"Expected a value {sign} {bound}, but got {value} instead."
    return _refusal(path, f"Invalid '{_dotted(path)}': {kind} {where} value. {expected}", f"{kind}_{code}")


def _check_files(messages: list[dict[str, Any]]) -> None:
    """Refuse files that are neither known by an id nor sent inline with a name."""
    for index, message in enumerate(messages):
        content = message.get("content")
        for at, part in enumerate(content if isinstance(content, list) else ()):
            if part["type"] != "file" or "file_id" in part["file"]:
                continue
            path: Path = ("messages", index, "content", at, "file")
            if "filename" not in part["file"] or "file_data" not in part["file"]:
                raise OpenAIVocabulary().missing((*path, "file_id"))
            inline = DATA_URL.match(part["file"]["file_data"])
            if inline is None or not is_base64(inline[2]):
                name = _dotted((*path, "file_data"))
                raise _refusal((*path, "file_data"), f"Invalid file data: '{name}'. {INLINE_PDF}", "invalid_value")


def check_combinations(body: dict[str, Any]) -> None:
    """Refuse parameters that need another one."""
    needs = (
        ("top_logprobs", "logprobs", "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."),
        ("stream_options", "stream", "The 'stream_options' parameter is only allowed when 'stream' is enabled."),
    )
    for name, other, message in needs:
        if body.get(name) is not None and not body.get(other):
            raise RequestRefused(message, param=name)
    for name in ("tool_choice", "parallel_tool_calls"):
        if name in body and not body.get("tools"):
            only = f"'{name}' is only allowed when 'tools' are specified."
            raise RequestRefused(f"Invalid value for '{name}': {only}", param=name)
    form = body.get("response_format", {}).get("type")
    if form == "json_object" and "json" not in json.dumps(body["messages"]).lower():
        message = (
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        )
        raise RequestRefused(message, param="messages")


def _check_schemas(body: dict[str, Any]) -> None:
    """Refuse schemas that are not objects or, in strict mode, not closed."""
    for index, tool in enumerate(body.get("tools", ())):
        if tool["type"] == "function" and "parameters" in tool["function"]:
            function = tool["function"]
            where = f"function '{function['name']}'"
            param = f"tools[{index}].function.parameters"
            check_schema(
                function["parameters"], where, param, "invalid_function_parameters", bool(function.get("strict"))
            )
    form = body.get("response_format", {}).get("json_schema", {})
    if "schema" in form:
        where = f"response_format '{form['name']}'"
        check_schema(form["schema"], where, "response_format", None, bool(form.get("strict")))


def check_schema(schema: dict[str, Any], where: str, param: str, code: str | None, strict: bool) -> None:
    """Refuse a schema that is not an object or, in strict mode, not closed; ``where`` names its owner."""
    kind = schema.get("type")
    if kind != "object" and (strict or schema):
        got = f'"{kind}"' if kind is not None else '"None"'
        message = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: {got}'."
        raise RequestRefused(f"Invalid schema for {where}: {message}", param=param, code=code)
    if strict and schema.get("additionalProperties") is not False:
        message = "In context=(), 'additionalProperties' is required to be supplied and to be false."
        raise RequestRefused(f"Invalid schema for {where}: {message}", param=param, code=code)


def _image_urls(messages: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for at, message in enumerate(messages):
        content = message.get("content")
        for index, part in enumerate(content if isinstance(content, list) else ()):
            if part["type"] == "image_url":
                yield f"messages[{at}].content[{index}].image_url.url", part["image_url"]["url"]


def check_image(param: str, url: str) -> None:
    """Refuse URLs of other schemes and data URLs that hold no image."""
    if not url.startswith("data:"):
        if not url.startswith(("http://", "https://")):
            message = f"Invalid '{param}'. Expected a valid URL, but got a value with an invalid format."
            raise RequestRefused(message, param=param, code="invalid_value")
        return
    expected = (
        "Expected a base64-encoded data URL with an image MIME type "
        "(e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got"
    )
    inline = DATA_URL.match(url)
    if inline is None or inline[1] not in IMAGE_TYPES:
        got = f"unsupported MIME type '{inline[1]}'" if inline else "a value without base64-encoded data"
        raise RequestRefused(f"Invalid image URL: '{param}'. {expected} {got}.", param=param, code="invalid_value")
    if not is_base64(inline[2]):
        message = f"Invalid '{param}'. {expected} an invalid base64-encoded value."
        raise RequestRefused(message, param=param, code="invalid_value")


def is_base64(data: str) -> bool:
    """Return true if ``data`` is padded base64 of at least one byte."""
    try:
        return bool(base64.b64decode(data, validate=True))
    except (ValueError, binascii.Error):
        return False
