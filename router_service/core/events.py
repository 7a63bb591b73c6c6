"""Define the events of an answer, and fold them to a result.

Grammar: ``Began``, then for each choice ``(PartBegan PartDelta* PartEnded)* Finished``, and exactly one ``Ended`` or
``Failed`` at the end. Parts of one choice may interleave, as parallel tool calls do. ``Metered`` may stand anywhere
before the end and is cumulative; ``PartProgressed`` may stand anywhere before its choice has finished. A decoder adds
the ends that a provider leaves out.
The answer of another task than chat is one ``Completed``, ``Metered`` and ``Ended``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from router_service.core.embeddings import EmbeddingsResult
from router_service.core.errors import ApiError
from router_service.core.images import ImagesResult
from router_service.core.parts import AnyPart, Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall
from router_service.core.rerank import RerankResult
from router_service.core.usage import Usage

# What the tasks other than chat return.
TaskResult = EmbeddingsResult | RerankResult | ImagesResult
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "pause_turn", "error"]


class Began(msgspec.Struct, frozen=True, kw_only=True):
    """Open an answer. ``upstream_id`` is the provider's id, ``extras`` hold further fields of the dialect."""

    upstream_id: str | None = None
    service_tier: str | None = None
    extras: dict[str, Any] = {}


class PartBegan(msgspec.Struct, frozen=True):
    """Open part ``index`` of a choice; ``part`` may have content already. The deltas are added to it."""

    choice: int
    index: int
    part: AnyPart


class PartDelta(msgspec.Struct, frozen=True, kw_only=True):
    """Add to an open part: to its text or arguments, to its base64 ``data``, its transcript or its citations.

    ``logprobs`` are those of the chat dialect, as JSON.
    """

    choice: int
    index: int
    text: str = ""
    data: str = ""
    transcript: str = ""
    citation: Citation | None = None
    logprobs: msgspec.Raw | None = None
    extras: dict[str, Any] = {}


class PartEnded(msgspec.Struct, frozen=True, kw_only=True):
    """Close a part; ``signature`` and ``item_id`` are set where the provider sends them after the content."""

    choice: int
    index: int
    signature: str | None = None
    item_id: str | None = None


class PartProgressed(msgspec.Struct, frozen=True):
    """Tell how far a part is that only its dialect has, and that begins when it is complete.

    ``part`` is the part so far, with the ``item_id`` that it will have. ``step`` is the type of the dialect's event,
    and ``fields`` are the event's own fields as JSON. A result has nothing of it.
    """

    choice: int
    part: Opaque
    step: str
    fields: dict[str, msgspec.Raw] = {}


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """End a choice. ``native`` is the provider's own reason, ``details`` what it adds, as in a refusal."""

    choice: int
    reason: FinishReason
    native: str | None = None
    stop_sequence: str | None = None
    details: dict[str, Any] | None = None


class Metered(msgspec.Struct, frozen=True):
    """Report the usage of the attempt so far: per meter the last valid count.

    ``service_tier`` is set where the provider names the tier that served only with the usage, or another one than
    before.
    """

    usage: Usage
    service_tier: str | None = None


class Ended(msgspec.Struct, frozen=True):
    """End an answer that is complete."""


class Failed(msgspec.Struct, frozen=True):
    """End an answer that broke."""

    error: ApiError


class Completed(msgspec.Struct, frozen=True):
    """Give the whole result of a task that has no stream. ``upstream_id`` is the provider's id."""

    result: TaskResult
    upstream_id: str | None = None


Event = Began | PartBegan | PartDelta | PartEnded | PartProgressed | Finished | Metered | Completed | Ended | Failed


class GrammarError(Exception):
    """Report a stream of events that a decoder must not make."""


class ResultChoice(msgspec.Struct):
    """Hold one choice of a result; ``logprobs`` are the JSON objects of its deltas, in order."""

    parts: list[AnyPart] = []
    finished: Finished | None = None
    logprobs: list[msgspec.Raw] = []


class Result(msgspec.Struct):
    """Hold a whole answer: what all events together say."""

    began: Began = Began()
    choices: list[ResultChoice] = []
    usage: Usage | None = None
    error: ApiError | None = None


class Folding:
    """Fold events one by one. Raises ``GrammarError`` for an event that the grammar does not allow."""

    def __init__(self) -> None:
        self._began: Began | None = None
        self._choices: dict[int, ResultChoice] = {}
        self._open: dict[tuple[int, int], AnyPart] = {}
        self._known: set[tuple[int, int]] = set()
        self._usage: Usage | None = None
        self._error: ApiError | None = None
        self.over = False

    def add(self, event: Event) -> None:
        """Add the next event."""
        if self.over:
            raise GrammarError(f"{event} after the end")
        if self._began is None and not isinstance(event, Began | Metered | Failed):
            raise GrammarError(f"{event} before the beginning")
        match event:
            case Began():
                if self._began is not None:
                    raise GrammarError("a second beginning")
                self._began = event
            case PartBegan():
                self._begin(event)
            case PartDelta():
                _append(self._part(event.choice, event.index), event)
                if event.logprobs is not None:
                    self._choices[event.choice].logprobs.append(event.logprobs)
            case PartEnded():
                self._end(event)
            case PartProgressed():
                self._check_progress(event)
            case Finished():
                self._finish(event)
            case Metered():
                self._usage = event.usage
            case Ended():
                self._close()
            case Failed():
                self._error, self.over = event.error, True
            case Completed():
                raise GrammarError("a result of another task within a chat answer")

    def result(self) -> Result:
        """Return what has been folded so far."""
        choices = [choice for _, choice in sorted(self._choices.items())]
        return Result(self._began or Began(), choices, self._usage, self._error)

    def _begin(self, event: PartBegan) -> None:
        place = event.choice, event.index
        choice = self._choices.setdefault(event.choice, ResultChoice())
        if choice.finished is not None or place in self._known:
            raise GrammarError(f"part {place} begins twice, or after its choice has finished")
        part = msgspec.structs.replace(event.part)
        if isinstance(part, Text):
            part.citations = list(part.citations)
        self._known.add(place)
        self._open[place] = part
        choice.parts.append(part)

    def _part(self, choice: int, index: int) -> AnyPart:
        part = self._open.get((choice, index))
        if part is None:
            raise GrammarError(f"part {choice, index} is not open")
        return part

    def _end(self, event: PartEnded) -> None:
        part = self._part(event.choice, event.index)
        part.signature = event.signature or part.signature
        part.item_id = event.item_id or part.item_id
        del self._open[event.choice, event.index]

    def _check_progress(self, event: PartProgressed) -> None:
        choice = self._choices.get(event.choice)
        if choice is not None and choice.finished is not None:
            raise GrammarError(f"a part of choice {event.choice} progresses after the choice has finished")

    def _finish(self, event: Finished) -> None:
        choice = self._choices.setdefault(event.choice, ResultChoice())
        if choice.finished is not None or any(number == event.choice for number, _ in self._open):
            raise GrammarError(f"choice {event.choice} finishes twice, or with an open part")
        choice.finished = event

    def _close(self) -> None:
        unfinished = [number for number, choice in self._choices.items() if choice.finished is None]
        if unfinished or not self._choices:
            raise GrammarError(f"the answer ends before its choices {unfinished}")
        self.over = True


def fold(events: Iterable[Event]) -> Result:
    """Return the result of complete ``events``. Raises ``GrammarError`` where they break the grammar."""
    folding = Folding()
    for event in events:
        folding.add(event)
    if not folding.over:
        raise GrammarError("the events have no end")
    return folding.result()


def _append(part: AnyPart, delta: PartDelta) -> None:
    match part:
        case Text() | Reasoning() | Refusal():
            part.text += delta.text
        case ToolCall():
            part.arguments += delta.text
        case Media():
            part.data = (part.data or "") + delta.data if delta.data else part.data
            part.transcript = (part.transcript or "") + delta.transcript if delta.transcript else part.transcript
        case _:
            if delta.text or delta.data:
                raise GrammarError(f"{type(part).__name__} takes no delta")
    if delta.citation is not None:
        if not isinstance(part, Text):
            raise GrammarError(f"{type(part).__name__} takes no citation")
        part.citations.append(delta.citation)
