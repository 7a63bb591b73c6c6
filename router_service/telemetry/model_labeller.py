"""Ask a language model for labels through the router's own API, within a budget of each day."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any

import httpx2
import msgspec

from data.record.prompt_labels import PromptLabels
from models.categories.by_model import ModelAnswer, prompt_version, read_answer, request_body
from router_service.core.labelling import ModelLabelling
from router_service.core.preferences import Preferences
from router_service.core.token_bucket import TokenBucket

logger = logging.getLogger(__name__)
# By these the record of a labelling request is known.
APP = "urn:portolan:labelling"
APP_TITLE = "Portolan labelling"
MAX_ANSWER_BYTES = 256 * 1024
# What other workers spend, and what calls without an answer cost, is read from the log so often.
READ_LOG_EVERY_S = 60.0
WARNINGS_PER_S, WARNINGS_BURST = 1 / 60, 3.0
NANO = 1_000_000_000
# Of a request, what decides who may see its content.
CONTENT_RULES = ("only", "ignore", "data_collection", "zdr", "region")
# The version of labels has 64 characters; the end, which says why, must remain.
MAX_MODEL = 40


class AskingFailed(Exception):
    """Say in a word why the model has given no labels."""


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Usage(msgspec.Struct):
    cost: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Completion).decode


class DailySpend:
    """Count in nano-USD what a key has cost today: by the log, and since it was read by the answers.

    ``read`` returns what the log has of a day; it reads files. The count never falls within a day. Threads may share
    it.
    """

    def __init__(
        self,
        read: Callable[[date], int],
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._today = today
        self._clock = clock
        self._day: date | None = None
        self._nano = 0
        self._read_at = 0.0
        self._lock = threading.Lock()

    def nano(self) -> int:
        """Return the cost of today (UTC). Raises ``OSError`` if the log cannot be read."""
        day, now = self._today(), self._clock()
        with self._lock:
            if day != self._day or now - self._read_at >= READ_LOG_EVERY_S:
                logged = self._read(day)
                self._nano = max(logged, self._nano) if day == self._day else logged
                self._day, self._read_at = day, now
            return self._nano

    def add(self, nano: int) -> None:
        """Count what an answer has cost, until the log is read again."""
        with self._lock:
            self._nano += nano


class ModelLabeller:
    """Complete the classifier's labels by those of a model. Threads may share it.

    A label whose confidence is below ``threshold`` is unknown. The languages stay those of the detectors.
    """

    def __init__(self, asked: ModelLabelling, spend: DailySpend, threshold: float) -> None:
        self.asked = asked
        self._threshold = threshold
        self._spend = spend
        # Never through a proxy of the environment: the API is the router's own. No connection outlives its request, so
        # that none has to be closed while another thread waits for an answer.
        limits = httpx2.Limits(max_keepalive_connections=0)
        self._client = httpx2.Client(timeout=asked.timeout, trust_env=False, limits=limits)
        self._warnings = TokenBucket(WARNINGS_PER_S, WARNINGS_BURST)

    def label(self, text: str, labels: PromptLabels, preferences: Preferences) -> PromptLabels:
        """Return the model's labels of ``text``; the classifier's ``labels``, if it gives none, with the reason.

        Only providers that ``preferences`` allow to see the content get it.
        """
        try:
            answer = self._ask(text, preferences)
        except AskingFailed as failure:
            return labels._replace(version=f"{labels.version[:MAX_MODEL]}+{failure}")
        return labels._replace(version=f"{self.asked.model[:MAX_MODEL]}@{prompt_version()}", **answer._asdict())

    def _ask(self, text: str, preferences: Preferences) -> ModelAnswer:
        try:
            if self._spend.nano() >= self.asked.usd_per_day * NANO:
                raise AskingFailed("budget")
            completion = _decode(self._post(request_body(self.asked.model, text) | {"provider": _rules(preferences)}))
        except (httpx2.HTTPError, httpx2.InvalidURL, msgspec.DecodeError, OSError, ValueError) as error:
            if self._warnings.take():
                logger.warning("%s gives no labels: %s: %s", self.asked.model, type(error).__name__, error)
            raise AskingFailed("timeout" if isinstance(error, httpx2.TimeoutException) else "failed") from None
        if completion.usage is not None and completion.usage.cost is not None:
            self._spend.add(round(completion.usage.cost * NANO))
        content = completion.choices[0].message.content if completion.choices else None
        return read_answer(content or "", self._threshold)

    def _post(self, body: dict[str, Any]) -> bytes:
        """Return the body of the answer. Raises ``httpx2.HTTPError``, and ``ValueError`` for one that is too large."""
        headers = {"authorization": f"Bearer {self.asked.key}", "http-referer": APP, "x-title": APP_TITLE}
        ends = time.monotonic() + self.asked.timeout
        content = b""
        address = f"{self.asked.url.rstrip('/')}/chat/completions"
        with self._client.stream("POST", address, json=body, headers=headers) as answer:
            answer.raise_for_status()
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > MAX_ANSWER_BYTES:
                    raise ValueError(f"the answer has more than {MAX_ANSWER_BYTES} bytes")
                if time.monotonic() > ends:
                    raise httpx2.ReadTimeout("the answer takes too long")
        return content


def _rules(preferences: Preferences) -> dict[str, Any]:
    """Return the preferences of a labelling request: a strict schema, and the rules on the content that it carries."""
    names = CONTENT_RULES if preferences.allow_fallbacks is not False else (*CONTENT_RULES, "order", "allow_fallbacks")
    rules = {name: getattr(preferences, name) for name in names}
    return {"require_parameters": True} | {name: value for name, value in rules.items() if value is not None}
