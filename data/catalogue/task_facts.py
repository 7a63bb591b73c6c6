"""Tell what is known of models for tasks other than chat, and which wire formats speak each task."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from data.catalogue.types import Task, WireFormat

# Wire formats by the tasks that the router has a translator for. Every wire format speaks chat.
SPOKEN: Mapping[Task, frozenset[WireFormat]] = {
    "embeddings": frozenset({"openai_chat", "cohere", "gemini"}),
    "rerank": frozenset({"cohere"}),
    "images": frozenset({"openai_chat"}),
}


def task_is_spoken(task: Task, wire_format: WireFormat) -> bool:
    """Return whether the router can ask an endpoint of ``wire_format`` for ``task``."""
    return task == "chat" or wire_format in SPOKEN.get(task, ())


def dimensions_of(canonical: str) -> int | None:
    """Return the length of the vectors of an embeddings model, or ``None`` where it is not known."""
    found: int | None = _facts()["embeddings"].get(canonical, {}).get("dimensions")
    return found


def parameters_of(canonical: str) -> frozenset[str]:
    """Return the parameters beside the input that a model of another task than chat takes."""
    shortened = _facts()["embeddings"].get(canonical, {}).get("shortened", False)
    return frozenset({"dimensions"}) if shortened else frozenset()


@cache
def _facts() -> dict[str, dict[str, Any]]:
    return tomllib.loads(resources.files("data.catalogue").joinpath("task_facts.toml").read_text(encoding="utf-8"))
