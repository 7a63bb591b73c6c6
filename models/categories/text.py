"""Extract the part of a chat request that indicates its category."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["MAX_SYSTEM", "MAX_USER", "prompt_text"]

# Limits in characters. Roleplay is declared in the system message; the rest of a long one is rules of the application.
MAX_SYSTEM = 500
MAX_USER = 16_000
ROLES_OF_SYSTEM = ("system", "developer")


class _UserMessage(msgspec.Struct):
    role: str = ""
    content: Any = None


_decoder = msgspec.json.Decoder(list[_UserMessage])


def prompt_text(messages_raw: bytes) -> str:
    """Return the first system message, a line break and the last user message of a raw OpenAI ``messages`` array.

    The system message is cut to ``MAX_SYSTEM`` characters, the user's to its first ``MAX_USER``. Text parts are joined
    by line breaks, other parts are left out. Anything malformed gives ``""``; nothing is raised.
    """
    try:
        messages = _decoder.decode(messages_raw)
        system = next((m for m in messages if m.role in ROLES_OF_SYSTEM), _UserMessage())
        user = next((m for m in reversed(messages) if m.role == "user"), _UserMessage())
        texts = (_text(system.content)[:MAX_SYSTEM], _text(user.content)[:MAX_USER])
    # Content nested a thousand levels deep raises RecursionError, input that is not bytes raises TypeError.
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
        return ""
    return "\n".join(text for text in texts if text)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(part for part in parts if isinstance(part, str))
