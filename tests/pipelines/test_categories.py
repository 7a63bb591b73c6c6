"""The asset trains a classifier that a router loads, from our examples and the operator's."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import dagster as dg
import pytest

from data.lake import Lake
from models.categories import corpus, train
from models.categories.classify import load_classifier
from pipelines.definitions import defs
from pipelines.defs.categories import category_classifier
from pipelines.defs.publication import published_mart
from pipelines.defs.resources import LakeResource

FEW = 8


def few_of_each_category() -> list[corpus.Example]:
    """Return some of our own examples, of every category as many."""
    found: dict[str, list[corpus.Example]] = defaultdict(list)
    for example in corpus.own_examples():
        found[example.category].append(example)
    return [example for examples in found.values() for example in examples[:FEW]]


def test_the_asset_learns_the_operators_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Our own examples are most of the training and none of what is tested here.
    few = few_of_each_category()
    monkeypatch.setattr(train, "own_examples", lambda: few)
    monkeypatch.setattr(train, "seeds", lambda: [])
    folder = Lake(tmp_path).create().categories
    (folder / "examples").mkdir(parents=True)
    own = [f"Brew the blorptin of vat {number} according to the zanfel procedure." for number in range(30)]
    (folder / "examples/science.txt").write_text("\n".join(own) + "\n\n")
    (folder / "examples/ignored.txt").write_text("not a category\n")
    resources = {"lake": LakeResource(data_dir=str(tmp_path))}
    result = dg.materialize([category_classifier], resources=resources)
    (made,) = result.asset_materializations_for_node("category_classifier")
    assert made.metadata["of_the_operator"].value == 30
    classifier = load_classifier(folder)
    text = "Start the zanfel procedure for the blorptin"
    assert classifier.label(text).category == "science"
    assert classifier.label(text).version == made.metadata["version"].value
    assert load_classifier(tmp_path / "nothing here").label(text).category != "science"


def test_a_refresh_trains_no_classifier() -> None:
    keys = defs.resolve_job_def("refresh").asset_layer.executable_asset_keys
    assert category_classifier.key not in keys
    assert published_mart.key in keys


def test_an_operators_line_break_is_one(tmp_path: Path) -> None:
    (tmp_path / "marketing_seo.txt").write_text("first\\nsecond\n")
    assert corpus.operators_examples(tmp_path) == [corpus.Example("first\nsecond", "marketing/seo", "operator")]
