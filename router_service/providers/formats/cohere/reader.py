"""Turn what Cohere says of an answer into events, the same way for a stream and for a non-streaming response.

Source: Cohere API reference v2, "Chat" and "Chat with Streaming" (2026-11).
"""

from __future__ import annotations

from typing import Any

from router_service.core.errors import ApiError
from router_service.core.events import (
    Began,
    Ended,
    Event,
    Failed,
    Finished,
    FinishReason,
    Metered,
    PartBegan,
    PartDelta,
    PartEnded,
)
from router_service.core.parts import Citation, Reasoning, Text, ToolCall
from router_service.core.usage import Usage
from router_service.providers.counts import token_count
from router_service.providers.custom_tools import custom_text
from router_service.providers.formats.cohere.names import DIALECT
from router_service.providers.wire_format import DecodeContext

FINISH_REASONS: dict[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
    "ERROR_LIMIT": "length",
}
MAX_PARTS = 10_000
_TEXT = "text"


class AnswerReader:
    """Make the events of one answer.

    The part that is being written stays open until another one begins, because citations may follow its end.
    """

    def __init__(self, context: DecodeContext) -> None:
        self._context = context
        self._began = False
        self._parts = self._calls = 0
        self._kind: str | None = None
        self._custom: list[str] | None = None
        self._finished: Finished | None = None
        self.closed = False

    def begin(self, upstream_id: Any) -> list[Event]:
        """Open the answer, once."""
        if self._began:
            return []
        self._began = True
        return [Began(upstream_id=upstream_id if isinstance(upstream_id, str) and upstream_id else None)]

    def write(self, kind: str, text: Any) -> list[Event]:
        """Add ``text`` to the open part of ``kind``: text, thinking or plan; another part ends first."""
        if self._is_over() or not isinstance(text, str):
            return []
        found = self._opened(kind, Text() if kind == _TEXT else Reasoning(origin=self._context.origin))
        return [*found, PartDelta(choice=0, index=self._parts - 1, text=text)] if text else found

    def cite(self, raw: Any) -> list[Event]:
        """Add a citation to the open text. Those of thinking and plans have no place."""
        if self._kind != _TEXT or self._is_over() or not isinstance(raw, dict):
            return []
        if raw.get("type") not in (None, "TEXT_CONTENT"):
            return []
        return [PartDelta(choice=0, index=self._parts - 1, citation=_citation(raw))]

    def call(self, call: Any) -> list[Event]:
        """Begin a call; the arguments that come with it are its first ones."""
        if self._is_over() or not isinstance(call, dict):
            return []
        function = call.get("function") if isinstance(call.get("function"), dict) else {}
        assert isinstance(function, dict)
        sent = function.get("name")
        if not isinstance(sent, str) or not sent:
            return []
        self._calls += 1
        call_id = call.get("id")
        custom = sent in self._context.custom_tools
        part = ToolCall(
            call_id=call_id if isinstance(call_id, str) and call_id else self._made_id(),
            name=self._context.tool_names.get(sent, sent),
            kind="custom" if custom else "function",
        )
        found = self._opened(None, part)
        self._kind = "call"
        self._custom = [] if custom else None
        return [*found, *self.arguments(function.get("arguments"))]

    def arguments(self, text: Any) -> list[Event]:
        """Add to the arguments of the open call; those of a custom tool are read when they are complete."""
        if self._kind != "call" or not isinstance(text, str) or not text:
            return []
        if self._custom is not None:
            self._custom.append(text)
            return []
        return [PartDelta(choice=0, index=self._parts - 1, text=text)]

    def finish(self, native: Any, usage: Any) -> list[Event]:
        """Read the reason of the end and the usage."""
        if self._is_over():
            return []
        found = [*self.begin(None), *self._ended()]
        if isinstance(native, str) and native:
            reason = FINISH_REASONS.get(native.upper(), "error")
            # Some answers with calls say that they are complete.
            reason = "tool_calls" if self._calls and reason == "stop" else reason
            self._finished = Finished(choice=0, reason=reason, native=native)
            found.append(self._finished)
        metered = usage_of_chat(usage)
        return [*found, Metered(metered)] if metered is not None else found

    def close(self) -> list[Event]:
        """Return the events that close the answer, none if it is closed. Without a reason it has failed."""
        if self.closed:
            return []
        if self._finished is None:
            return self.fail(ApiError("provider_unavailable", "The provider ended its answer without a finish reason"))
        self.closed = True
        return [Ended()]

    def fail(self, error: ApiError) -> list[Event]:
        """Return the event that breaks the answer."""
        if self.closed:
            return []
        self.closed = True
        return [Failed(error)]

    def _is_over(self) -> bool:
        return self.closed or self._finished is not None or self._parts > MAX_PARTS

    def _opened(self, kind: str | None, part: Text | Reasoning | ToolCall) -> list[Event]:
        """Return the events after which ``part`` is open; one of the same ``kind`` is continued."""
        if kind is not None and kind == self._kind:
            return []
        found = [*self.begin(None), *self._ended(), PartBegan(0, self._parts, part)]
        self._kind = kind
        self._parts += 1
        return found

    def _ended(self) -> list[Event]:
        if self._kind is None:
            return []
        found: list[Event] = []
        if self._kind == "call" and self._custom is not None:
            text = custom_text("".join(self._custom))
            found += [PartDelta(choice=0, index=self._parts - 1, text=text)] if text else []
        self._kind, self._custom = None, None
        return [*found, PartEnded(choice=0, index=self._parts - 1)]

    def _made_id(self) -> str:
        return f"call_{self._context.generation_id}_{self._calls}".replace("-", "_")


def usage_of_chat(found: Any) -> Usage | None:
    """Return what is billed, else the tokens that were counted; ``None`` where neither is said."""
    if not isinstance(found, dict):
        return None
    for name in ("billed_units", "tokens"):
        counts = found.get(name)
        if isinstance(counts, dict):
            prompt, completion = token_count(counts.get("input_tokens")), token_count(counts.get("output_tokens"))
            if prompt is not None or completion is not None:
                return Usage(prompt or 0, completion or 0, cached_tokens=token_count(found.get("cached_tokens")))
    return None


def _citation(raw: dict[str, Any]) -> Citation:
    sources = raw.get("sources")
    source = next((one for one in sources if isinstance(one, dict)), {}) if isinstance(sources, list) else {}
    document = source.get("document")
    facts = document if isinstance(document, dict) else {}
    start, end = token_count(raw.get("start")), token_count(raw.get("end"))
    return Citation(
        url=_string(facts.get("url")),
        title=_string(facts.get("title")) or _string(source.get("id")),
        cited_text=_string(facts.get("text")) or _string(facts.get("snippet")),
        start=start,
        end=end,
        dialect=DIALECT,
    )


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
