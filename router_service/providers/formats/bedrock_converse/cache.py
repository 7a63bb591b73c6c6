"""Mark where a prompt is cached.

Sources: Amazon Bedrock user guide: Prompt caching (four checkpoints in a request; tools for Claude alone); Amazon
Bedrock API reference: CachePointBlock. A checkpoint of an hour comes before any of five minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from router_service.core.parts import CacheMark

Block = dict[str, Any]
MAX_MARKS = 4


class SentBlock(msgspec.Struct):
    """Hold a block to send, and the mark after it."""

    body: Block
    mark: CacheMark | None = None


def fit_marks(
    tools: Sequence[SentBlock], prompt: Sequence[SentBlock], caches: Literal["none", "prompt", "all"], dropped: set[str]
) -> None:
    """Keep the last marks that the model takes, in the order of ``tools`` and ``prompt``, with lifetimes that fall."""
    allowed = [*(tools if caches == "all" else ()), *(prompt if caches != "none" else ())]
    marked = [block for block in allowed if block.mark is not None]
    kept = {id(block) for block in marked[-MAX_MARKS:]}
    for block in (*tools, *prompt):
        if block.mark is not None and id(block) not in kept:
            block.mark = None
            dropped.add("cache_control")
    hour = False
    for block in reversed(marked):
        if block.mark is None:
            continue
        if caches == "prompt":
            # Nova has one lifetime, which is its default.
            block.mark = CacheMark()
        hour = hour or block.mark.ttl == "1h"
        if hour:
            block.mark = CacheMark("1h")


def written(blocks: Iterable[SentBlock]) -> list[Block]:
    """Return the blocks with their marks between them."""
    found: list[Block] = []
    for block in blocks:
        found.append(block.body)
        if block.mark is not None:
            ttl = {"ttl": "1h"} if block.mark.ttl == "1h" else {}
            found.append({"cachePoint": {"type": "default"} | ttl})
    return found
