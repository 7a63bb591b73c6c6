"""Label a sampled share of the requests in a background thread while the provider generates the response."""

from __future__ import annotations

import logging
import random
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from data.record.prompt_labels import PromptLabels

if TYPE_CHECKING:
    from models.categories.classify import PromptClassifier

logger = logging.getLogger(__name__)
MAX_WAITING = 8
# A replaced classifier may return any text.
MAX_LABEL = 64


class RequestLabeller:
    """Label at most ``per_second`` prompts a second, since each label takes a few milliseconds of a core.

    A label that is not ready at the end of the response is dropped, so that it never delays the record. The classifier
    is loaded in the background: ``name`` is the operator's own, ``folder`` that of the trained one.
    """

    def __init__(self, share: float, folder: Path, name: str | None = None, per_second: int = 5) -> None:
        self._share = share
        self._per_second = per_second
        self._random = random.Random()
        self._second, self._taken = 0, 0
        self._pending: list[Future[PromptLabels | None]] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="categories")
        self._classifier: PromptClassifier | None = None
        self._loaded = self._pool.submit(self._load, folder, name) if share > 0 else None

    def wait(self) -> None:
        """Wait until the classifier is loaded."""
        if self._loaded is not None:
            self._loaded.result()

    def submit(self, messages: bytes) -> Future[PromptLabels | None] | None:
        """Start to label a raw ``messages`` array; return ``None`` if it is not sampled."""
        if self._loaded is None or self._random.random() >= self._share or not self._has_room():
            return None
        label = self._pool.submit(self._label, messages)
        self._pending.append(label)
        return label

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def _has_room(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._taken = second, 0
        if self._taken >= self._per_second:
            return False
        self._pending = [label for label in self._pending if not label.done()]
        if len(self._pending) >= MAX_WAITING:
            return False
        self._taken += 1
        return True

    def _load(self, folder: Path, name: str | None) -> None:
        try:
            self._classifier = _shared_classifier(folder, name)
        except Exception as error:
            # The operator's own classifier may raise anything; requests are served without labels.
            logger.error("requests stay without a category: %s", error)

    def _label(self, messages: bytes) -> PromptLabels | None:
        from models.categories.classify import prompt_text

        text = prompt_text(messages)
        if not text or self._classifier is None:
            return None
        labels = self._classifier.label(text)
        return PromptLabels(*(value[:MAX_LABEL] if isinstance(value, str) else value for value in labels))  # type: ignore[arg-type]


@lru_cache(4)
def _shared_classifier(folder: Path, name: str | None) -> PromptClassifier:
    # Imported here: the libraries of the classifier would delay the start of the router.
    from models.categories.classify import load_classifier

    classifier = load_classifier(folder, name)
    # Detectors load their data with the first label; no request should wait for that.
    classifier.label("Hello")
    return classifier
