"""Check that tool calls are well-formed, by the three classes of the reference's tool-call error rate."""

from __future__ import annotations

import msgspec

from router_service.core.tool_calls import CollectedCall, ToolCallCollector, ToolCallFault, ToolCallVerdict
from router_service.tool_calls.schemas import SchemaCache


class _OfferedFunction(msgspec.Struct):
    name: str
    parameters: msgspec.Raw = msgspec.Raw(b"null")


class _OfferedTool(msgspec.Struct):
    function: _OfferedFunction | None = None


_decoder = msgspec.json.Decoder(list[_OfferedTool])


class ToolCallChecker:
    """Check tool calls, and keep compiled schemas. A call that cannot be judged has no fault, as in the reference."""

    def __init__(self) -> None:
        self._schemas = SchemaCache()

    def check(self, tools: msgspec.Raw, calls: ToolCallCollector) -> ToolCallVerdict:
        """Judge ``calls`` by the request's raw ``tools``.

        Raises nothing, fetches nothing, and does a bounded amount of work.
        """
        if not calls.judgeable:
            return ToolCallVerdict(calls.call_count, None)
        try:
            offered = {tool.function.name: tool.function.parameters for tool in _decoder.decode(tools) if tool.function}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ToolCallVerdict(calls.call_count, None)
        self._schemas.begin_response()
        faults = (self._fault(call, offered) for call in calls)
        return ToolCallVerdict(calls.call_count, next((fault for fault in faults if fault), None))

    def _fault(self, call: CollectedCall, offered: dict[str, msgspec.Raw]) -> ToolCallFault | None:
        # The arguments of a call without any may be an empty string: Anthropic's streams have no delta then.
        text = call.arguments.strip() or "{}"
        try:
            arguments = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError):
            return "invalid_json"
        except RecursionError:
            return None
        if call.not_text or not isinstance(arguments, dict):
            return "invalid_json"
        if call.name not in offered:
            return "unknown_name"
        raw = bytes(offered[call.name])
        schema = None if raw == b"null" else self._schemas.get(raw)
        return "schema_mismatch" if schema and not schema.accepts(arguments, len(text)) else None
