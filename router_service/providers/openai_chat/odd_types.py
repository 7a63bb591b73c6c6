"""Convert fields whose type differs from the documented one, with a fallback for each.

Fields that the format does not document are kept as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

NULL = msgspec.Raw(b"null")


class _Token(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None


class _TokenWithOthers(_Token):
    top_logprobs: list[_Token] | None = None


class _Logprobs(msgspec.Struct):
    content: list[_TokenWithOthers] | None = None
    refusal: list[_TokenWithOthers] | None = None


_logprobs = msgspec.json.Decoder(_Logprobs | None)
_DROPPED = object()


def fitted_logprobs(raw: msgspec.Raw) -> msgspec.Raw:
    """Return ``raw`` unchanged if it has the documented shape, else null."""
    if bytes(raw) == b"null":
        return raw
    try:
        _logprobs.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return NULL
    return raw


def fitted_id(value: Any) -> str | None:
    """Return an id as text; some servers send a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def fitted_choices(found: Any, said: str) -> list[dict[str, Any]]:
    """Return the choices of a completion or, with ``said`` = ``delta``, of a chunk. Invalid choices are left out.

    A message cannot be missing, a delta can.
    """
    choices = [choice for choice in found if isinstance(choice, dict)] if isinstance(found, list) else []
    if said == "message":
        choices = [choice for choice in choices if isinstance(choice.get(said), dict)]
    return [_choice(choice, position, said) for position, choice in enumerate(choices)]


def fitted_message(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message or a delta whose documented fields have documented types, in the same order."""
    for name, value in message.items():
        plain = value is None or name not in _READERS or (type(value) is str and name in _TEXT_FIELDS)
        if not plain and (name != "role" or value != "assistant"):
            break
    else:
        return message
    fitted = {}
    for name, value in message.items():
        reader = _READERS.get(name)
        found = value if reader is None or value is None else reader(value)
        if found is not _DROPPED:
            fitted[name] = found
    return fitted


def _choice(choice: dict[str, Any], position: int, said: str) -> dict[str, Any]:
    index, finish, message = choice.get("index"), choice.get("finish_reason"), choice.get(said)
    is_index = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < 2**31
    return {
        "index": index if is_index else position,
        said: fitted_message(message) if isinstance(message, dict) else {},
        "finish_reason": finish if isinstance(finish, str) else None,
        **({"logprobs": choice["logprobs"]} if "logprobs" in choice else {}),
    }


def _role(_value: Any) -> Any:
    return "assistant"


def _content(value: Any) -> Any:
    """Return text or parts. Some servers send requested JSON as a value instead of its text."""
    if isinstance(value, list):
        return [_part(part) for part in value if isinstance(part, dict | str)]
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _part(value: Any) -> Any:
    return value if isinstance(value, dict) else {"type": "text", "text": value}


def _text(value: Any) -> Any:
    return value if isinstance(value, str) else None


def _object(value: Any) -> Any:
    return value if isinstance(value, dict) else _DROPPED


def _objects(value: Any) -> Any:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else _DROPPED


def _details(value: Any) -> Any:
    return _chosen(value, lambda detail: isinstance(detail.get("type"), str))


def _images(value: Any) -> Any:
    return _chosen(value, lambda image: isinstance(_dict(image.get("image_url")).get("url"), str))


def _chosen(value: Any, chosen: Callable[[dict[str, Any]], bool]) -> Any:
    objects = _objects(value)
    return objects if objects is _DROPPED else [item for item in objects if chosen(item)]


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tool_calls(value: Any) -> Any:
    """Keep arguments unchanged: an argument that is not text is a defect of the model's tool calls to be recorded."""
    calls = _chosen(value, lambda call: any(isinstance(call.get(name), dict) for name in ("function", "custom")))
    return calls if calls is _DROPPED else [_tool_call(call) for call in calls]


def _tool_call(call: dict[str, Any]) -> dict[str, Any]:
    fitted = {name: value for name, value in call.items() if name != "function" or isinstance(value, dict)}
    if not isinstance(fitted.get("id"), str | None):
        fitted["id"] = fitted_id(fitted["id"])
    function = fitted.get("function")
    if function is not None and not isinstance(function.get("name"), str | None):
        fitted["function"] = {name: value for name, value in function.items() if name != "name"}
    return fitted


_TEXT_FIELDS = frozenset({"content", "refusal", "reasoning", "reasoning_content"})
_READERS: dict[str, Callable[[Any], Any]] = {
    "role": _role,
    "content": _content,
    "refusal": _text,
    "reasoning": _text,
    "reasoning_content": _text,
    "reasoning_details": _details,
    "tool_calls": _tool_calls,
    "function_call": _object,
    "audio": _object,
    "annotations": _objects,
    "images": _images,
}
