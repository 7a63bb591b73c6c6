"""Define errors as clients see them: one envelope with typed codes.

Types and statuses follow the reference's ``error.metadata.error_type``.
"""

from __future__ import annotations

from typing import Any

from data.schema import CLIENT_DEADLINE

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


def reference_type(error_type: str) -> str:
    """The reference's code for an attempt's ``error_type``: it has one for all that came too late."""
    return "timeout" if error_type == CLIENT_DEADLINE else error_type


class ApiError(Exception):
    """A failure with a sentence that says what to change. ``retry_after`` is in seconds."""

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
        """The object under ``error``."""
        error: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "metadata": {"error_type": self.error_type, **self.metadata},
        }
        if self.availability is not None:
            error["availability"] = self.availability
        return error

    def envelope(self) -> dict[str, Any]:
        """The whole answer."""
        return {"error": self.body()}

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers that the answer needs besides its content type."""
        if self.retry_after is None or self.code not in (429, 503):
            return []
        return [(b"retry-after", str(max(1, round(self.retry_after))).encode())]
