"""Label a sampled share of the requests in a background thread while the provider generates the response."""

from __future__ import annotations

import logging
import random
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.record.prompt_labels import PromptLabels
from router_service.core.token_bucket import TokenBucket

if TYPE_CHECKING:
    from models.categories.classify import PromptClassifier

logger = logging.getLogger(__name__)
MAX_WAITING = 8
# A replaced classifier may return any text.
MAX_LABEL = 64
WARNINGS_PER_S, WARNINGS_BURST = 1 / 60, 3.0


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
        self._warnings = TokenBucket(WARNINGS_PER_S, WARNINGS_BURST)
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
        try:
            return _checked(self._classifier.label(text))
        except Exception as error:
            # The operator's own classifier may raise and return anything; the record is written without labels.
            if self._warnings.take():
                logger.warning("a prompt stays without a category: %s: %s", type(error).__name__, error)
            return None


def _checked(labels: PromptLabels) -> PromptLabels:
    """Return labels that the record can hold, with their texts cut. Raises ``ValueError`` for others."""
    checked: list[Any] = []
    for name, value in zip(PromptLabels._fields, labels, strict=True):
        if name.endswith("_confidence"):
            value = value if value is None else float(value)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {value}")
        elif value is not None or name == "version":
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name} must be a text")
            value = value[:MAX_LABEL]
        checked.append(value)
    return PromptLabels(*checked)


@lru_cache(4)
def _shared_classifier(folder: Path, name: str | None) -> PromptClassifier:
    # Imported here: the libraries of the classifier would delay the start of the router.
    from models.categories.classify import load_classifier

    classifier = load_classifier(folder, name)
    # Detectors load their data with the first label; no request should wait for that.
    classifier.label("Hello")
    return classifier
