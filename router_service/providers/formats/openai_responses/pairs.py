"""Pair the calls of the input with their outputs: the vendor refuses either without the other."""

from __future__ import annotations

from collections import deque
from typing import Any

from router_service.providers.formats.openai_responses.names import MAX_CALL_ID
from router_service.providers.tool_names import fitted_name

Item = dict[str, Any]
WITHOUT_OUTPUT = "This call returned no result."
_OUTPUTS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}


def paired(items: list[Item]) -> list[Item]:
    """Return ``items`` with the ids of calls fitted in call and output alike.

    A call without an output gets one that says so, and an output without a call is told as text.
    """
    taken: set[str] = set()
    waiting: dict[str, deque[Item]] = {}
    found: list[Item] = []
    for item in items:
        kind = item["type"] if isinstance(item.get("call_id"), str) else ""
        if kind in _OUTPUTS:
            waiting.setdefault(item["call_id"], deque()).append(item)
            item["call_id"] = fitted_name(item["call_id"], MAX_CALL_ID, taken)
            taken.add(item["call_id"])
        elif kind == "function_call_output":
            calls = waiting.get(item["call_id"])
            if not calls:
                found.append(_output_as_text(item))
                continue
            call = calls.popleft()
            item = item | {"type": _OUTPUTS[call["type"]], "call_id": call["call_id"]}
        found.append(item)
    missing = {id(call) for calls in waiting.values() for call in calls}
    return [one for item in found for one in ([item, _no_output(item)] if id(item) in missing else [item])]


def _no_output(call: Item) -> Item:
    return {"type": _OUTPUTS[call["type"]], "call_id": call["call_id"], "output": WITHOUT_OUTPUT}


def _output_as_text(item: Item) -> Item:
    output = item.get("output")
    told = f"Result of the earlier tool call {item['call_id']}:"
    content = output if isinstance(output, list) else [{"type": "input_text", "text": str(output or "(empty)")}]
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": told}, *content]}
