"""Refuse what Google refuses of a generateContent request, with its status and sentences.

Sources of the sentences: google.rpc.Status and google.rpc.BadRequest; the error bodies that users quote in the issues
of google-gemini/gemini-cli (#13972), zed-industries/zed (#44875) and glowingjade/obsidian-smart-composer (#455), read
on 2026-11-30. For the bounds of numbers and lists the documentation names the status; their sentences are the lab's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lab.gemini_fields import GENERATE_REQUEST
from lab.gemini_history import REQUEST, check_contents, check_parts
from lab.gemini_models import check_gemini_model
from lab.shapes import Path, RequestRefused, check
from lab.signatures import Signatures

TYPES = {
    "array": "repeated field",
    "boolean": "TYPE_BOOL",
    "decimal": "TYPE_FLOAT",
    "integer": "TYPE_INT32",
    "object": "type.googleapis.com/google.protobuf.Struct",
    "string": "TYPE_STRING",
}
NO_CREDENTIALS = (
    "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other "
    "form of API consumer identity to call this API."
)
BAD_KEY = "API key not valid. Please pass a valid API key."
BAD_TOKEN = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
    "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
)
# A key that the lab takes for one that Google does not know.
WRONG_KEY = "invalid-key"
BAD_NAME = (
    "Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores "
    "(_), dots (.), colons (:), or dashes (-), with a maximum length of 64."
)
MAX_STOPS = 5
MAX_TOP_K = 64
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")
_SNAKE = re.compile(r"(?<!^)([A-Z])")


def refuse_generation(
    body: dict[str, Any], model: str, headers: Mapping[str, str], signatures: Signatures, *, vertex: bool
) -> None:
    """Raise ``RequestRefused`` if Google would refuse this request. ``vertex`` is true at a project of Vertex AI."""
    if not vertex:
        check_key(headers)
    check(GENERATE_REQUEST, body, (), GoogleVocabulary())
    check_contents(body.get("contents") or [], model, signatures)
    if "systemInstruction" in body:
        check_parts(body["systemInstruction"], "system_instruction")
    _check_config(body.get("generationConfig") or {})
    _check_functions(body)
    check_gemini_model(body, model)


def check_key(headers: Mapping[str, str]) -> None:
    """Refuse a request without a key, and one with a key that nobody has."""
    key = headers.get("x-goog-api-key")
    if not key:
        raise RequestRefused(NO_CREDENTIALS, status=403, kind="PERMISSION_DENIED")
    if key == WRONG_KEY:
        raise RequestRefused(BAD_KEY, code="API_KEY_INVALID")


class GoogleVocabulary:
    """Implement ``Vocabulary`` with Google's sentences."""

    def missing(self, path: Path) -> RequestRefused:
        return RequestRefused(f"{REQUEST}{_field(path)}: {path[-1]} is not specified\n")

    def unknown(self, path: Path) -> RequestRefused:
        where = f" at '{_field(path[:-1])}'" if len(path) > 1 else ""
        return RequestRefused(f'Invalid JSON payload received. Unknown name "{path[-1]}"{where}: Cannot find field.')

    def wrong_type(self, path: Path, wanted: Sequence[str], value: Any) -> RequestRefused:
        kind = TYPES[wanted[0].split(" ")[0]]
        return RequestRefused(f"Invalid value at '{_field(path)}' ({kind}), {str(value)[:100]}")

    def below(self, path: Path, value: float, bound: float, whole: bool) -> RequestRefused:
        return RequestRefused(f"Invalid value at '{_field(path)}' (TYPE_INT32), {value}")

    def above(self, path: Path, value: float, bound: float, whole: bool) -> RequestRefused:
        return self.below(path, value, bound, whole)

    def not_one_of(self, path: Path, value: Any, choices: Sequence[str]) -> RequestRefused:
        return RequestRefused(f"Invalid value at '{_field(path)}' (TYPE_ENUM), \"{str(value)[:100]}\"")

    def bad_tag(self, path: Path, key: str, value: Any, choices: Sequence[str]) -> RequestRefused:
        return self.not_one_of((*path, key), value, choices)

    def length(self, path: Path, kind: str, length: int, least: int, most: int | None) -> RequestRefused:
        return RequestRefused(f"{REQUEST}{_field(path)}: the length {length} is not supported\n")

    def mismatch(self, path: Path, pattern: str) -> RequestRefused:
        return RequestRefused(f"{REQUEST}{_field(path)}: does not match {pattern}\n")


def _field(path: Path) -> str:
    """Return ``generation_config.stop_sequences[0]`` for its steps, as the vendor writes names."""
    steps = [f"[{step}]" if isinstance(step, int) else f".{_SNAKE.sub(_lower, str(step))}" for step in path]
    return "".join(steps).removeprefix(".")


def _lower(found: re.Match[str]) -> str:
    return f"_{found[1].lower()}"


def _check_config(config: dict[str, Any]) -> None:
    where = f"{REQUEST}generation_config."
    for name, low, high in (("temperature", 0, 2), ("topP", 0, 1), ("topK", 1, MAX_TOP_K), ("logprobs", 0, 20)):
        value = config.get(name)
        if value is not None and not low <= value <= high:
            field = _field((name,))
            raise RequestRefused(f"{where}{field}: {field} must be in the range [{low}, {high}].\n")
    if config.get("maxOutputTokens", 1) < 1:
        raise RequestRefused(f"{where}max_output_tokens: max_output_tokens must be positive.\n")
    if not 1 <= config.get("candidateCount", 1) <= 8:
        raise RequestRefused(f"{where}candidate_count: candidate_count must be in the range [1, 8].\n")
    stops = config.get("stopSequences") or []
    if len(stops) > MAX_STOPS or not all(stops):
        most = f"at most {MAX_STOPS} stop sequences, none of them empty, are supported"
        raise RequestRefused(f"{where}stop_sequences: {most}\n")
    if "logprobs" in config and not config.get("responseLogprobs"):
        raise RequestRefused(f"{where}logprobs: logprobs is only allowed when response_logprobs is true.\n")
    schemas = [name for name in ("responseSchema", "responseJsonSchema") if name in config]
    if len(schemas) > 1:
        raise RequestRefused("Only one of response_schema and response_json_schema can be set.")
    if schemas and config.get("responseMimeType") != "application/json":
        raise RequestRefused("response_mime_type must be application/json when a response schema is set.")
    for name in schemas:
        _check_references(config[name], _field(("generationConfig", name)))


def _check_functions(body: dict[str, Any]) -> None:
    seen: set[str] = set()
    for at, tool in enumerate(body.get("tools") or ()):
        for number, declared in enumerate(tool.get("functionDeclarations") or ()):
            where = f"tools[{at}].function_declarations[{number}]"
            name = declared.get("name", "")
            if not _NAME.fullmatch(name):
                raise RequestRefused(f"{REQUEST}{where}.name: [FIELD_INVALID] {BAD_NAME}\n")
            if name in seen:
                raise RequestRefused(f"Duplicate function declaration found: {name}")
            seen.add(name)
            schema = declared.get("parametersJsonSchema")
            if schema is not None and (not isinstance(schema, dict) or schema.get("type") != "object"):
                raise RequestRefused(f"{REQUEST}{where}.parameters: only an object is allowed as the schema\n")
            _check_references(schema, where)
    config = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if config and not seen:
        raise RequestRefused("Function calling config is set without function_declarations.")
    allowed = config.get("allowedFunctionNames") or []
    if allowed and config.get("mode") not in ("ANY", "VALIDATED"):
        raise RequestRefused("allowed_function_names should only be set when the mode is ANY.")
    for name in allowed:
        if name not in seen:
            raise RequestRefused(f"allowed_function_names contains {name}, which is not declared.")


def _check_references(schema: Any, where: str) -> None:
    """Refuse what stands beside a reference, which the documentation forbids but for keywords with a dollar."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "$ref" in value and any(not name.startswith("$") for name in value):
                raise RequestRefused(f"{where}: if $ref is set, no other properties may be set\n")
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
