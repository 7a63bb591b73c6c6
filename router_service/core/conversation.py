"""Define the key that identifies a conversation."""

from __future__ import annotations

from typing import Literal, NamedTuple

KeySource = Literal["session_id", "prompt_cache_key", "conversation"]


class ConversationKey(NamedTuple):
    """Identify a conversation of one account by ``digest``; ``source`` names the field that the digest was made from.

    ``pinned`` is true while tool results or signed reasoning are pending: the provider must not change then.
    """

    digest: bytes
    source: KeySource
    pinned: bool
