"""Decode fields of a request, and say in a sentence which field is wrong and what to send."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from router_service.core.errors import ApiError

T = TypeVar("T")
_PATH = re.compile(r"^(?P<problem>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<field>[^`]*)`$")
_INDEX = re.compile(r"\[[^\]]*\]")
_CONTENT = "a string or an array of content parts"
_ROLES = "one of system, developer, user, assistant, tool and function"
_KINDS = "one of text, image_url, input_audio, file, video_url, refusal and thinking"
_EFFORTS = "one of none, minimal, low, medium, high, xhigh and max"
# By the last two names of a path, or by the last one: what the field takes.
EXPECTED = {
    "messages": "an array of messages such as {'role': 'user', 'content': 'Hello'}",
    "content": _CONTENT,
    "role": _ROLES,
    "content.type": _KINDS,
    "cache_control.type": "'ephemeral'",
    "cache_control.ttl": "'5m' or '1h'",
    "cache_control": "an object such as {'type': 'ephemeral'}",
    "text": "a string",
    "url": "a URL or a data URL, as a string",
    "image_url": "an object such as {'url': 'https://…'}",
    "video_url": "an object such as {'url': 'https://…'}",
    "input_audio": "an object with 'data' (base64) and 'format', such as 'wav'",
    "data": "a string of base64",
    "format": "a string such as 'wav'",
    "file": "an object with 'file_data' (a data URL or a URL) or 'file_id'",
    "tool_call_id": "the id of the tool call that the message answers",
    "tool_calls": "an array of tool calls",
    "function": "an object with 'name' and 'arguments'",
    "arguments": "a string with the JSON of the arguments",
    "name": "a string of at least one character",
    "reasoning_details": "the array that the answer contained",
    "annotations": "the array that the answer contained",
    "tools.function": "an object with 'name' and 'parameters'",
    "tools": "an object such as {'type': 'function', 'function': {'name': 'get_weather', 'parameters': {…}}}",
    "tools.type": "a string such as 'function'",
    "parameters": "an object with a JSON schema",
    "schema": "an object with a JSON schema",
    "json_schema": "an object with 'name' and 'schema'",
    "effort": _EFFORTS,
    "mode": "'auto' or 'required'",
}


def bad_field(where: str, problem: str) -> ApiError:
    """Return the error for the field at ``where``; ``problem`` completes the sentence."""
    return ApiError("invalid_request", f"{where} {problem}")


def decode_field(
    raw: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T], where: str, expected: str | None = None
) -> T:
    """Decode the JSON of the field at ``where``; ``expected`` says what the field itself takes.

    Raises ``ApiError`` 400 naming the field, with the index of the message or tool that it is in.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _validation_error(where, str(error), expected) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_field(where, f"is not valid JSON: {error}; send text without unpaired surrogates") from None
    except RecursionError:
        raise bad_field(where, "is nested too deeply; send a flatter structure") from None


def read_field(
    fields: Mapping[str, msgspec.Raw], name: str, decoder: msgspec.json.Decoder[T], expected: str
) -> T | None:
    """Return the value of a top-level field, ``None`` for one that was not sent; else as ``decode_field``."""
    raw = fields.get(name)
    return None if raw is None else decode_field(bytes(raw), decoder, name, expected)


def schema_of(raw: msgspec.Raw, where: str) -> msgspec.Raw | None:
    """Return the JSON schema at ``where``, or ``None`` for ``null``. Raises ``ApiError`` 400 if it is no object."""
    text = bytes(raw)
    if text == b"null":
        return None
    if not text.startswith(b"{"):
        raise bad_field(where, f"is wrong: expected `object`; send {EXPECTED['schema']}")
    return raw


def _validation_error(where: str, message: str, expected: str | None) -> ApiError:
    found = _PATH.match(message)
    problem, path = (found["problem"], found["path"] or "$") if found else (message, "$")
    full = where + path[1:]
    missing = _MISSING.match(problem)
    if missing:
        field = missing["field"]
        return bad_field(full, f"has no {field}; send {_expected(f'{full}.{field}')}")
    hint = expected if path == "$" and expected else _expected(full)
    return bad_field(full, f"is wrong: {problem[:1].lower()}{problem[1:200]}; send {hint}")


def _expected(path: str) -> str:
    names = _INDEX.sub("", path).split(".")
    return EXPECTED.get(".".join(names[-2:])) or EXPECTED.get(names[-1]) or "what the API reference says of this field"
