"""Read the JSON schemas of tools and answers, which come from the client."""

from __future__ import annotations

from typing import Any

import msgspec

from router_service.core.errors import ApiError


def decode_schema(raw: msgspec.Raw, owner: str) -> dict[str, Any]:
    """Return a schema as an object. Raises ``ApiError`` 400 that names ``owner`` for any other value."""
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise ApiError("invalid_request", f"The schema of {owner} must be a JSON object; send a JSON schema") from None


def require_object(schema: dict[str, Any], owner: str) -> dict[str, Any]:
    """Return ``schema`` with its type. Raises ``ApiError`` 400 that names ``owner`` unless it describes objects."""
    if schema.get("type", "object") != "object":
        raise ApiError(
            "invalid_request", f"The schema of {owner} must be of type object for this provider; wrap it in an object"
        )
    return {"type": "object"} | schema
