"""Fit choices whose shape differs from the documented one, so that one odd field never costs an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from router_service.providers.formats.openai_chat.text_repair import TextJoiner
from router_service.providers.formats.openai_chat.wire import (
    NULL,
    CallDelta,
    Custom,
    Function,
    Piece,
    VerifiedDelta,
    encoded_json,
    fitted_logprobs,
)

_MAX_INDEX = 2**31
_DROPPED = object()
# Types of parts of content that hold reasoning: Magistral's, and those of other APIs that gateways pass on.
_THINKING = ("thinking", "reasoning", "reasoning_text")
# Fields with reasoning as Ollama's own API and GitHub Copilot have it.
_THOUGHTS = ("thinking", "reasoning_text")
_JOINED = ("content", "refusal", "reasoning", "reasoning_content")


def fitted_id(value: Any) -> str | None:
    """Return an id as text; some servers send a number, and Azure an empty string."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def fitted_choices(found: Any, said: str) -> list[dict[str, Any]]:
    """Return the choices of a completion or, with ``said`` = ``delta``, of a chunk, each with a valid index.

    What is no choice is left out. A message cannot be missing, a delta can, and may come as a message.
    """
    choices = [choice for choice in found if isinstance(choice, dict)] if isinstance(found, list) else []
    if said == "message":
        choices = [choice for choice in choices if isinstance(choice.get(said), dict)]
    return [{**choice, "index": _index(choice.get("index"), position)} for position, choice in enumerate(choices)]


def joined_halves(choices: list[dict[str, Any]], joiner: TextJoiner) -> None:
    """Replace the texts of deltas, in place, by what ``joiner`` makes of them."""
    for choice in choices:
        index, delta = choice["index"], _delta(choice)
        for name in _JOINED:
            if isinstance(delta.get(name), str):
                delta[name] = joiner.join((index, name), delta[name])
        calls = delta.get("tool_calls")
        for position, call in enumerate(calls if isinstance(calls, list) else ()):
            for kind, name in (("function", "arguments"), ("custom", "input")):
                said = call.get(kind) if isinstance(call, dict) else None
                if isinstance(said, dict) and isinstance(said.get(name), str):
                    place = index, kind, str(call.get("index", position))
                    said[name] = joiner.join(place, said[name])
        if choice.get("finish_reason"):
            for name in _JOINED:
                if rest := joiner.flush((index, name)):
                    delta[name] = f"{delta.get(name) or ''}{rest}"
            joiner.discard(index)
        choice["delta"] = delta


def fitted_piece(choice: dict[str, Any]) -> Piece:
    """Return a choice of ``fitted_choices`` with documented types in place of others."""
    finish = choice.get("finish_reason")
    delta = _with_split_content(_with_thinking(_delta(choice)))
    known: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    for name, value in delta.items():
        reader = _READERS.get(name)
        if reader is None:
            extras[name] = value
        elif value is None:
            known[name] = None
        elif (fitted := reader(value)) is not _DROPPED:
            known[name] = fitted
    logprobs: Any = UNSET
    if "logprobs" in choice:
        found = choice["logprobs"]
        logprobs = NULL if found is None else fitted_logprobs(msgspec.Raw(encoded_json(found)))
    native = finish if isinstance(finish, str) and finish else None
    return Piece(choice["index"], VerifiedDelta(**known), native, None, logprobs, extras)


def _delta(choice: dict[str, Any]) -> dict[str, Any]:
    found = choice.get("delta")
    if not isinstance(found, dict):
        found = choice.get("message")
    return dict(found) if isinstance(found, dict) else {}


def _index(value: Any, position: int) -> int:
    is_index = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_INDEX
    return value if is_index else position


def _with_thinking(delta: dict[str, Any]) -> dict[str, Any]:
    """Return ``delta`` with the text of a field of ``_THOUGHTS`` where reasoning is read."""
    field = next((name for name in _THOUGHTS if isinstance(delta.get(name), str)), None)
    if field is None or delta.get("reasoning") or delta.get("reasoning_content"):
        return delta
    return {name: value for name, value in delta.items() if name != "reasoning"} | {"reasoning": delta[field]}


def _with_split_content(delta: dict[str, Any]) -> dict[str, Any]:
    """Return ``delta`` with text in place of a list of parts, whose thinking and images move to their own fields."""
    content = delta.get("content")
    if isinstance(content, dict) and isinstance(content.get("type"), str):
        content = [content]
    if not isinstance(content, list):
        return delta
    text, thinking, images = "", "", []
    for part in content:
        if isinstance(part, str):
            text += part
        elif isinstance(part, dict) and part.get("type") in _THINKING:
            thinking += _text_of(part.get("thinking")) or _text_of(part)
        elif isinstance(part, dict) and part.get("type") == "image_url":
            images.append(part)
        else:
            text += _text_of(part)
    split = {**delta, "content": text}
    if thinking:
        split["reasoning"] = f"{delta.get('reasoning') or ''}{thinking}"
    if images:
        others = delta.get("images")
        split["images"] = [*others, *images] if isinstance(others, list) else images
    return split


def _text_of(value: Any) -> str:
    """Return the text of a part, or of a list of parts such as the thinking of Mistral."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_text_of, value))
    return _text_of(value.get("text")) if isinstance(value, dict) and value.get("text") else ""


def _content(value: Any) -> str:
    """Return text. Some servers send requested JSON as a value instead of its text."""
    return value if isinstance(value, str) else encoded_json(value).decode()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _thought(value: Any) -> str | None:
    """Return reasoning, which may be the text of an object."""
    if isinstance(value, dict):
        value = value.get("content") or value.get("text")
    return _text_of(value) or None if isinstance(value, str | list) else None


def _audio(value: Any) -> Any:
    if not isinstance(value, dict):
        return _DROPPED
    texts = {name: value[name] for name in ("id", "data", "transcript") if isinstance(value.get(name), str)}
    expiry = value.get("expires_at")
    return texts | ({"expires_at": expiry} if isinstance(expiry, int) and not isinstance(expiry, bool) else {})


def _objects(value: Any) -> Any:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else _DROPPED


def _chosen(chosen: Callable[[dict[str, Any]], bool]) -> Callable[[Any], Any]:
    def choose(value: Any) -> Any:
        objects = _objects(value)
        return objects if objects is _DROPPED else [item for item in objects if chosen(item)]

    return choose


def has_address(image: dict[str, Any]) -> bool:
    """Return whether an image of an answer says where it is."""
    address = image.get("image_url")
    return isinstance(address, dict) and isinstance(address.get("url"), str)


def is_annotation(annotation: dict[str, Any]) -> bool:
    """Return whether an annotation says what it is and, if it cites a page, which one."""
    kind, cited = annotation.get("type"), annotation.get("url_citation")
    return isinstance(kind, str) and (kind != "url_citation" or (isinstance(cited, dict) and bool(cited.get("url"))))


def _calls(value: Any) -> Any:
    objects = _objects([value] if isinstance(value, dict) else value)
    if objects is _DROPPED:
        return _DROPPED
    return [_call(found) for found in objects]


def _call(found: dict[str, Any]) -> CallDelta:
    call = CallDelta(
        index=_index(found.get("index"), -1) if "index" in found else UNSET,
        id=fitted_id(found.get("id")),
        type=found["type"] if isinstance(found.get("type"), str) else UNSET,
    )
    if call.index == -1:
        call.index = UNSET
    function, custom = found.get("function"), found.get("custom")
    if isinstance(function, dict):
        call.function = _function(function)
    elif isinstance(custom, dict):
        call.custom = Custom(_text(custom.get("name")), _input(custom.get("input")))
    return call


def _function(value: Any) -> Any:
    return Function(_text(value.get("name")), _input(value.get("arguments"))) if isinstance(value, dict) else _DROPPED


def _input(value: Any) -> str | None:
    """Return arguments as text; some servers send them as an object."""
    return None if value is None else _content(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "role": lambda _value: "assistant",
    "content": _content,
    "refusal": _text,
    "reasoning": _thought,
    "reasoning_content": _thought,
    "reasoning_details": _chosen(lambda detail: isinstance(detail.get("type"), str)),
    "tool_calls": _calls,
    "function_call": _function,
    "audio": _audio,
    "annotations": _chosen(lambda annotation: is_annotation(annotation)),
    "images": _chosen(has_address),
}
