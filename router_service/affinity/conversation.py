"""Identify the conversation of a request, and decide whether its provider may still change.

Bodies can be large, so only the beginning and the end of ``messages`` are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b

from router_service.core.canonical_turns import PREFIX_BYTES, TurnsTooLong, canonical_turns
from router_service.core.conversation import ConversationKey, KeySource
from router_service.core.request import Head

# Providers cache nothing below 1,024 tokens (the minimum that OpenAI and Anthropic document), at 4 bytes a token.
MIN_CACHED_BYTES = 4096
# The last assistant message is searched for within this distance from the end of ``messages``.
TAIL_BYTES = 262_144
CACHE_MARK_BYTES = 32_768
MAX_TURNS_BACK = 64
_ROLE = re.compile(rb'"role"\s*:\s*"(\w+)"')
_SIGNED = re.compile(rb'"signature"\s*:\s*"|"reasoning\.encrypted"')
_HOUR = re.compile(rb'"ttl"\s*:\s*"1h"')


def conversation_key(key_hash: str, head: Head, headers: Mapping[bytes, bytes]) -> ConversationKey | None:
    """Return the conversation's key, or ``None`` for a request without an opening or with nothing to stay for.

    The key is made from ``session_id`` (of the body, else ``x-session-id``), from ``prompt_cache_key``, or from the
    conversation's opening messages. Source: "Sticky routing" of the reference's prompt caching.
    """
    messages = head.messages
    source: KeySource = "session_id"
    value = (head.session_id or "").encode() or headers.get(b"x-session-id", b"")
    if not value:
        source, value = "prompt_cache_key", _text_field(head, "prompt_cache_key")
    if not value and _is_worth_tracking(head, messages):
        source, value = "conversation", opening_digest(messages)
    if not value:
        return None
    digest = blake2b(b"\0".join((key_hash.encode(), source.encode(), value)), digest_size=16).digest()
    return ConversationKey(digest, source, is_pinned(messages))


def _is_worth_tracking(head: Head, messages: bytes) -> bool:
    """Return whether a provider may cache the prompt or leave something pending.

    A short first turn is in no provider's cache, and without tools or reasoning it leaves nothing pending. A medium may
    take many tokens, however short its address is.
    """
    fields = head.fields
    if len(messages) >= MIN_CACHED_BYTES or head.modality != "text":
        return True
    if "tools" in fields or "reasoning" in fields or "reasoning_effort" in fields:
        return True
    return b'"assistant"' in messages


def opening_digest(messages: bytes) -> bytes:
    """Return a digest of the first system or developer message and the first other message.

    The digest is empty if there is no other message. A system message after the first other one is ignored. An opening
    that is too long to be decoded counts with the bytes of its beginning.
    """
    opening: list[bytes] = []
    try:
        for is_system, turn in canonical_turns(messages):
            if not is_system:
                return blake2b(b"\0".join([*opening[:1], turn]), digest_size=16).digest()
            opening.append(turn)
    except TurnsTooLong:
        return blake2b(messages[: PREFIX_BYTES[-1]], digest_size=16).digest()
    return b""


def is_pinned(messages: bytes) -> bool:
    """Return whether the last assistant message awaits tool results or carries reasoning that a provider signed."""
    edge = end = len(messages)
    floor = max(0, end - TAIL_BYTES)
    last = True
    for _ in range(MAX_TURNS_BACK):
        place = messages.rfind(b'"role"', floor, edge)
        if place < 0:
            return False
        # Quotes within a string are escaped, so this is a key, or a string that consists of this word alone.
        role = _ROLE.match(messages, place)
        if role is not None:
            if role[1] == b"tool" and last:
                return True
            last = False
            if role[1] == b"assistant":
                before = max(messages.rfind(b'"role"', floor, place), floor)
                return _SIGNED.search(messages, before, end) is not None
            end = place
        edge = place
    return False


def asks_for_hour_cache(head: Head) -> bool:
    """Return whether the request asks for a prompt cache of one hour (``cache_control`` with ``ttl: "1h"``).

    Cache marks are set on tools, on the first messages or on the last, so both ends of each field are searched.
    """
    if head.released:
        return head.released.asks_for_hour_cache
    for name in ("cache_control", "tools", "messages"):
        raw = memoryview(head.fields.get(name, b""))
        if _HOUR.search(raw, 0, CACHE_MARK_BYTES) or _HOUR.search(raw, max(0, len(raw) - CACHE_MARK_BYTES)):
            return True
    return False


def _text_field(head: Head, name: str) -> bytes:
    raw = bytes(head.fields.get(name, b""))
    return raw if len(raw) > 2 and raw.startswith(b'"') else b""
