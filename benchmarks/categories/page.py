"""Write ``docs/categories.md`` from the measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.categories.language_tests import SHORTEST, LanguageScore
from benchmarks.categories.second_labelling import AgreementRow
from benchmarks.categories.tag_scores import TagScores
from models.categories.corpus import own_examples
from models.categories.taxonomy import (
    CATEGORIES,
    DEFINITIONS,
    TAG_DEFINITIONS,
    TAGS,
    programming_signs,
    tag_examples,
    tag_group,
)

if TYPE_CHECKING:
    from benchmarks.categories.__main__ import SourceScores

UNKNOWN = "unknown"


def write_page(
    header: Mapping[str, Any],
    scores: Mapping[str, SourceScores],
    agreements: Mapping[str, AgreementRow],
    labellings: Mapping[str, SourceScores],
    tags: TagScores,
    natural: Mapping[str, LanguageScore],
    code: Mapping[str, LanguageScore],
    milliseconds: float,
) -> str:
    """Return the page as Markdown."""
    total = scores["all four"]
    parts = [INTRODUCTION, _grid(("category", "what belongs to it"), list(DEFINITIONS.items()))]
    parts.append(TAGS_MEASURED.format(**tags._asdict()))
    parts.append(_grid(("tag", "group", "what belongs to it"), [(t, tag_group(t), TAG_DEFINITIONS[t]) for t in TAGS]))
    parts.append(PROTOCOL.format(macro=total.served.macro_f1, coverage=total.coverage, right=total.right_of_kept))
    parts.append(_grid(HEADLINE, [_headline(name, one) for name, one in scores.items()]))
    parts.append("### By category, all four sources, *unknown* counted as an error\n")
    rows = [(c, f"{p:.2f}", f"{r:.2f}", f"{f:.2f}", n) for c, (p, r, f, n) in total.served.rows.items()]
    parts.append(_grid(("category", "precision", "recall", "F1", "prompts"), rows))
    parts.append("### Confusion, all four sources\n\nA row is the category that hand or rule gave the prompt.\n")
    columns = (*CATEGORIES, UNKNOWN)
    matrix = [(c, *(total.confusion[c, found] or "" for found in columns)) for c in CATEGORIES]
    parts.append(_grid(("", *columns), matrix))
    parts.append(_labellers(agreements, labellings))
    parts.append(_languages(natural, code))
    parts.append(_closing(header, milliseconds))
    return "\n".join(parts)


def _closing(header: Mapping[str, Any], milliseconds: float) -> str:
    written, of_tags = len(own_examples()), sum(map(len, tag_examples().values()))
    counts = {"examples": header["examples"], "written": written, "tag_examples": of_tags}
    return CLOSING.format(**counts, temperature=header["temperature"], ms=milliseconds)


def _headline(name: str, one: SourceScores) -> tuple[object, ...]:
    return (
        name, one.served.n, f"{one.served.macro_f1:.3f}", f"{one.coverage:.2f}", f"{one.right_of_kept:.3f}",
        f"{one.forced.macro_f1:.3f}", f"{one.forced.accuracy:.3f}", f"{one.rules.macro_f1:.3f}", f"{one.none_kept:.2f}",
        f"{one.calibration:.3f}",
    )  # fmt: skip


def _labellers(agreements: Mapping[str, AgreementRow], labellings: Mapping[str, SourceScores]) -> str:
    rows = [
        (
            name, one.everything.prompts, f"{one.everything.share:.3f}", f"{one.everything.kappa:.3f}",
            one.twelve.prompts, f"{one.twelve.share:.3f}", f"{one.twelve.kappa:.3f}", f"{one.macro_f1:.3f}",
        )
        for name, one in agreements.items()
    ]  # fmt: skip
    judged = [
        (name, one.served.n, f"{one.served.macro_f1:.3f}", f"{one.coverage:.2f}", f"{one.right_of_kept:.3f}")
        for name, one in labellings.items()
    ]
    first = labellings["first"].served.macro_f1
    total = list(agreements.values())[-1]
    return LABELLERS.format(
        prompts=total.everything.prompts,
        agreements=_grid(AGREEMENTS, rows),
        labellings=_grid(LABELLINGS, judged),
        again=total.macro_f1,
        first=first,
        gap=total.macro_f1 - first,
    )


def _languages(natural: Mapping[str, LanguageScore], code: Mapping[str, LanguageScore]) -> str:
    texts, right = sum(one.texts for one in natural.values()), sum(one.right for one in natural.values())
    rows = [(name, one.texts, one.right, one.taken_for) for name, one in natural.items()]
    judged, spared = sum(one.texts for one in code.values()), sum(one.right for one in code.values())
    return LANGUAGES.format(
        shortest=SHORTEST,
        share=right / texts,
        texts=texts,
        table=_grid(("language", "texts", "right", "taken for"), rows),
        code=spared / judged,
        found=code["code"].right / code["code"].texts,
        spared=code["no code"].right / code["no code"].texts,
        each=code["code"].texts,
        programming=", ".join(programming_signs()),
    )


def _grid(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


TAGS_MEASURED = """## Task tags

The 30 of the reference in its four groups. They are much less reliable than the categories. Of {prompts} prompts,
{coverage:.2f} get a tag, and {right_of_kept:.2f} of these tags are right. Without threshold {right:.2f} are right, and
the most frequent tag alone would be for {commonest:.2f}. The group is right for {right_group:.2f}.

A large language model gave each of these prompts the tag that fits best, by the definitions in the taxonomy
(`benchmarks/categories/tag_labels.toml`). The prompts were drawn at random from those that were
[labelled twice](#who-labelled-and-how-well-two-labellings-agree); there is no second labelling of tags.
"""
HEADLINE = (
    "source", "prompts", "macro-F1", "coverage", "right of the covered", "macro-F1 without threshold",
    "accuracy without threshold", "macro-F1 of keyword rules", "none labelled", "calibration error",
)  # fmt: skip
INTRODUCTION = """# Categories and languages of prompts

Written by `python -m benchmarks.categories`, which measures the shipped classifier.

A sampled share of the prompts (`PORTOLAN_CATEGORY_SHARE`) is labelled off the hot path, in a background thread. Only
the labels, their confidences and the classifier's version are kept in the [record](record.md): category, task tag,
natural language and programming language. The first 2,000 and the last 500 characters are read. A label whose
confidence is below 0.5 is *unknown*: its column is null while `category_version` is set.

The taxonomy is one file, `models/categories/taxonomy.toml`; the examples are `models/categories/examples/` and
`seeds.toml`, written for this project in ten languages. Nothing else is trained on.

**Train.** Materialize the Dagster asset `category_classifier`. It trains on our examples and on your own, one a line in
`categories/examples/<category>.txt` of the data directory (`marketing_seo.txt` for `marketing/seo`, `none.txt` for
what belongs to none), and writes `model.onnx` and `model.json` to `categories/`. A router loads them when it starts;
without them, or if they fit another version, it uses the shipped ones or says in its log why it cannot.

**Replace.** A function of your own can label in place of the shipped classifier, and a model can be asked about a share
of the prompts, within a budget: see [configuration](configuration.md#labels-of-prompts). A label that is not ready when
the response ends is dropped.

## Categories
"""
PROTOCOL = """## On sources that nothing was trained on

Macro-F1 over the categories that occur, with *unknown* counted as an error: **{macro:.3f}** over all four sources, at a
coverage of {coverage:.2f}; {right:.2f} of the covered labels are right. Coverage is the share of the prompts of the
twelve that gets a label. "None labelled" is the share of the prompts outside the twelve that gets one all the same: it
is high, since such prompts often touch a category. Macro-F1 of a single source is dominated by categories with a
handful of prompts: self_instruct_user_oriented has one prompt each of roleplay, marketing/seo and legal.
"""
AGREEMENTS = (
    "source", "labelled twice", "agreement", "kappa", "of the twelve by both", "agreement on these", "kappa on these",
    "macro-F1 of the second by the first",
)  # fmt: skip
LABELLINGS = ("judged by the labelling", "prompts of the twelve", "macro-F1", "coverage", "right of the covered")
LABELLERS = """## Who labelled, and how well two labellings agree

First labelling, which all tables above judge by: Arena-Hard v0.1 and both parts of self-instruct were labelled by hand
by one labeller, one prompt at a time, most of them by their openings; prompts.chat was labelled by rules on its titles,
which err at times (`models/categories/labels.toml`).

Second labelling: a large language model, by the definitions in the taxonomy, labelled {prompts} prompts
(`benchmarks/categories/second_labels.toml`): all of Arena-Hard and self-instruct, and of prompts.chat the 350 whose
SHA-256 is lowest, which is a random sample. It gave each prompt one of the twelve or none. It saw the prompts in a
shuffled order, without their first labels, numbers, titles and clusters, and read the first 420 characters (450 of
prompts.chat) and the last 160 (120) of long ones. It had seen the first labelling's rules on titles and its lists of
numbers, but not which prompts the numbers stand for. No label was changed after the first comparison. Two people might
agree less. The first labelling leaves out prompts of more than one category, so those that both put among the twelve
are the clearer ones.

"Agreement" counts *none* as a category of its own, kappa is Cohen's. The last column judges the second labelling as if
it were a classifier: macro-F1 over the twelve by the first labelling.

{agreements}
The classifier judged by each labelling, on the prompts that were labelled twice, *unknown* counted as an error:

{labellings}
The second labelling reaches a macro-F1 of {again:.3f} by the first, the classifier {first:.3f} on the same prompts,
which is {gap:.2f} less.
"""
LANGUAGES = """## Languages

Natural language: **{share:.3f}** right of {texts} texts of at least {shortest} characters, our own examples, whose
language is known because they were written in it. The detector never saw them.

{table}
Code or not: **{code:.3f}** right; {found:.3f} of {each} answers of GPTeacher's code instructions (all counted as code,
although some are prose about code) and {spared:.3f} of {each} prompts of CLINC150 and GPTeacher's roleplay, which hold
none. Programming languages that are told apart, by code blocks, signs of code and names: {programming}.
"""
CLOSING = """## How it works, and what was tried

Two linear models see the prompt. Complement naive Bayes sees hashed words and 4-grams of characters, weighted by
rarity. Logistic regression sees the mean of static token vectors (`wordllama`, 256 dimensions, read from the wheel, no
network). Their log-probabilities are averaged and divided by a temperature, {temperature}, that was fitted on left-out
examples of ours. They know a thirteenth class, `none`, that is never a label. The graph is one ONNX file. All labels of
a prompt take {ms:.1f} ms (median, on the machine that wrote this file). A router process that labels needs about 150 MB
more memory, most of it for the two detectors' tables; with
`PORTOLAN_CATEGORY_SHARE=0` nothing is loaded. The classifier was trained on {examples} examples, {written} of them
written one by one, the others made from subjects and shapes. Task tags have two such models of their own, trained on
{tag_examples} examples; naive Bayes has 0.7 of their average, which was best on examples of ours that were left out.

On Arena-Hard and the user-oriented tasks together, without threshold, logistic regression on embeddings alone had a
macro-F1 of 0.58, both models together 0.61. Weighting tokens by rarity, and counting each once, did not help.
Training on prompts.chat, CLINC150 and GPTeacher as well did not help either (0.55 to 0.58), so they judge instead.
Three times as many written examples (`examples/mixed/`) raised macro-F1 on all four sources by less than 0.01.
Embeddings of a sentence transformer (all-MiniLM-L6-v2, English, 90 MB) had 0.62 there without threshold, and 0.69
averaged with both models, whose own average had 0.66: too little for its size.
These four sources were looked at while the learner was chosen, though no example was written from them: expect a little
less on others.

## What to bear in mind

- Only derived weights and the numbers of labelled prompts are shipped; prompts.chat (CC0-1.0), CLINC150 (CC-BY-3.0),
  GPTeacher (MIT), self-instruct (Apache-2.0) and Arena-Hard v0.1 (Apache-2.0) are read for judging alone.
- The author of `seeds.toml` had seen the openings of prompts of Arena-Hard and self-instruct, which may flatter their
  scores a little. The authors of `examples/` had not.
- The judging prompts are nearly all English. How well categories are told apart in other languages is not measured.
- Where a category ends is a convention: dictionary and grammar questions are translation, deep learning as a theory is
  science, tax is finance, fitness and nutrition are health, films and puzzles are trivia.
"""
