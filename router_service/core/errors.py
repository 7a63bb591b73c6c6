"""Define the errors of the API: one envelope, typed codes.

Types and statuses follow ``error.metadata.error_type`` of the reference.
"""

from __future__ import annotations

from typing import Any

from data.record.attempt import CLIENT_DEADLINE

ERROR_STATUS = {
    "context_length_exceeded": 400,
    "max_tokens_exceeded": 400,
    "token_limit_exceeded": 400,
    "string_too_long": 400,
    "invalid_request": 400,
    "invalid_prompt": 400,
    "content_policy_violation": 400,
    "refusal": 400,
    "authentication": 401,
    "payment_required": 402,
    "permission_denied": 403,
    "not_found": 404,
    "payload_too_large": 413,
    "unprocessable": 422,
    "rate_limit_exceeded": 429,
    "server": 500,
    "provider_unavailable": 502,
    "provider_overloaded": 503,
    "timeout": 504,
}

# The longest Retry-After, in seconds, that is taken over from a provider: a day.
MAX_RETRY_AFTER_S = 86_400.0


def reference_error_type(error_type: str) -> str:
    """Return the reference's code for the ``error_type`` of an attempt; the reference has one code for all timeouts."""
    return "timeout" if error_type == CLIENT_DEADLINE else error_type


class ApiError(Exception):
    """Report a failure to the client with a sentence that says what to change. ``retry_after`` is in seconds."""

    def __init__(
        self,
        error_type: str,
        message: str,
        *,
        metadata: dict[str, Any] | None = None,
        availability: dict[str, Any] | None = None,
        retry_after: float | None = None,
        upstream_status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.code = ERROR_STATUS[error_type]
        self.message = message
        self.metadata = metadata or {}
        self.availability = availability
        self.retry_after = retry_after
        self.upstream_status = upstream_status

    def body(self) -> dict[str, Any]:
        """Return the object under ``error``."""
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "metadata": {"error_type": self.error_type, **self.metadata},
        }
        if self.availability is not None:
            error["availability"] = self.availability
        return error

    def envelope(self) -> dict[str, Any]:
        """Return the JSON body of the error response."""
        return {"error": self.body()}

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that the error response needs besides its content type."""
        if self.retry_after is None or self.code not in (429, 503):
            return []
        return [(b"retry-after", str(max(1, round(self.retry_after))).encode())]


class RequestRefusal(ApiError):
    """Refuse a request as HTTP, not as an API, refuses it: with a ``status`` that no error type of the API has."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__("invalid_request", message)
        self.code = status
