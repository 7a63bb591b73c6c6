"""Name the conversation that a request belongs to."""

from __future__ import annotations

from typing import Literal, NamedTuple

KeySource = Literal["session_id", "prompt_cache_key", "conversation"]


class ConversationKey(NamedTuple):
    """Identify account and conversation by ``digest``; ``source`` says what it was made of.

    ``pinned`` is true while tool results or signed reasoning are pending: the provider must not change then.
    """

    digest: bytes
    source: KeySource
    pinned: bool
