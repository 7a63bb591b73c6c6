"""Read the taxonomy: the categories and task tags of the reference, and the languages that are told apart."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

__all__ = [
    "CATEGORIES",
    "DEFINITIONS",
    "NATURAL_LANGUAGES",
    "TAGS",
    "TAG_DEFINITIONS",
    "category_examples",
    "programming_signs",
    "tag_examples",
    "tag_group",
]


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((files("models.categories") / "taxonomy.toml").read_text(encoding="utf-8"))


# The borders are our own choice, except that language resources count as translation in the reference's mapping.
DEFINITIONS = MappingProxyType({name: row["definition"] for name, row in _table()["categories"].items()})
CATEGORIES = tuple(DEFINITIONS)
TAG_DEFINITIONS = MappingProxyType({name: row["definition"] for name, row in _table()["tags"].items()})
TAGS = tuple(TAG_DEFINITIONS)
NATURAL_LANGUAGES = tuple(_table()["languages"]["natural"]["codes"].split())


def tag_group(tag: str) -> str:
    """Return the group of a task tag: agent, code, data or general."""
    group, colon, _ = tag.partition(":")
    return group if colon else "general"


def tag_examples() -> dict[str, list[str]]:
    """Return our examples of each task tag."""
    return {name: list(row["examples"]) for name, row in _table()["tags"].items()}


def category_examples(category: str) -> list[str]:
    """Return our examples of a category, or of ``none``, English ones first."""
    name = f"{category.replace('/', '_')}.txt"
    lines = (files("models.categories") / "examples" / name).read_text(encoding="utf-8").splitlines()
    return [line.replace("\\n", "\n") for line in lines if line.strip()]


def programming_signs() -> dict[str, dict[str, list[str]]]:
    """Return for each programming language its ``names``, patterns of its ``code`` and tags of its ``fences``."""
    return {name: row for name, row in _table()["languages"]["programming"].items() if isinstance(row, dict)}
