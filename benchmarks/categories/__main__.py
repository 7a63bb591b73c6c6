"""Judge the shipped classifier on public prompts, and write docs/categories.md.

    python -m benchmarks.categories [PROMPTS]

PROMPTS is the folder of public prompts that ``models.categories.corpus`` describes.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.categories.language_tests import LanguageScore, code_scores, natural_scores
from benchmarks.categories.page import write_page
from benchmarks.categories.second_labelling import AgreementRow, compare, relabel
from benchmarks.categories.tag_scores import TagScores, judge_tags
from models.categories.classify import CLASSES, THRESHOLD, Classifier
from models.categories.corpus import NONE, Example, read
from models.categories.evaluate import ClassificationScores, calibration_error, keyword_labels, score
from models.categories.taxonomy import CATEGORIES

ROOT = Path(__file__).parents[2]
PROMPTS = ROOT.parent / "shared/datasets/prompts"
SOURCES = ("arena_hard", "self_instruct_user_oriented", "self_instruct_seed", "prompts_chat")
UNKNOWN = "unknown"
ALL = "all four"


class SourceScores(NamedTuple):
    """Hold what the classifier did on one source, or on all together.

    ``forced`` scores the likeliest category even below the threshold, ``served`` counts *unknown* as an error.
    """

    served: ClassificationScores
    forced: ClassificationScores
    rules: ClassificationScores
    coverage: float
    right_of_kept: float
    none_kept: float
    calibration: float
    confusion: Counter[tuple[str, str]]


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PROMPTS
    if not folder.exists():
        sys.exit("the folder of public prompts is not here: nothing was measured")
    classifier = Classifier.load()
    examples = {name: read(folder, name) for name in SOURCES}
    chances = {name: _chances(classifier, rows) for name, rows in examples.items()}
    scores = {name: judge(rows, chances[name]) for name, rows in examples.items()}
    pooled = [e for rows in examples.values() for e in rows]
    scores[ALL] = judge(pooled, np.concatenate(list(chances.values())))
    agreements = {name: compare(*relabel(rows)) for name, rows in {**examples, ALL: pooled}.items()}
    labellings = judge_labellings(classifier, pooled)
    tags = judge_tags(classifier, pooled)
    milliseconds = _speed(classifier, pooled)
    natural, code = natural_scores(), code_scores(folder)
    for name, found in scores.items():
        print(name, round(found.served.macro_f1, 3), round(found.forced.macro_f1, 3), round(found.coverage, 3))
    _print_others(agreements, labellings, tags, {**natural, **code}, milliseconds)
    page = write_page(classifier.header, scores, agreements, labellings, tags, natural, code, milliseconds)
    (ROOT / "docs/categories.md").write_text(page, encoding="utf-8")


def judge(examples: Sequence[Example], chances: np.ndarray) -> SourceScores:
    """Score probabilities over ``CLASSES``, one row for each example."""
    twelve = chances[:, : len(CATEGORIES)]
    forced, sure = [CATEGORIES[best] for best in twelve.argmax(axis=1)], twelve.max(axis=1)
    served = [label if s >= THRESHOLD else UNKNOWN for label, s in zip(forced, sure, strict=True)]
    inside = [(e.category, label) for e, label in zip(examples, served, strict=True) if e.category != NONE]
    kept = [pair for pair in inside if pair[1] != UNKNOWN]
    none = [label != UNKNOWN for e, label in zip(examples, served, strict=True) if e.category == NONE]
    return SourceScores(
        score(examples, served),
        score(examples, forced),
        score(examples, keyword_labels(examples)),
        len(kept) / len(inside),
        sum(a == b for a, b in kept) / max(len(kept), 1),
        sum(none) / max(len(none), 1),
        calibration_error(examples, forced, sure, none=False),
        Counter(inside),
    )


def judge_labellings(classifier: Classifier, examples: Sequence[Example]) -> dict[str, SourceScores]:
    """Judge the classifier on the prompts that were labelled twice: by each labelling, and where both agree."""
    first, second = relabel(examples)
    chances = _chances(classifier, first)
    agreed = [a.category == b.category for a, b in zip(first, second, strict=True)]
    return {
        "first": judge(first, chances),
        "second": judge(second, chances),
        "where both agree": judge([e for e, kept in zip(first, agreed, strict=True) if kept], chances[agreed]),
    }


def _chances(classifier: Classifier, examples: Sequence[Example]) -> np.ndarray:
    return np.array([classifier.probabilities(e.text)[0] for e in examples]).reshape(len(examples), len(CLASSES))


def _speed(classifier: Classifier, examples: Sequence[Example]) -> float:
    """Milliseconds for all labels of a prompt, median."""
    times = []
    for example in examples[:300]:
        start = time.perf_counter()
        classifier.label(example.text)
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1000


def _print_others(
    agreements: dict[str, AgreementRow],
    labellings: dict[str, SourceScores],
    tags: TagScores,
    languages: dict[str, LanguageScore],
    milliseconds: float,
) -> None:
    print(f"{milliseconds:.2f} ms", tags)
    for labelling, judged in labellings.items():
        print(labelling, judged.served.n, round(judged.served.macro_f1, 3))
    for name, found in {**agreements, **languages}.items():
        print(name, found)


if __name__ == "__main__":
    main()
