"""Declare the labels of a prompt, which the classifier gives and the record keeps."""

from __future__ import annotations

from typing import NamedTuple


class PromptLabels(NamedTuple):
    """Hold the labels of a prompt. A label that is not likely enough is ``None``; its confidence is kept.

    ``version`` names the classifier. Confidences are in [0, 1].
    """

    category: str | None
    category_confidence: float | None
    version: str
    task_tag: str | None = None
    task_tag_confidence: float | None = None
    natural_language: str | None = None
    natural_language_confidence: float | None = None
    programming_language: str | None = None
