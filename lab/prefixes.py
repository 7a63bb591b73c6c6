"""Simulate the prompt caches of the lab's providers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from lab.text import characters

# Prompts below this many tokens are not cached, as with the large providers.
MIN_TOKENS = 1024
# Number of prefixes stored for each endpoint, which bounds memory; the oldest is evicted.
SIZE = 4096


class Prefixes:
    """Store the prompt prefixes that each endpoint has seen, in steps of a message. Entries do not expire."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[bytes, None]] = {}

    def read(self, endpoint: str, messages: Sequence[Any]) -> int:
        """Return the tokens of the longest stored prefix of ``messages``, and store all of their prefixes."""
        seen = self._seen.setdefault(endpoint, {})
        digest = blake2b(digest_size=16)
        size = known = 0
        for message in messages:
            digest.update(json.dumps(_unmarked(message), sort_keys=True).encode())
            size += characters(message.get("content"))
            prefix = digest.digest()
            if prefix in seen:
                known = size
            seen.pop(prefix, None)
            seen[prefix] = None
        while len(seen) > SIZE:
            del seen[next(iter(seen))]
        return known // 4 if known // 4 >= MIN_TOKENS else 0


def _unmarked(message: Any) -> Any:
    """Remove ``cache_control``, which clients move from turn to turn."""
    if isinstance(message, dict):
        return {name: _unmarked(value) for name, value in message.items() if name != "cache_control"}
    return [_unmarked(part) for part in message] if isinstance(message, list) else message
