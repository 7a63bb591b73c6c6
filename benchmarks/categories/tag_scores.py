"""Judge the task tags by ``tag_labels.toml``."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.categories.second_labelling import digest
from models.categories.classify import THRESHOLD, Classifier
from models.categories.corpus import Example
from models.categories.taxonomy import TAGS, tag_group

__all__ = ["TagScores", "judge_tags"]

LABELS = Path(__file__).with_name("tag_labels.toml")


class TagScores(NamedTuple):
    """Hold shares of the labelled prompts, but for ``right_of_kept``, which is a share of those that got a tag.

    ``right`` and ``right_group`` are without threshold, ``commonest`` is the share of the most frequent tag.
    """

    prompts: int
    right: float
    right_group: float
    coverage: float
    right_of_kept: float
    commonest: float


def judge_tags(classifier: Classifier, examples: Sequence[Example]) -> TagScores:
    """Judge the tags of those ``examples`` that have one."""
    table = tomllib.loads(LABELS.read_text(encoding="utf-8"))
    labels = {key: tag for tag, keys in table.items() for key in keys}
    judged = []
    for text in dict.fromkeys(e.text for e in examples if digest(e.text) in labels):
        chances = classifier.probabilities(text)[1]
        judged.append((labels[digest(text)], TAGS[int(chances.argmax())], round(float(chances.max()), 4) >= THRESHOLD))
    kept = [truth == tag for truth, tag, sure in judged if sure]
    return TagScores(
        len(judged),
        sum(truth == tag for truth, tag, _ in judged) / len(judged),
        sum(tag_group(truth) == tag_group(tag) for truth, tag, _ in judged) / len(judged),
        len(kept) / len(judged),
        sum(kept) / max(len(kept), 1),
        Counter(truth for truth, _, _ in judged).most_common(1)[0][1] / len(judged),
    )
