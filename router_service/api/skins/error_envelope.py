"""Render errors in the chat dialect's envelope."""

from __future__ import annotations

from typing import Any

from router_service.core.errors import ApiError


def error_object(error: ApiError) -> dict[str, Any]:
    """Return the object under ``error``. A provider's code is text, as SDKs require, whatever the provider sent."""
    body = error.body()
    code = body["metadata"].get("provider_code")
    if code is not None and not isinstance(code, str):
        body["metadata"]["provider_code"] = str(code)
    return body


def error_envelope(error: ApiError, **more: Any) -> dict[str, Any]:
    """Return the JSON body of an error response; ``more`` are further fields beside ``error``."""
    return {"error": error_object(error), **more}
