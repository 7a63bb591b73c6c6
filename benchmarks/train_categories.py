"""Trains the category classifier, judges it on sources it has not seen, writes the weights and docs/categories.md.

    python -m benchmarks.train_categories [PROMPTS]

PROMPTS is the folder of public prompts that ``models.categories.corpus`` describes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import vstack

from models.categories.classify import Classifier
from models.categories.corpus import HELD_OUT, SOURCES, Example, read, seeds
from models.categories.evaluate import (
    calibration_error,
    kept,
    keyword_labels,
    labels,
    majority_labels,
    score,
)
from models.categories.taxonomy import DEFINITIONS
from models.categories.train import CLASSES, NGRAM_WEIGHT, FittedClassifier, augment, fit, publish, term_frequencies

ROOT = Path(__file__).parents[1]
PROMPTS = ROOT.parent / "shared/datasets/prompts"
# Sources of several categories, of which each is left out of the training once.
FOLDS = ("prompts_chat", "clinc150", "self_instruct_seed")
TEMPERATURES = np.geomspace(0.02, 5.0, 120)


class Form(NamedTuple):
    """A model that was tried; with ``c`` it is a logistic regression."""

    name: str
    ngram_weight: float = NGRAM_WEIGHT
    c: float | None = None
    seeds: bool = True


FORMS = (
    Form("shipped: complement naive Bayes, words and 4-grams"),
    Form("the same, 4-grams at the weight 0.6", ngram_weight=0.6),
    Form("the same, words alone", ngram_weight=0.0),
    Form("the same, without the authored seeds", seeds=False),
    Form("multinomial logistic regression, C = 1", c=1.0),
    Form("multinomial logistic regression, C = 10", c=10.0),
)


class Table(NamedTuple):
    """Examples of a source, augmented for training, and their term frequencies; the plain ones come first."""

    examples: list[Example]
    plain: int
    frequencies: Any


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PROMPTS
    if not folder.exists():
        sys.exit("the folder of public prompts is not here: nothing was trained")
    tables = {name: _table(read(folder, name)) for name in SOURCES if name not in HELD_OUT}
    tables["seeds"] = _table(seeds())
    forms, chances = {}, {}
    for form in FORMS:
        found = {fold: _left_out(tables, fold, form) for fold in FOLDS}
        forms[form.name] = {f: score(tables[f].examples[: tables[f].plain], labels(p)[0]) for f, p in found.items()}
        chances[form.name] = found
        print(form.name, {fold: round(s.macro_f1, 3) for fold, s in forms[form.name].items()}, flush=True)
    temperature = _temperature(tables, chances[FORMS[0].name])
    examples = [e for table in tables.values() for e in table.examples]
    fitted = fit(examples, vstack([table.frequencies for table in tables.values()]).tocsr())
    held_out = {name: read(folder, name) for name in HELD_OUT}
    target = ROOT / "models/categories"
    facts = {"trained_on": {name: table.plain for name, table in tables.items()}, "never_trained_on": HELD_OUT}
    served = publish(target, fitted, temperature, facts)
    facts["scores"] = {name: _headline(rows, served, temperature) for name, rows in held_out.items()}
    publish(target, fitted, temperature, facts)
    document = _document(tables, forms, held_out, fitted, served, temperature)
    (ROOT / "docs/categories.md").write_text(document, encoding="utf-8")


def _table(examples: list[Example]) -> Table:
    more = augment(examples)
    return Table(more, len(examples), term_frequencies([e.text for e in more]))


def _left_out(tables: dict[str, Table], fold: str, form: Form) -> Any:
    """Probabilities for the prompts of one source, of a model trained on all the others."""
    names = [name for name in tables if name != fold and (form.seeds or name != "seeds")]
    examples = [e for name in names for e in tables[name].examples]
    rows = vstack([tables[name].frequencies for name in names]).tocsr()
    held = tables[fold].frequencies[: tables[fold].plain]
    return fit(examples, rows, form.ngram_weight, form.c).probabilities(held)


def _temperature(tables: dict[str, Table], chances: dict[str, Any]) -> float:
    """The temperature of least log loss over the left-out sources, each of which weighs the same."""

    def loss(temperature: float) -> float:
        losses = []
        for fold, found in chances.items():
            truth = [CLASSES.index(e.category) for e in tables[fold].examples[: tables[fold].plain]]
            logits = np.log(np.maximum(found, 1e-300)) / temperature
            logits -= logits.max(axis=1, keepdims=True)
            losses.append((np.log(np.exp(logits).sum(axis=1)) - logits[range(len(truth)), truth]).mean())
        return float(np.mean(losses))

    return round(float(min(TEMPERATURES, key=loss)), 3)


def _headline(examples: Sequence[Example], fitted: FittedClassifier, temperature: float) -> dict[str, float]:
    chances = fitted.probabilities(term_frequencies([e.text for e in examples]), temperature)
    predicted, sure = labels(chances)
    found = score(examples, predicted)
    return {
        "n": found.n,
        "accuracy": round(found.accuracy, 3),
        "macro_f1": round(found.macro_f1, 3),
        "ece": round(calibration_error(examples, predicted, sure, none=False), 3),
        "ece_with_none": round(calibration_error(examples, predicted, sure, none=True), 3),
    }


def _document(
    tables: dict[str, Table],
    forms: dict[str, Any],
    held_out: dict[str, list[Example]],
    fitted: FittedClassifier,
    served: FittedClassifier,
    temperature: float,
) -> str:
    training = [e for table in tables.values() for e in table.examples[: table.plain]]
    size, milliseconds = _size_and_speed()
    first, *others = forms
    parts = [INTRODUCTION]
    parts += _grid(("category", "what belongs to it"), [(c, text) for c, text in DEFINITIONS.items()])
    parts.append(PROTOCOL)
    parts += _grid(
        HEADLINE, [row for name, rows in held_out.items() for row in _compared(name, rows, served, training)]
    )
    for name, examples in held_out.items():
        chances = served.probabilities(term_frequencies([e.text for e in examples]), temperature)
        parts += _details(name, examples, chances)
    parts.append("## Leave one source out\n\nMacro-F1 (accuracy) on each source, trained on all the others.\n")
    rows = [
        (name, *(f"{s.macro_f1:.3f} ({s.accuracy:.3f})" for s in forms[name].values()), f"{_mean(forms[name]):.3f}")
        for name in (first, *others)
    ]
    parts += _grid(("model", *FOLDS, "mean macro-F1"), rows)
    rounding = np.abs(
        fitted.probabilities(tables["prompts_chat"].frequencies, temperature)
        - served.probabilities(tables["prompts_chat"].frequencies, temperature)
    )
    sizes = ", ".join(f"{name} {table.plain}" for name, table in tables.items())
    parts.append(
        f"The temperature, {temperature}, is the one of least log loss on these left-out prompts.\n\n"
        f"## Size and speed\n\nTrained on {len(training)} prompts: {sizes}. `weights.npz` is {size / 1000:.0f} kB. "
        f"Rounding to int8 moves no probability by more than {rounding.max():.3f}. A prompt of 2,000 characters "
        f"takes {milliseconds:.1f} ms (median, one core of the machine that wrote this file).\n"
    )
    parts.append(CAVEATS)
    return "\n".join(parts)


def _mean(folds: dict[str, Any]) -> float:
    return float(np.mean([s.macro_f1 for s in folds.values()]))


def _compared(
    name: str, examples: list[Example], served: FittedClassifier, training: Sequence[Example]
) -> list[tuple[object, ...]]:
    frequencies = term_frequencies([e.text for e in examples])
    answers = {
        "classifier": labels(served.probabilities(frequencies))[0],
        "keyword rules": keyword_labels(examples),
        "majority in training": majority_labels(training, examples),
    }
    found = {who: score(examples, predicted) for who, predicted in answers.items()}
    return [(name, s.n, who, f"{s.accuracy:.3f}", f"{s.macro_f1:.3f}") for who, s in found.items()]


def _details(name: str, examples: list[Example], chances: Any) -> list[str]:
    predicted, sure = labels(chances)
    found = score(examples, predicted)
    inside, every = (calibration_error(examples, predicted, sure, none=none) for none in (False, True))
    parts = [f"### {name}\n"]
    rows = [(c, f"{p:.2f}", f"{r:.2f}", f"{f:.2f}", n) for c, (p, r, f, n) in found.rows.items()]
    parts += _grid(("category", "precision", "recall", "F1", "prompts"), rows)
    parts.append(
        f"Expected calibration error {inside:.3f} over the {found.n} prompts of the twelve; {every:.3f} over all "
        f"{len(examples)}, where every label of a prompt outside the twelve counts as wrong.\n"
    )
    thresholds = [(t, *(f"{x:.2f}" for x in kept(examples, predicted, sure, t))) for t in (0.3, 0.5, 0.7)]
    return parts + _grid(("confidence at least", "kept of the twelve", "accuracy of those", "kept of none"), thresholds)


def _grid(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"]


def _size_and_speed() -> tuple[int, float]:
    """Bytes of the weights, and milliseconds for a prompt of 2,000 characters of the seeds."""
    classifier = Classifier.load()
    text = " ".join(e.text for e in seeds()[::97])[:2000]
    times = []
    for _ in range(200):
        start = time.perf_counter()
        classifier.classify(text)
        times.append(time.perf_counter() - start)
    return (ROOT / "models/categories/weights.npz").stat().st_size, float(np.median(times)) * 1000


HEADLINE = ("source", "prompts", "labelled by", "accuracy", "macro-F1")
INTRODUCTION = """# Categories of prompts

Written by `python -m benchmarks.train_categories`, which trains the weights and measures them.

A sampled share of the prompts is labelled off the hot path. Only the label and its confidence are kept; the
classifier reads the first 2,000 and the last 500 characters, on one core, with numpy alone. It is linear: words
and 4-grams of characters, hashed, weighted by rarity, into a complement naive Bayes over the twelve categories of
the reference API and a thirteenth, `none`, that is never given as a label. It takes probability away from prompts
that belong to none of the twelve, so that their confidence is low. The confidence is a softmax whose temperature was
fitted on left-out sources.
"""
PROTOCOL = """## On sources that were not trained on

Arena-Hard v0.1 and the user-oriented tasks of self-instruct were labelled by hand (`models/categories/labels.toml`),
one prompt at a time, most of them by their openings. What belongs to none of the twelve, or clearly to two, has no
label and is left out of accuracy and macro-F1. Macro-F1 is over the categories that occur. Categories with fewer
than ten prompts say little. The learner was chosen by the table of the section "Leave one source out" alone; a
logistic regression that these sources were also scored with, before it, had a macro-F1 of 0.434 and 0.507.
The majority and the keyword rules (`keywords.toml`, the category with the most of its words) are baselines: the
classifier is right more often than the rules, but its macro-F1 is no better than theirs, and unlike theirs its
label has a confidence. A label of 0.5 or more is right about seven times in eight, if the prompt belongs to any of
the twelve; the tables give what that threshold costs.
"""
CAVEATS = """## What to bear in mind

- The data sets are CLINC150 (CC-BY-3.0), GPTeacher (MIT), prompts.chat (CC0-1.0), self-instruct (Apache-2.0) and
  Arena-Hard v0.1 (Apache-2.0). Only derived weights and the numbers of labelled prompts are shipped.
- marketing, marketing/seo, technology, legal and academia rest mostly on `seeds.toml` and `keywords.toml`: sentences
  and words written for this. Their author had seen the openings of the judging prompts, which may flatter the scores.
- There is one labeller, and no second opinion. prompts.chat is labelled by rules on its titles, which err at times.
- No judging source holds more than one prompt of marketing/seo, six of legal or ten of roleplay in all: of those
  three, these scores tell next to nothing.
- Prompts in other languages than English are hardly in the data, apart from requests to translate.
- Where a category ends is a convention: dictionary and grammar questions are translation, deep learning as a theory is
  science, tax is finance, fitness and nutrition are health, films and puzzles are trivia.
"""

if __name__ == "__main__":
    main()
