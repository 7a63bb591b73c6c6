"""Compare the first labelling of the public prompts with the second, ``second_labels.toml``."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from models.categories.corpus import NONE, Example
from models.categories.evaluate import Agreement, agreement, score

__all__ = ["AgreementRow", "compare", "digest", "relabel"]

LABELS = Path(__file__).with_name("second_labels.toml")
DIGITS = 10


class AgreementRow(NamedTuple):
    """Hold how well both labellings agree on the prompts of one source, or of all.

    ``everything`` counts ``NONE`` as a category of its own; ``twelve`` is over the prompts to which both gave one of
    the twelve. ``macro_f1`` is that of the second labelling, judged by the first as a classifier is.
    """

    everything: Agreement
    twelve: Agreement
    macro_f1: float


def relabel(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Return the examples that have a second label: with their first, and in the same order with their second."""
    second = _second_labels()
    pairs = [(example, second.get(digest(example.text))) for example in examples]
    both = [(example, example._replace(category=category)) for example, category in pairs if category is not None]
    return [first for first, _ in both], [again for _, again in both]


def compare(first: Sequence[Example], second: Sequence[Example]) -> AgreementRow:
    """Compare two labellings of the same prompts."""
    pairs = [(a.category, b.category) for a, b in zip(first, second, strict=True)]
    return AgreementRow(
        agreement(pairs),
        agreement([pair for pair in pairs if NONE not in pair]),
        score(first, [b for _, b in pairs]).macro_f1,
    )


def digest(text: str) -> str:
    """Return the key of a prompt in the files of labels."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


@cache
def _second_labels() -> Mapping[str, str]:
    table = tomllib.loads(LABELS.read_text(encoding="utf-8"))
    return {digest: category for category, digests in table.items() for digest in digests}
