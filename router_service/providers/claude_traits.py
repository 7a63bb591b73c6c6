"""Tell what a model takes by the version in its name, for rules of the vendor that changed with a generation.

Sources, read 2026-11-29: Claude docs: Structured outputs, Effort, Thinking, Migration guide, What's new in Claude
Opus 5.5; OpenRouter docs: migration guides for Claude 4.7 and 5.5. An imitator's model has the traits that the format
had from the start.
"""

from __future__ import annotations

import functools
import re

import msgspec

from router_service.core.generation import ReasoningOptions

_VERSION = re.compile(r"claude-(?:([a-z]+)-)?(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?")
_FIRST_UNNUMBERED = ("mythos", (4, 7))
# Share of max_tokens that reasoning may take.
EFFORT_SHARES = {"max": 0.95, "xhigh": 0.95, "high": 0.8, "medium": 0.5, "low": 0.2, "minimal": 0.1}
MIN_BUDGET = 1024
MAX_BUDGET = 128_000
EFFORTS = ("low", "medium", "high", "xhigh", "max")


class ClaudeTraits(msgspec.Struct, frozen=True):
    """Hold what differs between generations.

    ``efforts`` are the values of ``output_config.effort``, empty where the model has no such field. ``adaptive``: the
    model takes adaptive thinking; ``budget``: it takes a budget of tokens for thinking. ``thinks``: it thinks unless
    told not to; ``always_thinks``: it cannot be told.
    """

    native_schema: bool = False
    efforts: tuple[str, ...] = ()
    adaptive: bool = False
    budget: bool = True
    thinks: bool = False
    always_thinks: bool = False
    sampling: bool = True
    prefill: bool = True
    forced_tools: bool = True


@functools.lru_cache(maxsize=256)
def claude_traits(upstream_model: str) -> ClaudeTraits:
    """Return the traits of a model by its provider's name for it."""
    found = _VERSION.search(upstream_model.lower())
    if found:
        family, version = found[1] or "", (int(found[2]), int(found[3] or 0))
    elif f"claude-{_FIRST_UNNUMBERED[0]}" in upstream_model:
        family, version = _FIRST_UNNUMBERED
    else:
        return ClaudeTraits()
    steered = family in ("fable", "mythos")
    return ClaudeTraits(
        native_schema=version >= (4, 5),
        efforts=_efforts(family, version),
        adaptive=version >= (4, 6),
        budget=version < (4, 7),
        thinks=version >= (5, 0),
        always_thinks=steered or version >= (5, 5),
        sampling=version < (4, 7),
        prefill=version < (4, 6),
        forced_tools=version < ((5, 1) if steered else (5, 5)),
    )


def _efforts(family: str, version: tuple[int, int]) -> tuple[str, ...]:
    if version >= (4, 7):
        return EFFORTS
    if version >= (4, 6):
        return ("low", "medium", "high", "max")
    return ("low", "medium", "high") if family == "opus" and version == (4, 5) else ()


def nearest_claude_effort(effort: str, efforts: tuple[str, ...]) -> str:
    """Return the highest of ``efforts`` that is not above ``effort``, or their lowest."""
    rank = EFFORTS.index(effort) if effort in EFFORTS else 0
    return next((name for name in reversed(efforts) if EFFORTS.index(name) <= rank), efforts[0])


def thinking_budget(options: ReasoningOptions, limit: int) -> int:
    """Return the tokens for thinking: ``max(min(max_tokens × share, 128000), 1024)``, or the client's at least 1024."""
    if options.max_tokens:
        return max(options.max_tokens, MIN_BUDGET)
    return max(min(int(limit * EFFORT_SHARES.get(options.effort or "", 0.5)), MAX_BUDGET), MIN_BUDGET)
