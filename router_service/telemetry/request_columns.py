"""Derive record columns from what the client sent: its headers and the head of its body.

A value that cannot be read leaves its column null. Every text is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import TypeVar

import msgspec

from data.record.record import Record
from router_service.core.large_json import contains
from router_service.core.request import Head

MAX_HEADER_CHARACTERS = 512
MAX_USER_AGENT_CHARACTERS = 256
MAX_ID_CHARACTERS = 256
MAX_WORD_CHARACTERS = 64
MAX_NAMES = 64
MAX_USER_BYTES = 1024
TEXT_ALONE = ["text"]
# ``in`` is eight times as fast with an integer as with bytes of length one.
UNDERSCORE = ord("_")
_MEDIA = (
    ("image", b'"image_url"'),
    ("audio", b'"input_audio"'),
    ("video", b'"video_url"'),
    ("file", b'"file_data"'),
    ("file", b'"file_id"'),
)
# ``Head.modality`` does not distinguish these media from text.
_NOT_IN_MODALITY = (("video", b'"video_url"'), ("file", b'"file_id"'))
T = TypeVar("T")


class _ResponseFormat(msgspec.Struct):
    type: str | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None


_text = msgspec.json.Decoder(str | None)
_response_format = msgspec.json.Decoder(_ResponseFormat | None)
_reasoning = msgspec.json.Decoder(_Reasoning | None)


def describe_request(record: Record, headers: Mapping[bytes, bytes], head: Head | None) -> None:
    """Write the columns of the headers and of the head, where there is one, into ``record``.

    Its ``key_hash`` and ``body_bytes`` must be set already.
    """
    if (app := headers.get(b"http-referer")) is not None:
        record.app = header_text(app)
    if (title := headers.get(b"x-openrouter-title") or headers.get(b"x-title")) is not None:
        record.app_title = header_text(title)
    if (agent := headers.get(b"user-agent")) is not None:
        record.user_agent = header_text(agent, MAX_USER_AGENT_CHARACTERS)
    if head is None:
        return
    fields = head.fields
    record.session_id = head.session_id or header_text(headers.get(b"x-session-id"))
    record.trace_id = head.trace_id and head.trace_id[:MAX_ID_CHARACTERS]
    record.tools = head.tool_count
    others = record.body_bytes - len(head.messages)
    record.parameters = head.names if others <= MAX_NAMES * MAX_WORD_CHARACTERS else _bounded_names(head.names)
    record.max_tokens = head.completion_limit
    record.modality = head.modality
    record.input_media = head.released.input_media if head.released else input_media(head.messages, head.modality)
    if "user" in fields:
        record.user_hash = hashed_user(_read(fields, "user", _text), record.key_hash)
    if "reasoning" in fields or "reasoning_effort" in fields:
        record.reasoning_effort = _reasoning_effort(fields)
    if "response_format" in fields:
        asked = _read(fields, "response_format", _response_format)
        if asked and asked.type != "text":
            record.structured_output = _word(asked.type)


def header_text(value: bytes | None, most: int = MAX_HEADER_CHARACTERS) -> str | None:
    """Return the first ``most`` characters of a header: UTF-8, or ISO 8859-1 where it is not valid UTF-8."""
    if not value:
        return None
    try:
        return value.decode()[:most]
    except UnicodeDecodeError:
        return value.decode("latin-1")[:most]


def _word(text: str | None) -> str | None:
    return text[:MAX_WORD_CHARACTERS] if text else None


def input_media(messages: bytes, modality: str) -> list[str]:
    """Return the kinds of content in raw ``messages``."""
    # Each search scans all messages. Most contain no underscore, and ``parse_head`` has already searched for some keys.
    if UNDERSCORE not in messages:
        return TEXT_ALONE
    # The quotes of a key are not escaped in the raw JSON; within a string they would be.
    keys = _NOT_IN_MODALITY if modality == "text" else _MEDIA
    found = dict.fromkeys(kind for kind, key in keys if contains(messages, key))
    return ["text", *found] if found else TEXT_ALONE


def hashed_user(user: str | None, key_hash: str | None) -> str | None:
    """Return the column ``user_hash`` of a body's user, ``None`` for no user."""
    if not user:
        return None
    key = (key_hash or "").encode()[: blake2b.MAX_KEY_SIZE]
    return blake2b(user.encode()[:MAX_USER_BYTES], digest_size=16, key=key).hexdigest()


def _reasoning_effort(fields: Mapping[str, msgspec.Raw]) -> str | None:
    reasoning = _read(fields, "reasoning", _reasoning)
    return _word((reasoning and reasoning.effort) or _read(fields, "reasoning_effort", _text))


def _bounded_names(names: list[str]) -> list[str]:
    return [name[:MAX_WORD_CHARACTERS] for name in names[:MAX_NAMES]]


def _read(fields: Mapping[str, msgspec.Raw], name: str, decoder: msgspec.json.Decoder[T]) -> T | None:
    raw = fields.get(name)
    try:
        return None if raw is None else decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
