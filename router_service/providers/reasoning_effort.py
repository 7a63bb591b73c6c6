"""Read the effort of reasoning that is asked for, and fit it to those that a provider knows.

Source: OpenRouter docs: Reasoning Tokens (reasoning without an effort is medium; the nearest supported effort).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from router_service.core.generation import ReasoningEffort, ReasoningOptions

OFF = "none"
_RANKS = {effort: rank for rank, effort in enumerate(get_args(ReasoningEffort))}


def wanted_effort(options: ReasoningOptions) -> str | None:
    """Return the effort that is asked for, or ``None`` for the usual one."""
    if options.enabled is False:
        return OFF
    if options.effort is None and (options.enabled or options.max_tokens is not None):
        # The reference reads reasoning without an effort as medium.
        return "medium"
    return options.effort


def nearest_effort(wanted: str, efforts: Sequence[str]) -> str | None:
    """Return the known effort that is nearest to ``wanted``, the lower of two; none are known where all are.

    An effort is never made none: where that is all that is known, the result is ``None`` for the usual effort.
    """
    if not efforts or wanted in efforts:
        return wanted
    rank = _RANKS[wanted]
    known = [name for name in efforts if name != OFF]
    return min(known, key=lambda name: (abs(_RANKS[name] - rank), _RANKS[name]), default=None)
