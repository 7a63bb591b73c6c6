"""Label a sampled share of the requests in a background thread while the provider generates the response."""

from __future__ import annotations

import logging
import random
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.lake import Lake
from data.record.prompt_labels import PromptLabels
from router_service.admission.keys import hash_key
from router_service.core.caller import Caller, Constraints
from router_service.core.errors import ApiError
from router_service.core.labelling import Labelling, ModelLabelling
from router_service.core.preferences import NO_PREFERENCES, parse_preferences
from router_service.core.token_bucket import TokenBucket

if TYPE_CHECKING:
    from models.categories.classify import PromptClassifier
    from router_service.telemetry.model_labeller import ModelLabeller

logger = logging.getLogger(__name__)
PER_SECOND = 5
MAX_WAITING = 8
# None waits for its turn: its answer would come too late for the record.
MAX_ASKED = 4
# A replaced classifier may return any text.
MAX_LABEL = 64
WARNINGS_PER_S, WARNINGS_BURST = 1 / 60, 3.0


class RequestLabeller:
    """Label at most ``per_second`` prompts a second, since each label takes a few milliseconds of a core.

    No label delays the record: one that is not ready at the end of the response follows it. The classifier
    is loaded in the background: ``name`` is the operator's own, else it is the one that was trained in ``lake``, or the
    shipped one. A model that is ``asked`` has ``MAX_ASKED`` threads of its own, since it answers slowly. Its own
    requests are not labelled.
    """

    def __init__(
        self,
        share: float,
        lake: Lake,
        name: str | None = None,
        per_second: int = PER_SECOND,
        asked: ModelLabelling | None = None,
    ) -> None:
        self._share = share
        self._per_second = per_second
        self._random = random.Random()
        self._second, self._taken = 0, 0
        self._pending: list[Future[PromptLabels | None]] = []
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="categories")
        self._classifier: PromptClassifier | None = None
        self._warnings = TokenBucket(WARNINGS_PER_S, WARNINGS_BURST)
        self._asked = asked
        self._asked_key = hash_key(asked.key) if asked else None
        self._asking: list[Future[PromptLabels | None]] = []
        self._askers = ThreadPoolExecutor(MAX_ASKED, thread_name_prefix="labelling")
        self._model: ModelLabeller | None = None
        self._asks = TokenBucket(asked.per_second, max(1.0, asked.per_second)) if asked else None
        self._loaded = self._pool.submit(self._load, lake, name) if share > 0 else None

    def wait(self) -> None:
        """Wait until the classifier is loaded."""
        if self._loaded is not None:
            self._loaded.result()

    def submit(self, messages: bytes, caller: Caller | None = None, provider: bytes = b"") -> Labelling | None:
        """Start to label a raw ``messages`` array; return ``None`` if it is not sampled.

        ``provider`` is the request's raw object of that name: its rules on who may see the content hold for a model
        that is asked as well.
        """
        if self._loaded is None or self._random.random() >= self._share:
            return None
        if (caller is not None and caller.key_hash == self._asked_key) or not self._has_room():
            return None
        classified = self._pool.submit(self._label, messages)
        self._pending.append(classified)
        if caller is None or self._asked is None or self._random.random() >= self._asked.share or not self._may_ask():
            return Labelling(classified)
        asked = self._askers.submit(self._ask, messages, classified, caller.constraints, provider)
        self._asking.append(asked)
        return Labelling(classified, asked)

    def close(self) -> None:
        """End the threads. One that waits for a model's answer ends with it, or at its deadline."""
        self._pool.shutdown(cancel_futures=True)
        self._askers.shutdown(wait=False, cancel_futures=True)

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

    def _may_ask(self) -> bool:
        self._asking = [asked for asked in self._asking if not asked.done()]
        return len(self._asking) < MAX_ASKED and self._asks is not None and self._asks.take()

    def _load(self, lake: Lake, name: str | None) -> None:
        try:
            self._classifier = _shared_classifier(lake.categories, name)
        except Exception as error:
            # The operator's own classifier may raise anything; requests are served without labels.
            logger.error("requests stay without a category: %s", error)
        if self._asked is not None:
            self._model = _model_labeller(self._asked, lake)

    def _ask(
        self, messages: bytes, classified: Future[PromptLabels | None], constraints: Constraints, provider: bytes
    ) -> PromptLabels | None:
        from models.categories.classify import prompt_text

        labels = classified.result()
        if labels is None or self._model is None:
            return labels
        try:
            wanted = parse_preferences(provider) if provider not in (b"", b"null") else NO_PREFERENCES
        except ApiError:
            # The request itself is refused for them.
            return labels
        return self._model.label(prompt_text(messages), labels, constraints.apply(wanted))

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


def _model_labeller(asked: ModelLabelling, lake: Lake) -> ModelLabeller:
    from models.categories.classify import THRESHOLD
    from router_service.telemetry.key_usage import KeyUsageReader
    from router_service.telemetry.model_labeller import DailySpend, ModelLabeller

    key_hash, usage = hash_key(asked.key), KeyUsageReader(lake)
    return ModelLabeller(asked, DailySpend(lambda day: usage.on(key_hash, day)), THRESHOLD)
