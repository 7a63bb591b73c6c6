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
    "mixed_examples",
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
    found = {name: list(row["examples"]) for name, row in _table()["tags"].items()}
    for line in _lines("task_tags.tsv"):
        tag, _, text = line.partition("\t")
        found[tag].append(text)
    return found


def category_examples(category: str) -> list[str]:
    """Return our examples of a category, or of ``none``, in a fixed order of languages, English ones first."""
    return _lines(_file_of(category))


def mixed_examples(category: str) -> list[str]:
    """Return more examples of a category, or of ``none``, a fifth of them in some language other than English."""
    return _lines(f"mixed/{_file_of(category)}")


def _file_of(category: str) -> str:
    return f"{category.replace('/', '_')}.txt"


def _lines(name: str) -> list[str]:
    lines = (files("models.categories") / "examples" / name).read_text(encoding="utf-8").splitlines()
    return [line.replace("\\n", "\n") for line in lines if line.strip()]


def programming_signs() -> dict[str, dict[str, list[str]]]:
    """Return for each programming language its ``names``, patterns of its ``code`` and tags of its ``fences``."""
    return {name: row for name, row in _table()["languages"]["programming"].items() if isinstance(row, dict)}
