"""Name the dialect, and the origin of parts that may return to it alone."""

from __future__ import annotations

import re

from data.catalogue.types import Endpoint

DIALECT = "cohere"
# Names of tools are identifiers: letters, digits and ``_``, no digit first. Source: Cohere docs, "Errors" (2025-11-08).
MAX_TOOL_NAME = 64
_REASONS = re.compile(r"reasoning|thinking")


def origin_at(endpoint: Endpoint) -> str:
    """Return the origin of reasoning: only the same model of the same provider gets it back."""
    return f"{DIALECT}/{endpoint.provider}/{endpoint.upstream_model}"


def reasons(upstream_model: str) -> bool:
    """Return whether a model can be asked to think. Source: Cohere docs, "Reasoning" (2026-11)."""
    return _REASONS.search(upstream_model.lower()) is not None
