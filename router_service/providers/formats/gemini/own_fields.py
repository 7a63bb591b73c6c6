"""Read the fields that only this vendor has, from wherever a client may have written them.

Sources: Gemini API docs: OpenAI compatibility, "extra_body"; Safety settings; Context caching.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest
from router_service.core.wire.chat import DIALECT as CHAT
from router_service.providers.formats.gemini.names import DIALECT

# Fields of the chat dialect that this format reads.
READ = frozenset({"image_config", "web_search_options", "prompt_cache_key", "safety_settings", "cached_content"})
WRAPPER = "extra_body"
# Fields that the request's own parts decide.
_DECIDED = frozenset({"model", "contents", "systemInstruction", "tools", "toolConfig", "serviceTier"})


def own_fields(request: GenerationRequest) -> dict[str, Any]:
    """Return the top-level fields of this dialect that the client wrote, by their names on the wire.

    Clients of the chat dialect write them as Google's compatible API documents them, or beside the others.
    """
    chat = request.extras.get(CHAT, {})
    found: dict[str, Any] = {}
    for fields in (chat, google_fields(chat)):
        for name, sent in (("safety_settings", "safetySettings"), ("cached_content", "cachedContent")):
            if (value := _decoded(fields.get(name))) is not None:
                found[sent] = value
    found |= {name: _decoded(value) for name, value in request.extras.get(DIALECT, {}).items() if name not in _DECIDED}
    _check(found)
    return found


def google_fields(chat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object ``google`` of ``extra_body``, as Google's compatible API takes it."""
    wrapper = _decoded(chat.get(WRAPPER))
    found = wrapper.get("google") if isinstance(wrapper, dict) else None
    return found if isinstance(found, dict) else {}


def chat_field(request: GenerationRequest, name: str) -> Any:
    """Return a field of the chat dialect that the middle does not know, ``None`` for none."""
    return _decoded(request.extras.get(CHAT, {}).get(name))


def unread_fields(request: GenerationRequest) -> set[str]:
    """Return the fields of all other dialects that no part of this format reads."""
    found: set[str] = set()
    for dialect, fields in request.extras.items():
        if dialect != DIALECT:
            found |= {name for name in fields if dialect != CHAT or name not in READ}
    chat = request.extras.get(CHAT, {})
    read = google_fields(chat)
    if read and set(read) <= {"safety_settings", "cached_content"}:
        found.discard(WRAPPER)
    return found


def _decoded(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value


def _check(found: Mapping[str, Any]) -> None:
    """Raise ``ApiError`` 400 for a field that is not of its type."""
    if not isinstance(found.get("safetySettings", []), list):
        raise ApiError("invalid_request", "safety_settings must be a list of objects with category and threshold")
    if not isinstance(found.get("cachedContent", ""), str):
        raise ApiError("invalid_request", "cached_content must be the name of a cache, such as cachedContents/abc")
