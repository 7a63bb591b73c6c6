"""Repeat in an answer what the request asked for, as clients of this API expect.

A field that was not sent has OpenAI's default: SDKs and the Open Responses schemas require most of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from router_service.api.skins.field_errors import decode_field
from router_service.core.outgoing_json import outgoing_json

# Every field of a response that repeats one of the request, with its default.
_DEFAULTS: dict[str, Any] = {
    "background": False,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
# Fields that the official SDKs require of a function tool.
_FUNCTION_DEFAULTS = {"description": None, "parameters": None, "strict": None}
_any = msgspec.json.Decoder()


def echo_of(fields: Mapping[str, Raw]) -> str:
    """Return the repeated fields as the members of a JSON object on one line, without its braces.

    Raises ``ApiError`` 400 for a value that is no JSON.
    """
    found = dict(_DEFAULTS)
    for name in _DEFAULTS:
        if name in fields and (value := decode_field(bytes(fields[name]), _any, name)) is not None:
            found[name] = value
    found["tools"] = [_tool(tool) for tool in found["tools"]]
    found["reasoning"] = _DEFAULTS["reasoning"] | found["reasoning"]
    if isinstance(text := found["text"], dict):
        found["text"] = {**text, "format": text.get("format") or {"type": "text"}}
    return outgoing_json(found)[1:-1].decode()


def _tool(tool: Any) -> Any:
    if isinstance(tool, dict) and tool.get("type") == "function":
        return _FUNCTION_DEFAULTS | tool
    return tool
