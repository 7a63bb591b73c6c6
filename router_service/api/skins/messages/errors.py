"""Write errors in the shape of the messages API.

Source of types and statuses: https://platform.claude.com/docs/en/api/errors.
"""

from __future__ import annotations

from typing import Any

from router_service.core.errors import ApiError

# Statuses that differ from those of the router's own errors.
_STATUS = {"provider_overloaded": 529}
_TYPES = {
    "authentication": "authentication_error",
    "payment_required": "billing_error",
    "permission_denied": "permission_error",
    "not_found": "not_found_error",
    "payload_too_large": "request_too_large",
    "rate_limit_exceeded": "rate_limit_error",
    "server": "api_error",
    "provider_unavailable": "api_error",
    "provider_overloaded": "overloaded_error",
    "timeout": "timeout_error",
}
# The key of an error's metadata for what programs read: an object with an ``error_code``.
DETAILS = "details"
# Claude Code compacts the conversation when an error has these words.
_TOO_LONG = "prompt is too long"


def error_status(error: ApiError) -> int:
    """Return the HTTP status of ``error`` in this API."""
    return _STATUS.get(error.error_type, error.code)


def error_body(error: ApiError, request_id: str) -> dict[str, Any]:
    """Return the JSON body of an error response; it is also the data of an ``error`` event."""
    message = error.message
    if error.error_type == "context_length_exceeded" and _TOO_LONG not in message.lower():
        message = f"{_TOO_LONG}: {message}"
    found: dict[str, Any] = {"type": _TYPES.get(error.error_type, "invalid_request_error"), "message": message}
    if DETAILS in error.metadata:
        found[DETAILS] = error.metadata[DETAILS]
    return {"type": "error", "error": found, "request_id": request_id}


def error_headers(error: ApiError, request_id: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of an error response besides its content type."""
    return [(b"request-id", request_id.encode()), *error.headers()]
