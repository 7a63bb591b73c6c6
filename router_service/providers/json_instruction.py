"""Ask for JSON in words, where a provider has no field that makes its model write JSON."""

from __future__ import annotations

from typing import Any

import msgspec

_OBJECT = "Answer with one JSON object and nothing else: no other text and no code fence."
_SCHEMA = (
    "Answer with one JSON value that is valid for this JSON schema and nothing else: no other text, no code fence."
)


def json_instruction(schema: dict[str, Any] | None) -> str:
    """Return the instruction for an answer that is valid for ``schema``, ``None`` for any JSON object."""
    return _OBJECT if schema is None else f"{_SCHEMA}\n{msgspec.json.encode(schema).decode()}"
