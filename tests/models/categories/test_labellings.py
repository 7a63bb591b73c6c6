"""Two labellings of the public prompts are compared by code, and the documented agreement is what it finds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from benchmarks.categories import second_labelling, tag_scores
from benchmarks.categories.__main__ import SOURCES
from benchmarks.categories.second_labelling import compare, relabel
from models.categories.classify import CLASSES, Classifier
from models.categories.corpus import NONE, Example, read
from models.categories.evaluate import agreement
from models.categories.taxonomy import TAGS

ROOT = Path(__file__).parents[3]
PROMPTS = ROOT.parent / "shared/datasets/prompts"


def test_agreement_is_the_share_and_cohens_kappa() -> None:
    """Three of four are the same; by chance 0.5 × 0.25 + 0.5 × 0.75 would be, so kappa is (0.75 - 0.5) / 0.5."""
    found = agreement([("legal", "legal"), ("legal", "health"), ("health", "health"), ("health", "health")])
    assert found == (4, 0.75, pytest.approx(0.5))


def test_none_counts_as_a_category_but_not_among_the_twelve() -> None:
    first = [Example(name, name, "s") for name in ("legal", "legal", "health", NONE)]
    second = [e._replace(category=category) for e, category in zip(first, ("legal", NONE, "health", NONE), strict=True)]
    row = compare(first, second)
    assert (row.everything.prompts, row.everything.share) == (4, 0.75)
    assert (row.twelve.prompts, row.twelve.share) == (2, 1.0)
    # Legal: precision 1, recall 0.5. Health: 1.
    assert row.macro_f1 == pytest.approx((2 / 3 + 1) / 2)


def test_each_prompt_has_one_second_label_and_no_text_is_kept() -> None:
    table = tomllib.loads(second_labelling.LABELS.read_text())
    digests = [digest for group in table.values() for digest in group]
    assert set(table) == set(CLASSES)
    assert len(set(digests)) == len(digests) >= 300
    assert all(re.fullmatch(r"[0-9a-f]{10}", digest) for digest in digests)


def test_tags_are_labelled_by_the_taxonomy_and_among_the_prompts_of_the_second_labelling() -> None:
    table = tomllib.loads(tag_scores.LABELS.read_text())
    keys = [key for group in table.values() for key in group]
    assert set(table) <= set(TAGS)
    assert len(set(keys)) == len(keys) == 320
    second = tomllib.loads(second_labelling.LABELS.read_text())
    assert set(keys) <= {key for group in second.values() for key in group}


def test_the_documented_score_of_the_tags_is_that_of_the_shipped_model() -> None:
    if not PROMPTS.exists():
        pytest.skip("the public prompts are not on this machine")
    pooled = [example for source in SOURCES for example in read(PROMPTS, source)]
    found = tag_scores.judge_tags(Classifier.load(), pooled)
    page = " ".join((ROOT / "docs/categories.md").read_text().split())
    assert f"{found.coverage:.2f} get a tag, and {found.right_of_kept:.2f} of these tags are right" in page


def test_the_documented_agreement_is_that_of_the_labels() -> None:
    if not PROMPTS.exists():
        pytest.skip("the public prompts are not on this machine")
    page = (ROOT / "docs/categories.md").read_text()
    for source in ("arena_hard", "self_instruct_seed"):
        row = compare(*relabel(read(PROMPTS, source)))
        found = f"| {source} | {row.everything.prompts} | {row.everything.share:.3f} | {row.everything.kappa:.3f} |"
        assert found in page
