"""Decode the fields of a completion body that routing needs, and leave all others as raw JSON."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from router_service.core.errors import ApiError
from router_service.core.json_fields import read_fields
from router_service.core.large_copies import PIECE, copied
from router_service.core.large_json import contains
from router_service.core.request import Head
from router_service.core.request_bounds import MAX_NAME_CHARACTERS, check_name
from router_service.planning.service_tiers import requested_tier

T = TypeVar("T")
_TEXT = msgspec.json.Decoder(str | None)
_TEXTS = msgspec.json.Decoder(list[str] | None)
_FLAG = msgspec.json.Decoder(bool | None)
_WHOLE = msgspec.json.Decoder(int | None)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw] | None)
_OBJECT = msgspec.json.Decoder(dict[str, Any] | None)
MAX_FALLBACK_MODELS = 20
# The largest whole number that every reader of JSON takes without loss; the record's column has 64 bits.
MAX_COMPLETION_LIMIT = 2**53
_MEDIA = ((b'"image_url"', "image"), (b'"input_audio"', "audio"), (b'"file_data"', "file"))


def parse_head(body: bytes, *, with_messages: bool = True) -> Head:
    """Read the head of ``body``. Raises ``ApiError`` 400 with the field to change.

    ``with_messages`` requires messages; ``model`` or ``models`` is always required.
    """
    fields = read_fields(body)
    messages = b"[]"
    if (raw := fields.get("messages")) is not None:
        messages = bytes(raw) if len(raw) <= PIECE else copied(raw)
    # In the order of the fields: keyword arguments of a struct of this many fields take several times as long.
    head = Head(
        fields,
        _read(fields, "model", _TEXT, "a string such as 'openai/gpt-4o'"),
        (_read(fields, "models", _TEXTS, "an array of model ids") or []) if "models" in fields else [],
        (_read(fields, "stream", _FLAG, "true or false") or False) if "stream" in fields else False,
        bytes(fields["provider"]) if "provider" in fields else b"",
        _limit(fields),
        len(_read(fields, "tools", _ARRAY, "an array of tools") or ()) if "tools" in fields else 0,
        _read(fields, "session_id", _TEXT, "a string of at most 256 characters") if "session_id" in fields else None,
        _trace_id(fields) if "trace" in fields else None,
        sorted(fields),
        messages,
        _service_tier(fields),
        modality_of(messages),
    )
    if not head.model or len(head.model) > MAX_NAME_CHARACTERS or head.models or head.session_id is not None:
        _validate(head)
    if (with_messages or "messages" in fields) and not messages.startswith(b"[{"):
        _validate_messages(head)
    return head


def _validate(head: Head) -> None:
    if not head.model and not head.models:
        raise ApiError("invalid_request", "model is missing: send the id of a model, such as 'openai/gpt-4o'")
    if len(head.models) > MAX_FALLBACK_MODELS:
        raise ApiError("invalid_request", f"models takes at most {MAX_FALLBACK_MODELS} ids")
    check_name("model", head.model or "")
    for place, model in enumerate(head.models):
        check_name(f"models[{place}]", model)
    if head.session_id is not None and len(head.session_id) > 256:
        raise ApiError("string_too_long", "session_id must have at most 256 characters")


def _validate_messages(head: Head) -> None:
    if "messages" not in head.fields:
        raise ApiError("invalid_request", "messages is missing: send an array with at least one message")
    raw = head.messages
    if not raw.startswith(b"[") or raw[:64].translate(None, b" \t\r\n") == b"[]":
        raise ApiError("invalid_request", "messages must be an array with at least one message")


def modality_of(messages: bytes) -> str:
    """Return the first kind of medium in raw JSON: image, audio or file, else text."""
    # Every sign contains an underscore and most texts contain none, so one search usually rules out all signs.
    if b"_" not in messages:
        return "text"
    for sign, kind in _MEDIA:
        if contains(messages, sign):
            return kind
    return "text"


def _limit(fields: dict[str, msgspec.Raw]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        if name not in fields:
            continue
        value: int | None = _read(fields, name, _WHOLE, "a whole number of at least 1")
        if value is not None:
            if value < 1:
                raise ApiError("invalid_request", f"{name} must be at least 1; got {value}")
            if value > MAX_COMPLETION_LIMIT:
                raise ApiError("invalid_request", f"{name} must be at most {MAX_COMPLETION_LIMIT:,}; got {value:,}")
            return value
    return None


def _service_tier(fields: dict[str, msgspec.Raw]) -> str | None:
    if "service_tier" not in fields and "speed" not in fields:
        return None
    words = (_read(fields, name, _TEXT, "a string such as 'priority'") for name in ("service_tier", "speed"))
    return requested_tier(*words)


def _trace_id(fields: dict[str, msgspec.Raw]) -> str | None:
    trace = _read(fields, "trace", _OBJECT, "an object")
    value = (trace or {}).get("trace_id")
    return value if isinstance(value, str) else None


def _read(fields: dict[str, msgspec.Raw], name: str, decoder: msgspec.json.Decoder[T], wanted: str) -> T | None:
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        shown = json.dumps(bytes(raw)[:40].decode(errors="replace"))
        raise ApiError("invalid_request", f"{name} must be {wanted}; got {shown}") from None
