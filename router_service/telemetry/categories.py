"""Classify a sampled share of the requests in a background thread while the provider generates the response."""

from __future__ import annotations

import logging
import random
import time
from concurrent.futures import Future, ThreadPoolExecutor

from models.categories.classify import Classifier, ClassifierInvalid, prompt_text

logger = logging.getLogger(__name__)
MAX_WAITING = 8


class RequestLabeller:
    """Label at most ``per_second`` prompts a second, since each label holds the interpreter for about a millisecond.

    A label that is not ready at the end of the response is dropped, so that it never delays the record.
    """

    def __init__(self, share: float, per_second: int = 5) -> None:
        self._share = share
        self._per_second = per_second
        self._random = random.Random()
        self._second, self._taken = 0, 0
        self._pending: list[Future[tuple[str, float] | None]] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="categories")
        self._classifier: Classifier | None = None
        try:
            self._classifier = Classifier.load()
        except ClassifierInvalid as error:
            logger.error("requests stay without a category: %s", error)

    def submit(self, messages: bytes) -> Future[tuple[str, float] | None] | None:
        """Start to label a raw ``messages`` array; return ``None`` if it is not sampled."""
        if self._classifier is None or self._random.random() >= self._share or not self._has_room():
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

    def _label(self, messages: bytes) -> tuple[str, float] | None:
        text = prompt_text(messages)
        return self._classifier.classify(text) if text and self._classifier else None
