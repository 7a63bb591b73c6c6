"""Turn the parts of an answer into events, the same way for a stream and for a non-streaming response."""

from __future__ import annotations

from typing import Any, Literal

from router_service.core.errors import ApiError
from router_service.core.events import Began, Ended, Event, Failed, Finished, FinishReason, Metered
from router_service.core.parts import Reasoning, Text, ToolCall
from router_service.providers.formats.anthropic_messages.block_readers import (
    ArgumentsReader,
    BlockReader,
    OpaqueReader,
    RedactedReader,
    WrittenReader,
)
from router_service.providers.formats.anthropic_messages.dialect import reasoning_format_at
from router_service.providers.formats.anthropic_messages.names import DIALECT
from router_service.providers.formats.anthropic_messages.usage import TokenMeters
from router_service.providers.gathered_text import text_of
from router_service.providers.service_tier import served_tier
from router_service.providers.wire_format import DecodeContext

# Source: Claude docs: Handling stop reasons.
STOP_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "pause_turn": "pause_turn",
}
# The kind of block that a delta belongs to, for a delta whose block has not started.
_KINDS = {"text_delta": "text", "citations_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking"}
# Fields of a tool call that only this dialect has.
_CALL_FIELDS = ("caller", "toolset_name")
State = Literal["open", "finished", "closed"]


class AnswerReader:
    """Make the events of one answer. ``state`` is ``finished`` after its reason and ``closed`` after its end."""

    __slots__ = ("_began", "_blocks", "_calls", "_context", "_meters", "_outputs", "_parts", "state")

    def __init__(self, context: DecodeContext) -> None:
        self._context = context
        self._meters = TokenMeters()
        self._blocks: dict[Any, BlockReader] = {}
        self._parts = 0
        self._calls = self._outputs = 0
        self._began = False
        self.state: State = "open"

    def begin(self, message: dict[str, Any]) -> list[Event]:
        """Read the head of the message; a second one has its usage alone."""
        metered = self.meter(message.get("usage"))
        if self._began:
            return metered
        self._began = True
        began = Began(
            upstream_id=text_of(message.get("id")) or None, service_tier=served_tier(self._meters.service_tier)
        )
        return [began, *metered]

    def meter(self, usage: Any) -> list[Event]:
        """Read a usage object."""
        return [Metered(self._meters.usage())] if self._meters.update(usage) else []

    def start_block(self, key: Any, block: Any) -> list[Event]:
        """Start a block; an open one of the same key ends, and one without a kind is not read."""
        if self.state != "open" or not isinstance(block, dict) or not isinstance(block.get("type"), str):
            return []
        found = [*self._ensure_begun(), *self.end_block(key)]
        reader = self._blocks[key] = self._reader(block)
        return found + reader.start(block)

    def delta(self, key: Any, delta: Any) -> list[Event]:
        """Read a delta; one without a block starts its own, one without a number is for the last block."""
        if self.state != "open" or not isinstance(delta, dict):
            return []
        kind = text_of(delta.get("type"))
        if key is None and self._blocks:
            key = next(reversed(self._blocks))
        found: list[Event] = []
        if key not in self._blocks:
            if kind not in _KINDS:
                return []
            found = self.start_block(key, {"type": _KINDS[kind]})
        return found + self._blocks[key].delta(kind, delta)

    def end_block(self, key: Any) -> list[Event]:
        """End a block if it is open."""
        reader = self._blocks.pop(key, None)
        return reader.end() if reader is not None else []

    def finish(self, native: Any, stop_sequence: Any, details: Any) -> list[Event]:
        """Read the reason of the end, the first of which counts; ``None`` is none."""
        if self.state != "open" or not isinstance(native, str) or not native:
            return []
        found = [*self._ensure_begun(), *self._end_blocks()]
        self.state = "finished"
        finished = Finished(
            choice=0,
            reason=self._reason(native),
            native=native,
            stop_sequence=text_of(stop_sequence) or None,
            details=details if isinstance(details, dict) else None,
        )
        return [*found, finished]

    def close(self) -> list[Event]:
        """Return the events that close the answer, none if it is closed. Without a reason it has failed."""
        if self.state == "closed":
            return []
        if self.state == "open":
            return self.fail(ApiError("provider_unavailable", "The provider ended its answer without a stop reason"))
        self.state = "closed"
        return [Ended()]

    def fail(self, error: ApiError) -> list[Event]:
        """Return the events that close an answer that broke."""
        found = self._end_blocks() if self.state == "open" else []
        self.state = "closed"
        return [*found, Failed(error)]

    def _ensure_begun(self) -> list[Event]:
        return [] if self._began else self.begin({})

    def _end_blocks(self) -> list[Event]:
        return [event for key in list(self._blocks) for event in self.end_block(key)]

    def _reason(self, native: str) -> FinishReason:
        reason = STOP_REASONS.get(native, "error")
        if reason == "stop" and self._calls:
            return "tool_calls"
        if reason == "tool_calls" and self._outputs and not self._calls:
            return "stop"
        return reason

    def _next_index(self) -> int:
        self._parts += 1
        return self._parts - 1

    def _reader(self, block: dict[str, Any]) -> BlockReader:
        origin = self._context.origin
        match block["type"]:
            case "text":
                return WrittenReader(Text(origin=origin), self._next_index)
            case "thinking":
                return WrittenReader(Reasoning(format=reasoning_format_at(origin), origin=origin), self._next_index)
            case "redacted_thinking":
                return RedactedReader(origin, self._next_index)
            case "tool_use":
                return self._call_reader(block)
            case _:
                return OpaqueReader(origin, self._next_index)

    def _call_reader(self, block: dict[str, Any]) -> BlockReader:
        context, sent = self._context, text_of(block.get("name"))
        if sent and sent == context.output_tool:
            self._outputs += 1
            return ArgumentsReader(Text(origin=context.origin), self._next_index)
        self._calls += 1
        own = {name: block[name] for name in _CALL_FIELDS if block.get(name) is not None}
        call = ToolCall(
            call_id=text_of(block.get("id")) or f"{context.generation_id}_{self._calls - 1}",
            name=context.tool_names.get(sent, sent),
            kind="custom" if sent in context.custom_tools else "function",
            origin=context.origin,
            extras={DIALECT: own} if own else None,
        )
        return ArgumentsReader(call, self._next_index, custom=call.kind == "custom")
