"""Write errors as Google's APIs do.

Source: Gemini API docs: Troubleshooting guide; google.rpc.Status, google.rpc.ErrorInfo and google.rpc.RetryInfo.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.gemini_refusals import BAD_TOKEN
from lab.scripted_wire import cloud_failure
from lab.shapes import RequestRefused

FAILURES: Mapping[int, tuple[str, str]] = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", BAD_TOKEN),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "Requested entity was not found."),
    429: ("RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details."),
    500: ("INTERNAL", "An internal error has occurred. Please retry or report in the troubleshooting guide."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "The request timed out. Please try again."),
}


class GeminiErrors:
    """Implement ``ErrorWire``."""

    not_json = "Invalid JSON payload received. Unexpected end of string."

    def error(self, status: int) -> dict[str, Any]:
        kind, _ = FAILURES.get(status, FAILURES[500])
        return {"error": {"code": status, "message": f"planted {status}", "status": kind}}

    def envelope(self, refused: RequestRefused, request_id: str) -> dict[str, Any]:  # noqa: ARG002 (of the contract)
        status = refused.kind if refused.kind.isupper() else FAILURES.get(refused.status, FAILURES[400])[0]
        error: dict[str, Any] = {"code": refused.status, "message": refused.message, "status": status}
        if refused.code:
            reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": refused.code}
            error["details"] = [reason | {"domain": "googleapis.com"}]
        if refused.status == 429:
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}]
        return {"error": error}

    def failure(self, status: int) -> RequestRefused:
        return cloud_failure(FAILURES, status)
