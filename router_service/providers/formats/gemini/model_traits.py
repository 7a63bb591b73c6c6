"""Know what generations of Gemini models take and refuse.

Sources, read 2026-11-30: Gemini API docs: Thinking, Thought signatures, Image generation; Gemini Enterprise Agent
Platform docs: Thinking, "Control model thinking", and the developer's guide to Gemini 3.5 Flash; issues of
google-gemini/cookbook (#1290) and vercel/ai (#8943) for penalties; Gemini API docs: Context caching.
"""

from __future__ import annotations

import functools
import re
from typing import Literal

import msgspec

_VERSION = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?")
_NEWEST = (99, 0)
ALL_LEVELS = ("minimal", "low", "medium", "high")


class GeminiTraits(msgspec.Struct, frozen=True):
    """Hold what differs between models.

    ``thinking`` says how much of it a request may ask for: by a ``budget`` in tokens, by a ``level``, not at all as it
    is ``fixed``, or ``none`` because the model does not think. ``levels`` are in rising order; ``budgets`` are the
    least and the most tokens, ``stops`` is true where 0 tokens are none. ``signed_calls``: a call in the history needs
    a signature. ``json_with_tools``: JSON may be asked for beside functions. ``images`` and ``speech`` are true for
    models that make them. ``least_cached`` are the tokens that a cache has at least.
    """

    thinking: Literal["none", "budget", "level", "fixed"] = "none"
    levels: tuple[str, ...] = ()
    budgets: tuple[int, int] = (0, 0)
    stops: bool = False
    signed_calls: bool = False
    penalties: bool = False
    json_with_tools: bool = False
    images: bool = False
    speech: bool = False
    least_cached: int = 4096


@functools.lru_cache(maxsize=256)
def gemini_traits(upstream_model: str) -> GeminiTraits:
    """Return the traits of a model by its provider's name for it; an unknown name is taken for the newest Gemini."""
    name = upstream_model.lower()
    found = _VERSION.search(name)
    if found is None and "gemini" not in name:
        return GeminiTraits()
    version = (int(found[1]), int(found[2] or 0)) if found else _NEWEST
    images, speech = "-image" in name, "-tts" in name or "-audio" in name
    plain = GeminiTraits(
        signed_calls=version >= (3, 0),
        penalties=version == (2, 0),
        json_with_tools=version >= (3, 0),
        images=images,
        speech=speech,
        least_cached=4096 if version >= (3, 0) else 2048,
    )
    if version < (2, 5) or speech or (images and version < (3, 0)):
        return plain
    if version < (3, 0):
        stops = "pro" not in name
        least, most = (512 if "lite" in name else 1) if stops else 128, 24_576 if stops else 32_768
        return msgspec.structs.replace(plain, thinking="budget", budgets=(least, most), stops=stops)
    if images and "pro" in name:
        return msgspec.structs.replace(plain, thinking="fixed")
    return msgspec.structs.replace(plain, thinking="level", levels=_levels(name, version, images=images))


def _levels(name: str, version: tuple[int, int], *, images: bool) -> tuple[str, ...]:
    if images:
        return ("minimal", "high")
    if "pro" in name:
        return ("low", "high") if version == (3, 0) else ALL_LEVELS[1:]
    return ALL_LEVELS
