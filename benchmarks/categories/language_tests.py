"""Measure the detectors of natural language and of code on texts whose language is known by construction."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from models.categories.corpus import SOURCES
from models.categories.languages import holds_code, natural_language
from models.categories.taxonomy import CATEGORIES, category_examples

# The last examples of a category are four in each of these languages; all before them are English.
LANGUAGES = ("de", "fr", "es", "pt", "it", "ru", "zh", "ja", "ko")
EACH = 4
SHORTEST = 20
# Translations mix languages in one prompt.
MIXED = ("translation",)
SAMPLED = 500


class LanguageScore(NamedTuple):
    """Count the texts of a language and those that were detected as it; ``taken_for`` names the commonest errors."""

    texts: int
    right: int
    taken_for: str


def natural_scores() -> dict[str, LanguageScore]:
    """Score our examples of ``SHORTEST`` characters or more, by language."""
    texts: dict[str, list[str]] = {}
    for category in CATEGORIES:
        if category in MIXED:
            continue
        lines = category_examples(category)
        foreign = len(LANGUAGES) * EACH
        texts.setdefault("en", []).extend(lines[:-foreign])
        for place, line in enumerate(lines[-foreign:]):
            texts.setdefault(LANGUAGES[place // EACH], []).append(line)
    scores = {}
    for language, lines in texts.items():
        long = [line for line in lines if len(line) >= SHORTEST]
        found = Counter(label.code if (label := natural_language(line)) else "none" for line in long)
        wrong = ", ".join(f"{code} {count}" for code, count in found.most_common() if code != language)
        scores[language] = LanguageScore(len(long), found[language], wrong)
    return scores


def code_scores(folder: Path) -> dict[str, LanguageScore]:
    """Score answers that hold code (GPTeacher's, in a code block or not) and prompts that hold none."""
    rows = json.loads((folder / "gpteacher_codegen.json").read_bytes())
    dice = random.Random(0)
    with_code = [row["response"] for row in dice.sample(rows, SAMPLED)]
    without = [text for source in ("clinc150", "gpteacher_roleplay") for text, _ in SOURCES[source](folder)]
    without = dice.sample(without, SAMPLED)
    found, spared = sum(map(holds_code, with_code)), sum(not holds_code(text) for text in without)
    return {"code": LanguageScore(SAMPLED, found, ""), "no code": LanguageScore(SAMPLED, spared, "")}
