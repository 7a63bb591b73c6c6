"""Fit the cache marks of a body to the vendor's rules.

Source: Claude docs: Prompt caching: at most four marks; a mark of an hour comes before any of five minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from router_service.core.parts import CacheMark

MAX_MARKS = 4


def cache_control(mark: CacheMark) -> dict[str, Any]:
    """Return the field of a mark; a lifetime that the vendor does not have becomes its default."""
    return {"type": "ephemeral"} | ({"ttl": mark.ttl} if mark.ttl in ("5m", "1h") else {})


def fit_marks(body: dict[str, Any], dropped: set[str]) -> None:
    """Keep the last marks that the vendor takes, and give those before a mark of an hour the same lifetime.

    A mark covers all that is before it, so that a longer one asks for the longer lifetime of the earlier text as well.
    """
    marked = [block for block in _blocks(body) if "cache_control" in block]
    # The mark of the request as a whole is one of the four, at the end of the prompt.
    surplus = len(marked) - MAX_MARKS + ("cache_control" in body)
    for block in marked[: max(surplus, 0)]:
        del block["cache_control"]
        dropped.add("cache_control")
    hour = False
    for block in [body, *marked[::-1]]:
        mark = block.get("cache_control")
        if not isinstance(mark, dict):
            continue
        hour = hour or mark.get("ttl") == "1h"
        if hour and mark.get("ttl") != "1h":
            block["cache_control"] = mark | {"ttl": "1h"}


def _blocks(body: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Return all that may carry a mark, in the order in which the vendor caches."""
    yield from body.get("tools", ())
    yield from body.get("system", ())
    for turn in body["messages"]:
        for block in turn["content"]:
            if block["type"] == "tool_result":
                yield from block.get("content", ())
            yield block
