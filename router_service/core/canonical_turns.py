"""Write the turns of a conversation in a form that is the same for every client API and every spelling.

What every API can express counts: roles, texts, media, tool calls and their results. Ids, cache marks, reasoning and
the spelling of JSON do not, because clients and the router change them.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

# Turns are decoded from the shortest of these prefixes of the messages that contains them.
PREFIX_BYTES = (4096, 65_536, 262_144)
DATA_END_CHARACTERS = 128
MAX_MEDIA = 64
_DATA = b";base64,"
_SPACE = re.compile(r"[\s,]*")
_encode = msgspec.json.Encoder().encode
_scan = json.JSONDecoder(strict=False).raw_decode
# Which field identifies a medium of the chat dialect.
_MEDIA_FIELDS = {"image_url": "url", "video_url": "url", "input_audio": "data", "file": "file_data"}


class TurnsTooLong(ValueError):
    """Say that the longest prefix ends before the turn that was asked for."""


def canonical_turns(messages: bytes) -> Iterator[tuple[bool, bytes]]:
    """Yield for each turn of an array of chat ``messages`` whether it is a system turn, and its canonical text.

    It ends before the first item that is no message. Raises ``TurnsTooLong`` where the longest prefix ends. Nothing is
    decoded before it is asked for.
    """
    done = 0
    for size in PREFIX_BYTES:
        # Only messages that do not fit may have data in them that is worth a search.
        cut = messages[:size] if size == PREFIX_BYTES[0] else _without_data(messages, size)
        try:
            for place, turn in enumerate(_turns(cut.decode("utf-8", "ignore"))):
                if place == done:
                    done += 1
                    yield turn
        except (ValueError, RecursionError):
            if size >= len(messages):
                return
        else:
            return
    raise TurnsTooLong


def data_ends(data: str) -> str:
    """Return base64 ``data``, or both ends and the length of longer data, which identify it."""
    if len(data) <= 3 * DATA_END_CHARACTERS:
        return data
    return f"{data[:DATA_END_CHARACTERS]}{len(data)}{data[-DATA_END_CHARACTERS:]}"


def _turns(text: str) -> Iterator[tuple[bool, bytes]]:
    """Yield the turns in ``text``. Raises ``ValueError`` where ``text`` ends before the array does."""
    place = text.index("[") + 1
    while True:
        space = _SPACE.match(text, place)
        place = space.end() if space else place
        if text[place : place + 1] == "]":
            return
        message, place = _scan(text, place)
        if not isinstance(message, dict):
            return
        role = message.get("role")
        is_system = role in ("system", "developer")
        yield is_system, _json(["system" if is_system else role, *_said(message)])


def _json(value: Any) -> bytes:
    try:
        return _encode(value)
    except (ValueError, OverflowError):
        # Half of a surrogate pair and integers of more than 64 bits are nothing that the faster encoder writes.
        return json.dumps(value).encode()


def _said(message: dict[str, Any]) -> list[Any]:
    content = message.get("content")
    if content is None:
        content = []
    found = [_part(part) for part in content] if isinstance(content, list) else [content]
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        found += map(_call, calls)
    return found


def _part(part: Any) -> Any:
    """Return the text of a text part, so that it equals the text alone, and of a medium what identifies it."""
    if not isinstance(part, dict):
        return part
    kind, text = part.get("type"), part.get("text")
    if isinstance(text, str):
        return text
    field = _MEDIA_FIELDS.get(kind) if isinstance(kind, str) else None
    medium = part.get(kind) if field is not None else None
    if isinstance(medium, dict):
        return [kind, _source(medium.get(field) or medium.get("file_id"))]
    return {name: value for name, value in part.items() if name != "cache_control"}


def _source(source: Any) -> Any:
    if not isinstance(source, str):
        return source
    head, mark, data = source.partition(";base64,")
    return head + mark + data_ends(data) if mark else source


def _call(call: Any) -> Any:
    if not isinstance(call, dict):
        return call
    called = call.get("function") or call.get("custom")
    if not isinstance(called, dict):
        return None
    arguments = called.get("arguments", called.get("input"))
    if isinstance(arguments, str):
        # Not every text of a model is JSON.
        with contextlib.suppress(ValueError, RecursionError):
            arguments = json.dumps(json.loads(arguments), sort_keys=True)
    return [called.get("name"), arguments]


def _without_data(messages: bytes, size: int) -> bytes:
    """Return ``size`` bytes of the beginning of ``messages``, in which base64 data is cut to its ends."""
    kept: list[bytes] = []
    place = 0
    for _ in range(MAX_MEDIA):
        start = messages.find(_DATA, place, place + size)
        end = messages.find(b'"', start) if start >= 0 else -1
        if end < 0:
            break
        start += len(_DATA)
        data = messages[start:end].decode("latin-1")
        kept += (messages[place:start], data_ends(data).encode("latin-1"))
        size -= len(kept[-2]) + len(kept[-1])
        place = end
    return b"".join([*kept, messages[place : place + max(0, size)]])
