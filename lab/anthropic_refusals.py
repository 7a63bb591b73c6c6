"""Refuse what Anthropic refuses of a messages request, with its status and sentences.

Sources of the sentences: the error bodies that users quote in the issues of anthropic-sdk-python (#893, #1598),
claude-code (#4661, #5989, #8184, #12062, #18947, #23440, #25597), pydantic-ai (#2040), litellm, n8n (#14288) and
quarkus-langchain4j (#1812), read on 2026-11-29.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.anthropic_fields import BETA_FIELDS, COUNT_REQUEST, MESSAGES_REQUEST, SAMPLING
from lab.anthropic_history import blocks, check_history
from lab.anthropic_thinking import check_thinking
from lab.openai_refusals import is_base64
from lab.shapes import Object, Path, RequestRefused, check
from lab.signatures import Signatures

KINDS = {
    "array": "list",
    "boolean": "boolean",
    "decimal": "number",
    "integer": "integer",
    "object": "dictionary",
    "string": "string",
}
MAX_CACHE_POINTS = 4
# Source: https://platform.claude.com/docs/en/api/versioning, read on 2026-11-29.
VERSIONS = ("2023-01-01", "2023-06-01", "2026-10-21")
WITHOUT_SAMPLING = "2026-10-21"
RANGED = (("temperature",), ("top_p",))
# Models from Claude Opus 4.1 on take only one of the two; later ones are newer than the sentence's sources.
ONE_SAMPLER = re.compile(r"^claude-(opus-4-[1-9]|sonnet-4-[5-9]|haiku-4-[5-9])")


def refuse_messages(body: dict[str, Any], headers: Mapping[str, str], signatures: Signatures) -> None:
    """Raise ``RequestRefused`` if Anthropic would refuse to create this message."""
    version, beta = _check_headers(headers)
    _check_shape(MESSAGES_REQUEST, body, version, beta)
    _check_parameters(body)
    check_history(body["messages"], signatures)
    check_thinking(body, beta)


def refuse_count(body: dict[str, Any], headers: Mapping[str, str], signatures: Signatures) -> None:
    """Raise ``RequestRefused`` if Anthropic would refuse to count the tokens of this request."""
    _check_shape(COUNT_REQUEST, body, *_check_headers(headers))
    _check_parameters(body)
    check_history(body["messages"], signatures)


class AnthropicVocabulary:
    """Implement ``Vocabulary`` with Anthropic's sentences."""

    def missing(self, path: Path) -> RequestRefused:
        return _refusal(path, "Field required")

    def unknown(self, path: Path) -> RequestRefused:
        return _refusal(path, "Extra inputs are not permitted")

    def wrong_type(self, path: Path, wanted: Sequence[str], value: Any) -> RequestRefused:
        # Of a union the vendor names the last variant: a list where text may stand as well.
        kind = "decimal" if "decimal" in wanted else wanted[-1].split(" ")[0]
        return _refusal(path, f"Input should be a valid {KINDS[kind]}")

    def below(self, path: Path, value: float, bound: float, whole: bool) -> RequestRefused:
        return _refusal(path, "range: 0..1" if path in RANGED else f"Input should be greater than or equal to {bound}")

    def above(self, path: Path, value: float, bound: float, whole: bool) -> RequestRefused:
        return _refusal(path, "range: 0..1" if path in RANGED else f"Input should be less than or equal to {bound}")

    def not_one_of(self, path: Path, value: Any, choices: Sequence[str]) -> RequestRefused:
        quoted = [f"'{choice}'" for choice in choices]
        listed = quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
        return _refusal(path, f"Input should be {listed}")

    def bad_tag(self, path: Path, key: str, value: Any, choices: Sequence[str]) -> RequestRefused:
        listed = ", ".join(f"'{choice}'" for choice in choices)
        found = f"Input tag '{value}' found using '{key}' does not match any of the expected tags: {listed}"
        return _refusal(path, found)

    def length(self, path: Path, kind: str, length: int, least: int, most: int | None) -> RequestRefused:
        name, unit = ("String", "character") if kind == "string" else ("List", "item")
        bound, side = (least, "least") if length < least else (most, "most")
        return _refusal(path, f"{name} should have at {side} {bound} {unit}{'' if bound == 1 else 's'}")

    def mismatch(self, path: Path, pattern: str) -> RequestRefused:
        return _refusal(path, f"String should match pattern '{pattern}'")


def _refusal(path: Path, message: str) -> RequestRefused:
    return RequestRefused(f"{'.'.join(map(str, path))}: {message}")


def _check_headers(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return the headers ``anthropic-version`` and ``anthropic-beta``, which may be empty."""
    if not headers.get("x-api-key") and not headers.get("authorization"):
        raise RequestRefused("x-api-key header is required", status=401, kind="authentication_error")
    version = headers.get("anthropic-version")
    if not version:
        raise RequestRefused("anthropic-version: header is required")
    if version not in VERSIONS:
        raise RequestRefused(f'anthropic-version: "{version}" is not a valid version')
    return version, headers.get("anthropic-beta", "")


def _check_shape(shape: Object, body: dict[str, Any], version: str, beta: str) -> None:
    fields = {**shape.fields, **(BETA_FIELDS if beta else {}), **(SAMPLING if version < WITHOUT_SAMPLING else {})}
    check(Object(fields, shape.required), body, (), AnthropicVocabulary())
    if version >= WITHOUT_SAMPLING:
        _check_places(body["messages"])


def _check_places(messages: list[dict[str, Any]]) -> None:
    """Refuse documents of the assistant and citations of the user, which newer versions of the API do not take.

    Source: https://platform.claude.com/docs/en/api/migration-2026-10-21, which names the status but no sentence; the
    sentences are the lab's own.
    """
    for at, message in enumerate(messages):
        for index, block in enumerate(blocks(message)):
            where = f"messages.{at}.content.{index}"
            if message["role"] == "assistant" and block["type"] == "document":
                raise RequestRefused(f"{where}: `document` blocks are not permitted in `assistant` messages")
            inner = block["content"] if block["type"] == "search_result" else [block]
            if message["role"] == "user" and any(part["type"] == "text" and part.get("citations") for part in inner):
                raise RequestRefused(f"{where}: `citations` are not permitted in `user` messages")


def _check_parameters(body: dict[str, Any]) -> None:
    """Refuse values that a shape cannot describe."""
    if body.get("temperature") is not None and body.get("top_p") is not None and ONE_SAMPLER.match(body["model"]):
        both = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        raise RequestRefused(both)
    if any(not sequence.strip() for sequence in body.get("stop_sequences", ())):
        raise RequestRefused("stop_sequences: each stop sequence must contain non-whitespace")
    if "tool_choice" in body and not body.get("tools"):
        raise RequestRefused("tool_choice may only be specified while providing tools.")
    names = [tool["name"] for tool in body.get("tools", ()) if "name" in tool]
    if len(names) != len(set(names)):
        raise RequestRefused("tools: Tool names must be unique.")
    points = sum(1 for _ in _cache_points(body))
    if points > MAX_CACHE_POINTS:
        message = f"A maximum of {MAX_CACHE_POINTS} blocks with cache_control may be provided. Found {points}."
        raise RequestRefused(message)
    for path, block in _all_blocks(body["messages"]):
        source = block.get("source", {})
        if block["type"] in ("image", "document") and source["type"] == "base64" and not is_base64(source["data"]):
            raise RequestRefused(f"{path}.{block['type']}.source.base64: invalid base64 data")


def _all_blocks(messages: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each block of the messages and of their tool results with its path."""
    for at, message in enumerate(messages):
        for index, block in enumerate(blocks(message)):
            path = f"messages.{at}.content.{index}"
            yield path, block
            inner = block.get("content") if block["type"] == "tool_result" else None
            for number, part in enumerate(inner if isinstance(inner, list) else ()):
                yield f"{path}.tool_result.content.{number}", part


def _cache_points(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    system = body.get("system")
    places = [body, *(system if isinstance(system, list) else ()), *body.get("tools", ())]
    places += [block for _, block in _all_blocks(body["messages"])]
    return (place for place in places if place.get("cache_control"))


def refuse_addresses(body: dict[str, Any]) -> None:
    """Raise ``RequestRefused`` for a medium that would have to be fetched: other platforms take bytes alone."""
    for message in body.get("messages") or ():
        content = message.get("content") if isinstance(message, dict) else None
        for block in content if isinstance(content, list) else ():
            source = block.get("source") if isinstance(block, dict) else None
            if isinstance(source, dict) and source.get("type") == "url":
                raise RequestRefused("URL sources are not supported")
