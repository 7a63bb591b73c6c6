"""Hold the labels of a prompt while they are made."""

from __future__ import annotations

from concurrent.futures import Future
from typing import NamedTuple

from data.record.prompt_labels import PromptLabels


class Labelling(NamedTuple):
    """Hold the labels that the classifier makes, and those that a model is asked for, if one is.

    A result is ``None`` for a prompt without text.
    """

    classified: Future[PromptLabels | None]
    asked: Future[PromptLabels | None] | None = None

    @property
    def unfinished(self) -> Future[PromptLabels | None] | None:
        """Return the labels that are to stand in the record, if they are not there yet."""
        last = self.classified if self.asked is None else self.asked
        return None if last.done() else last


class ModelLabelling(NamedTuple):
    """Configure which model is asked for labels, how often and for how much.

    ``url`` is the address of the router's API, such as ``http://127.0.0.1:8080/api/v1``, ``key`` one of its keys. The
    ``share`` of the labelled prompts is sent, at most ``per_second`` by each worker. ``timeout`` is in seconds.
    """

    model: str
    key: str
    url: str
    share: float
    usd_per_day: float
    per_second: float
    timeout: float
