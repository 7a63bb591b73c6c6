"""Turn the parts of an answer into events, the same way for a stream and for a non-streaming response."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from router_service.core.errors import ApiError
from router_service.core.events import Began, Ended, Event, Failed, Finished, FinishReason, Metered
from router_service.core.parts import Text, ToolCall
from router_service.providers.formats.bedrock_converse.block_readers import (
    ArgumentsReader,
    BlockReader,
    HostedReader,
    MediaReader,
    ReasoningReader,
    TextReader,
    hosted_part,
)
from router_service.providers.formats.bedrock_converse.names import converse_token_format
from router_service.providers.formats.bedrock_converse.usage import ConverseMeters
from router_service.providers.gathered_text import text_of
from router_service.providers.wire_format import DecodeContext

# Source: Amazon Bedrock API reference: Converse, stopReason; Claude docs: Handling stop reasons. Any other is an error,
# as are malformed_model_output and malformed_tool_use.
STOP_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "refusal": "content_filter",
    "pause_turn": "pause_turn",
}
_UNFINISHED = "The provider ended its answer without a stop reason"
State = Literal["open", "finished", "closed"]
Fields = dict[str, Any]


class ConverseReader:
    """Make the events of one answer. ``state`` is ``finished`` after its reason and ``closed`` after its end."""

    __slots__ = ("_began", "_blocks", "_calls", "_context", "_meters", "_outputs", "_parts", "_token_format", "state")

    def __init__(self, context: DecodeContext) -> None:
        self._context = context
        self._token_format = converse_token_format(context.origin)
        self._meters = ConverseMeters()
        self._blocks: dict[Any, BlockReader] = {}
        self._parts = self._calls = self._outputs = 0
        self._began = False
        self.state: State = "open"

    def begin(self) -> list[Event]:
        """Return the event that begins the answer, if it has not begun. The vendor names no id of an answer."""
        if self._began:
            return []
        self._began = True
        return [Began(service_tier=self._meters.service_tier)]

    def meter(self, body: Fields) -> list[Event]:
        """Read the counts and the tier of ``metadata``, or of a response."""
        changed = self._meters.update(body)
        return [Metered(self._meters.usage(), self._meters.service_tier)] if changed else []

    def start_block(self, key: Any, start: Any) -> list[Event]:
        """Start a block; an open one of the same number ends."""
        if self.state != "open" or not isinstance(start, dict):
            return []
        found = [*self.begin(), *self.end_block(key)]
        use, result, image = start.get("toolUse"), start.get("toolResult"), start.get("image")
        if isinstance(use, dict) and use.get("type") is None:
            reader = self._call_reader(use)
            self._blocks[key] = reader
            return found + reader.start()
        origin, index = self._context.origin, self._next_index
        if isinstance(use, dict):
            self._blocks[key] = HostedReader("toolUse", use, origin, index)
        elif isinstance(result, dict):
            self._blocks[key] = HostedReader("toolResult", result, origin, index)
        elif isinstance(image, dict):
            self._blocks[key] = MediaReader(text_of(image.get("format")), origin, index)
        return found

    def delta(self, key: Any, delta: Any) -> list[Event]:
        """Read a delta; text and reasoning begin without a start."""
        if self.state != "open" or not isinstance(delta, dict):
            return []
        reader = self._blocks.get(key)
        if reader is not None:
            return reader.delta(delta)
        if "text" in delta or "citation" in delta:
            reader = TextReader(self._context.origin, self._next_index)
        elif "reasoningContent" in delta:
            reader = ReasoningReader(self._context.origin, self._token_format, self._next_index)
        else:
            return []
        self._blocks[key] = reader
        return [*self.begin(), *reader.delta(delta)]

    def end_block(self, key: Any) -> list[Event]:
        """End a block if it is open."""
        reader = self._blocks.pop(key, None)
        return reader.end() if reader is not None else []

    def block(self, key: Any, block: Any) -> list[Event]:
        """Read a block of a non-streaming response."""
        if not isinstance(block, dict):
            return []
        found: list[Event] = []
        for name, value in block.items():
            found += self._whole(key, name, value)
        return found + self.end_block(key)

    def finish(self, native: Any, extra: Any) -> list[Event]:
        """Read the reason of the end, the first of which counts; ``extra`` are fields of the model's own."""
        if self.state != "open" or not isinstance(native, str) or not native:
            return []
        found = [*self.begin(), *self._end_blocks()]
        self.state = "finished"
        stop = text_of(extra.get("stop_sequence")) if isinstance(extra, dict) else ""
        reason = self._reason(native)
        return [*found, Finished(choice=0, reason=reason, native=native, stop_sequence=stop or None)]

    def close(self) -> list[Event]:
        """Return the events that close the answer, none if it is closed. Without a reason it has failed."""
        if self.state == "closed":
            return []
        if self.state == "open":
            return self.fail(ApiError("provider_unavailable", _UNFINISHED))
        self.state = "closed"
        return [Ended()]

    def fail(self, error: ApiError) -> list[Event]:
        """Return the events that close an answer that broke."""
        found = self._end_blocks() if self.state == "open" else []
        self.state = "closed"
        return [*found, Failed(error)]

    def _whole(self, key: Any, name: str, value: Any) -> list[Event]:
        if name == "text":
            return self.delta(key, {"text": value})
        if not isinstance(value, dict):
            return []
        match name:
            case "toolUse" | "toolResult" if value.get("type") is not None:
                return [*self.begin(), *hosted_part(name, value, self._context.origin, self._next_index)]
            case "toolUse":
                given = value.get("input")
                text = given if isinstance(given, str) else msgspec.json.encode(given or {}).decode()
                return self.start_block(key, {name: value}) + self.delta(key, {"toolUse": {"input": text}})
            case "reasoningContent":
                reasoning = value.get("reasoningText")
                shown = reasoning if isinstance(reasoning, dict) else {}
                return self.delta(key, {name: value | shown})
            case "citationsContent":
                return self._cited(key, value)
            case "image":
                return self.start_block(key, {name: value}) + self.delta(key, {"image": value})
        return []

    def _cited(self, key: Any, value: Fields) -> list[Event]:
        found: list[Event] = []
        for name, field in (("content", "text"), ("citations", "citation")):
            listed = value.get(name)
            for one in listed if isinstance(listed, list) else ():
                if isinstance(one, dict):
                    found += self.delta(key, {field: one.get("text") if field == "text" else one})
        return found

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

    def _call_reader(self, use: Fields) -> ArgumentsReader:
        context, sent = self._context, text_of(use.get("name"))
        if sent and sent == context.output_tool:
            self._outputs += 1
            return ArgumentsReader(Text(origin=context.origin), self._next_index)
        self._calls += 1
        call = ToolCall(
            call_id=text_of(use.get("toolUseId")) or f"{context.generation_id}_{self._calls - 1}",
            name=context.tool_names.get(sent, sent),
            kind="custom" if sent in context.custom_tools else "function",
            origin=context.origin,
        )
        return ArgumentsReader(call, self._next_index, custom=call.kind == "custom")
