"""Turn chunks of an answer into events; a non-streaming response is the only chunk of its answer.

The vendor has no event for the end: an answer is complete when its stream has ended after a finish reason.
"""

from __future__ import annotations

from typing import Any, Literal

from router_service.core.errors import ApiError
from router_service.core.events import Began, Ended, Event, Failed, Metered
from router_service.providers.formats.gemini.candidate_reader import CandidateReader
from router_service.providers.formats.gemini.citations import searches
from router_service.providers.formats.gemini.errors import blocked_prompt, error_reported
from router_service.providers.formats.gemini.usage import GeminiMeters
from router_service.providers.wire_format import DecodeContext

_UNFINISHED = "The provider's stream ended before its answer was complete"
_EMPTY = "The provider's answer has neither content nor a reason for its end"


class ContentReader:
    """Make the events of one answer. ``state`` is ``closed`` after its end."""

    __slots__ = ("_began", "_calls", "_candidates", "_context", "_meters", "state")

    def __init__(self, context: DecodeContext) -> None:
        self._context = context
        self._meters = GeminiMeters(context)
        self._candidates: dict[int, CandidateReader] = {}
        self._calls = 0
        self._began = False
        self.state: Literal["open", "closed"] = "open"

    def read(self, chunk: dict[str, Any]) -> list[Event]:
        """Read a chunk. An error within it, and a prompt that was blocked, end the answer."""
        error = error_reported(chunk)
        if error is not None:
            return self.fail(error)
        changed = self._meters.update(chunk.get("usageMetadata"))
        found: list[Event] = []
        candidates = chunk.get("candidates")
        for candidate in candidates if isinstance(candidates, list) else ():
            if isinstance(candidate, dict):
                found += self._candidate(candidate)
                grounding = candidate.get("groundingMetadata")
                if isinstance(grounding, dict):
                    changed = self._meters.search(searches(grounding, chunk.get("modelVersion"))) or changed
        if changed:
            found.append(Metered(self._meters.usage(), self._meters.service_tier))
        if not self._began and (found or self._candidates):
            found.insert(0, self._begin(chunk))
        feedback = chunk.get("promptFeedback")
        blocked = blocked_prompt(feedback) if isinstance(feedback, dict) else None
        return found + self.fail(blocked) if blocked is not None else found

    def close(self) -> list[Event]:
        """Return the events that close the answer after its stream; without a finish reason it has failed."""
        if self.state == "closed":
            return []
        readers = [reader for _, reader in sorted(self._candidates.items())]
        if not readers or not all(reader.is_finished for reader in readers):
            return self.fail(ApiError("provider_unavailable", _UNFINISHED if self._began else _EMPTY))
        self.state = "closed"
        return [*(event for reader in readers for event in reader.finish()), Ended()]

    def fail(self, error: ApiError) -> list[Event]:
        """Return the events that close an answer that broke."""
        found = [event for reader in self._candidates.values() for event in reader.close()]
        self.state = "closed"
        return [*found, Failed(error)]

    def _begin(self, chunk: dict[str, Any]) -> Began:
        self._began = True
        upstream_id = chunk.get("responseId")
        return Began(
            upstream_id=upstream_id if isinstance(upstream_id, str) and upstream_id else None,
            service_tier=self._meters.service_tier,
        )

    def _candidate(self, candidate: dict[str, Any]) -> list[Event]:
        index = candidate.get("index")
        number = index if isinstance(index, int) and not isinstance(index, bool) else 0
        if not 0 <= number < self._context.choices:
            # The client has asked for fewer.
            return []
        reader = self._candidates.get(number)
        if reader is None:
            reader = self._candidates[number] = CandidateReader(number, self._context, self._next_call)
        return reader.read(candidate)

    def _next_call(self) -> int:
        self._calls += 1
        return self._calls - 1
