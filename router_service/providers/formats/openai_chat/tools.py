"""Encode offered tools and their choice, and fit the ids and arguments of earlier tool calls."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.core.generation import GenerationRequest, Tool
from router_service.core.parts import CacheMark, ToolCall
from router_service.core.wire.chat_traits import SHORT_CALL_ID
from router_service.providers.formats.openai_chat.dialect import NAME, Dialect, ToolChoiceMode

_NO_TOOLS = "This provider calls no tools: leave out tool_choice or function_call, or choose another provider"
_NO_PARAMETERS = {"type": "object", "properties": {}}
_NINE = re.compile("[a-zA-Z0-9]{9}")
_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def cache_control(mark: CacheMark) -> dict[str, str]:
    """Return a cache mark as the dialects that know it write it."""
    return {"type": "ephemeral"} | ({"ttl": mark.ttl} if mark.ttl else {})


def encode_tools(request: GenerationRequest, dialect: Dialect, dropped: set[str]) -> dict[str, Any]:
    """Return the fields of the body that offer tools, none if there is no tool that the format can express.

    Raises ``ApiError`` 400 for a call that has to be made where the provider makes none.
    """
    choice = request.tool_choice
    mode = None if choice is None else choice.mode
    offered = request.tools
    if not dialect.tools and offered:
        if mode in ("required", "tool"):
            raise ApiError("invalid_request", _NO_TOOLS)
        dropped.add("tools")
        if choice is not None and choice.parallel is False:
            dropped.add("parallel_tool_calls")
        return {}
    if mode is not None and mode not in dialect.tool_choices:
        offered, mode = _offered_instead(request, mode, dialect, dropped)
    tools = [encoded for tool in offered if (encoded := _tool(tool, dialect, dropped)) is not None]
    if len(tools) < len(offered):
        dropped.add("tools")
    if not tools:
        if mode in ("required", "tool"):
            dropped.add("tool_choice")
        return {}
    fields: dict[str, Any] = {"tools": tools}
    if choice is None:
        return fields
    if mode == "tool":
        kinds = {tool.name: tool.kind for tool in request.tools}
        kind = "custom" if kinds.get(choice.name or "") == "custom" else "function"
        fields["tool_choice"] = {"type": kind, kind: {"name": choice.name}}
    elif mode is not None and not (mode == "auto" and "parallel_tool_calls" in dialect.absent):
        # The usual choice may come from parallel_tool_calls alone.
        fields["tool_choice"] = mode
    if choice.parallel is not None:
        fields["parallel_tool_calls"] = choice.parallel
    return fields


def _offered_instead(
    request: GenerationRequest, mode: ToolChoiceMode, dialect: Dialect, dropped: set[str]
) -> tuple[list[Tool], ToolChoiceMode | None]:
    """Return the tools to offer, and the mode, for a choice that the dialect does not have.

    No choice of a tool leaves no tools, and a named one leaves that tool alone; it is forced where a call can be.
    """
    if mode == "none":
        return [], None
    named = request.tool_choice.name if request.tool_choice is not None else None
    offered = [tool for tool in request.tools if mode != "tool" or tool.name == named]
    if mode == "tool" and "required" in dialect.tool_choices:
        return offered, "required"
    dropped.add("tool_choice")
    return offered, None


def _tool(tool: Tool, dialect: Dialect, dropped: set[str]) -> dict[str, Any] | msgspec.Raw | None:
    mark: dict[str, Any] = {}
    if tool.cache is not None:
        if dialect.cache_control:
            mark = {"cache_control": cache_control(tool.cache)}
        else:
            dropped.add("cache_control")
    if tool.raw is not None and tool.dialect == NAME:
        return msgspec.json.decode(tool.raw) | mark if mark else tool.raw
    description = {} if tool.description is None else {"description": tool.description}
    if tool.kind == "custom":
        return {"type": "custom", "custom": {"name": tool.name, **description}, **mark}
    if tool.kind == "hosted":
        return None
    function: dict[str, Any] = {"name": tool.name, **description}
    if tool.schema is not None or dialect.tool_parameters:
        function["parameters"] = _NO_PARAMETERS if tool.schema is None else tool.schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function, **mark}


def encode_call(call: ToolCall, call_id: str, dialect: Dialect) -> dict[str, Any]:
    """Return an earlier call of a function or of a custom tool."""
    if call.kind == "custom":
        return {"id": call_id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    arguments = valid_arguments(call.arguments) if dialect.valid_arguments else call.arguments
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def valid_arguments(arguments: str) -> str:
    """Return ``arguments`` if they are a JSON object, else an object that holds them."""
    if not arguments.strip():
        return "{}"
    try:
        msgspec.json.decode(arguments, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return msgspec.json.encode({"_invalid_arguments": arguments}).decode()
    return arguments


class CallIds:
    """Fit the ids of calls and of their results in the same way. Calls without an id are paired in order.

    An id that is fitted and that several calls have, since some providers count calls anew in each turn, becomes
    several ids; the results are paired with the calls in order.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._kind = dialect.tool_call_ids
        self._made = 0
        self._unanswered: list[str] = []
        # By id: how many calls had it, and the numbers of those whose result has not come.
        self._calls: dict[str, int] = {}
        self._open: dict[str, list[int]] = {}

    def of_call(self, call_id: str) -> str:
        """Return the id to send for a call."""
        if not call_id:
            call_id = self._next()
            self._unanswered.append(call_id)
        number = self._calls[call_id] = self._calls.get(call_id, 0) + 1
        self._open.setdefault(call_id, []).append(number)
        return self._fit(call_id, number)

    def of_result(self, call_id: str) -> str:
        """Return the id to send for a result."""
        if not call_id:
            call_id = self._unanswered.pop(0) if self._unanswered else self._next()
        unanswered = self._open.get(call_id)
        return self._fit(call_id, unanswered.pop(0) if unanswered else self._calls.get(call_id, 1))

    def _next(self) -> str:
        self._made += 1
        return f"call_{self._made}"

    def _fit(self, call_id: str, number: int) -> str:
        source = call_id if number == 1 else f"{call_id}#{number}"
        if self._kind == "nine_alphanumeric":
            return call_id if number == 1 and _NINE.fullmatch(call_id) else _digest(source, 9)
        if self._kind == "short" and len(call_id) > SHORT_CALL_ID:
            return f"call_{_digest(source, 24)}"
        return call_id


def _digest(call_id: str, length: int) -> str:
    """Return ``length`` letters and digits that follow from ``call_id``."""
    number = int.from_bytes(hashlib.sha256(call_id.encode("utf-8", "replace")).digest()[: length - 1], "big")
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHANUMERIC))
        digits.append(_ALPHANUMERIC[digit])
    return "".join(digits)
