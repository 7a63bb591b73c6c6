"""Extract the part of a chat request that indicates its category."""

from __future__ import annotations

import msgspec

__all__ = ["MAX_SYSTEM", "MAX_USER", "prompt_text"]

# Limits in characters. Roleplay is declared in the system message; the rest of a long one is rules of the application.
MAX_SYSTEM = 500
MAX_USER = 16_000
ROLES_OF_SYSTEM = ("system", "developer")


# The most bytes of JSON that a character takes: two escapes.
CHARACTER_BYTES = 12
NO_CONTENT = msgspec.Raw(b"null")


class _UserMessage(msgspec.Struct):
    role: str = ""
    content: msgspec.Raw = NO_CONTENT


class _Part(msgspec.Struct):
    text: msgspec.Raw = NO_CONTENT


_decoder = msgspec.json.Decoder(list[_UserMessage])
_list = msgspec.json.Decoder(list[msgspec.Raw])
_part = msgspec.json.Decoder(_Part)
_string = msgspec.json.Decoder(str)


def prompt_text(messages_raw: bytes) -> str:
    """Return the first system message, a line break and the last user message of a raw OpenAI ``messages`` array.

    The system message is cut to ``MAX_SYSTEM`` characters, the user's to its first ``MAX_USER``. Text parts are joined
    by line breaks, other parts are left out. Anything malformed gives ``""``; nothing is raised.
    """
    try:
        messages = _decoder.decode(messages_raw)
        system = next((m for m in messages if m.role in ROLES_OF_SYSTEM), _UserMessage())
        user = next((m for m in reversed(messages) if m.role == "user"), _UserMessage())
        texts = (_text(system.content, MAX_SYSTEM), _text(user.content, MAX_USER))
    # Content nested a thousand levels deep raises RecursionError, input that is not bytes raises TypeError.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
        return ""
    return "\n".join(text for text in texts if text)


def _text(content: msgspec.Raw, most: int) -> str:
    """Return the first ``most`` characters of a content. No more of it is decoded: it may have megabytes."""
    first = _first(content)
    if first == b'"':
        return _beginning(content, most)
    if first != b"[":
        return ""
    texts: list[str] = []
    left = most
    for raw in _list.decode(content):
        if left <= 0:
            break
        if _first(raw) == b"{" and _first(text := _part.decode(raw).text) == b'"':
            texts.append(_beginning(text, left))
            left -= len(texts[-1]) + 1
    return "\n".join(texts)[:most]


def _first(raw: msgspec.Raw) -> bytes:
    return bytes(memoryview(raw)[:1])


def _beginning(raw: msgspec.Raw, most: int) -> str:
    """Return the first ``most`` characters of the text whose JSON is ``raw``."""
    size = (most + 2) * CHARACTER_BYTES
    if len(raw) <= size:
        return _string.decode(raw)[:most]
    cut = bytes(memoryview(raw)[:size])
    # The last character may be cut, and is more than what is returned.
    for end in range(size, size - CHARACTER_BYTES, -1):
        try:
            return _string.decode(cut[:end] + b'"')[:most]
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return ""
