"""Tools, pictures and prompts that the tests of the lab's scenarios share."""

from __future__ import annotations

import base64
from typing import Any

import httpx2

# One client for all requests: a new one loads the certificates of the system first.
HTTP = httpx2.Client(timeout=60)
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and the rest").decode()
PNG_BYTES = 21
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "place": {"type": "string", "minLength": 2},
        "unit": {"enum": ["metre", "fathom"]},
        "depth": {"type": "number", "exclusiveMinimum": 100},
        "route": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/point"}},
        "note": {"type": "string"},
    },
    "required": ["place", "unit", "depth", "route"],
    "additionalProperties": False,
    "$defs": {
        "point": {
            "type": "object",
            "properties": {"lat": {"type": "number", "minimum": -90, "maximum": 90}, "kind": {"const": "buoy"}},
            "required": ["lat", "kind"],
        }
    },
}
SECOND = {"type": "object", "properties": {"flag": {"type": "boolean"}}, "required": ["flag"]}


def marked(scenario: str) -> str:
    """Return a prompt that asks for ``scenario``."""
    return f"Where is the harbour? [lab:scenario={scenario}]"


def chat_tool(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a function tool of OpenAI."""
    return {"type": "function", "function": {"name": name, "description": "Sail", "parameters": schema}}


def message_tool(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a tool of Anthropic."""
    return {"name": name, "description": "Sail", "input_schema": schema}
