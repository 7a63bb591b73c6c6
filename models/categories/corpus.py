"""Read public prompts with the category that ``labels.toml`` gives them, and the sentences of ``seeds.toml``.

The data sets are no part of the project. Their folder holds ``clinc150_data_full.json`` (CC-BY-3.0),
``gpteacher_codegen.json`` and ``gpteacher_roleplay.json`` (MIT), ``prompts_chat.csv`` (CC0-1.0),
``self_instruct_seed_tasks.jsonl`` and ``self_instruct_user_oriented.jsonl`` (Apache-2.0) and
``arena_hard_v0.1_question.jsonl`` (Apache-2.0).
"""

from __future__ import annotations

import csv
import json
import random
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from models.categories.taxonomy import CATEGORIES, category_examples, mixed_examples

__all__ = ["NONE", "SOURCES", "Example", "keywords", "operators_examples", "own_examples", "read", "seeds", "systems"]

# The label of a prompt that belongs to none of the twelve.
NONE = "none"
# Limits that keep one style from dominating the others.
PER_INTENT = 10
PER_SOURCE = 1500
# Limit of a source with one category, whose style would be taken for the category's.
PER_CATEGORY_ALONE = 100
LONG_SEEDS = 60
SHORT_SEEDS = 60


class Example(NamedTuple):
    """Hold a prompt with its category, one of ``CATEGORIES`` or ``NONE``, and its source."""

    text: str
    category: str
    source: str


def read(folder: Path, source: str) -> list[Example]:
    """Read the examples of one of ``SOURCES``, always in the same order. Raises ``OSError`` without the file."""
    found = [Example(text, category, source) for text, category in SOURCES[source](folder) if text.strip()]
    random.Random(0).shuffle(found)
    return found[:PER_SOURCE]


def seeds() -> list[Example]:
    """Return every task, every subject in every shape, and longer texts drawn from both and from the keywords."""
    table, dice = _table("seeds.toml"), random.Random(0)
    found = []
    for category, words in keywords().items():
        tasks, subjects = table[category]["tasks"], table[category]["subjects"]
        shaped = [shape.format(subject) for subject in subjects for shape in table["shapes"]]
        # Without long texts in every category, length alone would indicate the category.
        long = [
            " ".join((*dice.sample(shaped, 2), dice.choice(tasks), *dice.sample(words, 12))) for _ in range(LONG_SEEDS)
        ]
        short = [dice.choice(table["shapes"]).format(" ".join(dice.sample(words, 3))) for _ in range(SHORT_SEEDS)]
        found += [Example(text, category, "seeds") for text in (*tasks, *shaped, *long, *short)]
    return found


def own_examples() -> list[Example]:
    """Return our examples of each category and of none."""
    return [
        Example(text, name, "examples")
        for name in (*CATEGORIES, NONE)
        for text in (*category_examples(name), *mixed_examples(name))
    ]


def operators_examples(folder: Path) -> list[Example]:
    """Return the examples that an operator keeps in ``folder``: a file for each category, such as ``legal.txt``.

    A slash in a category is an underscore in its file. There is one example a line, ``\\n`` stands for a line break.
    """
    found = []
    for name in (*CATEGORIES, NONE):
        path = folder / f"{name.replace('/', '_')}.txt"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        found += [Example(line.replace("\\n", "\n"), name, "operator") for line in lines if line.strip()]
    return found


def keywords() -> dict[str, list[str]]:
    """Return the keywords of each category."""
    table = _table("keywords.toml")
    return {category: table[category].split() for category in CATEGORIES}


def systems() -> list[str]:
    """Return common system messages."""
    return list(_table("seeds.toml")["systems"])


def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((files("models.categories") / name).read_text(encoding="utf-8"))


def _inverse(name: str) -> dict[Any, str]:
    return {key: category for category, keys in _table("labels.toml")[name].items() for key in keys}


def _clinc150(folder: Path) -> Iterator[tuple[str, str]]:
    labels = _inverse("clinc150")
    seen: Counter[str] = Counter()
    for text, intent in json.loads((folder / "clinc150_data_full.json").read_bytes())["train"]:
        category = labels.get(intent, NONE)
        seen[intent] += 1
        # Intents without a category are the majority: a few of each suffice.
        if seen[intent] <= (PER_INTENT if category != NONE else PER_INTENT // 2):
            yield text, category


def _gpteacher(name: str, category: str, folder: Path) -> Iterator[tuple[str, str]]:
    rows = json.loads((folder / f"gpteacher_{name}.json").read_bytes())
    for row in random.Random(0).sample(rows, PER_CATEGORY_ALONE):
        yield f"{row['instruction']}\n{row['input']}".strip(), category


def _prompts_chat(folder: Path) -> Iterator[tuple[str, str]]:
    rules = [(re.compile(rule["pattern"].replace("\n", "")), rule["category"]) for rule in _table("labels.toml")[PC]]
    csv.field_size_limit(10**8)
    with (folder / "prompts_chat.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            fallback = "programming" if row["for_devs"] == "TRUE" else None
            matches = (category for pattern, category in rules if pattern.search(row["act"].lower()))
            category = NONE if row["type"] == "IMAGE" else next(matches, fallback)
            if category is not None:
                yield row["prompt"], category or NONE


PC = "prompts_chat"


def _self_instruct(name: str, folder: Path) -> Iterator[tuple[str, str]]:
    labels = _inverse(f"self_instruct_{name}")
    file = folder / f"self_instruct_{'seed_tasks' if name == 'seed' else name}.jsonl"
    for row in _lines(file):
        number = int(row["id"].rsplit("_", 1)[1])
        yield f"{row['instruction']}\n{row['instances'][0]['input']}".strip(), labels.get(number, NONE)


def _arena_hard(folder: Path) -> Iterator[tuple[str, str]]:
    labels = _inverse("arena_hard")
    for row in _lines(folder / "arena_hard_v0.1_question.jsonl"):
        yield row["prompt"], labels.get(row["uid"][:8], NONE)


def _lines(path: Path) -> Iterable[Any]:
    return map(json.loads, path.read_text(encoding="utf-8").splitlines())


SOURCES = {
    "gpteacher_codegen": lambda folder: _gpteacher("codegen", "programming", folder),
    "gpteacher_roleplay": lambda folder: _gpteacher("roleplay", "roleplay", folder),
    "clinc150": _clinc150,
    PC: _prompts_chat,
    "self_instruct_seed": lambda folder: _self_instruct("seed", folder),
    "self_instruct_user_oriented": lambda folder: _self_instruct("user_oriented", folder),
    "arena_hard": _arena_hard,
}
