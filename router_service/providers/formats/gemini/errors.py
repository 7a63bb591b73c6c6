"""Type the format's errors: as a response with a status of failure, within a stream, and with status 200.

Sources: Gemini API docs: Troubleshooting guide; google.rpc.Status and google.rpc.RetryInfo (error_details.proto);
issues of google-gemini/gemini-cli for the list around an error. The body of a failed stream is such a list.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import MAX_RETRY_AFTER_S, ApiError
from router_service.providers.context_overflow import tells_overflow
from router_service.providers.failures import BY_STATUS, RAW_LIMIT, typed_error
from router_service.providers.moderation import refuses_content

# Codes of google.rpc.Code by what they mean for the client of the router.
_STATUSES = {
    "CANCELLED": "provider_unavailable",
    "UNKNOWN": "provider_unavailable",
    "INVALID_ARGUMENT": "invalid_request",
    "DEADLINE_EXCEEDED": "timeout",
    "NOT_FOUND": "provider_unavailable",
    "ALREADY_EXISTS": "provider_unavailable",
    "PERMISSION_DENIED": "permission_denied",
    "UNAUTHENTICATED": "provider_unavailable",
    "RESOURCE_EXHAUSTED": "rate_limit_exceeded",
    "FAILED_PRECONDITION": "provider_unavailable",
    "ABORTED": "provider_unavailable",
    "OUT_OF_RANGE": "invalid_request",
    "UNIMPLEMENTED": "provider_unavailable",
    "INTERNAL": "provider_unavailable",
    "UNAVAILABLE": "provider_overloaded",
    "DATA_LOSS": "provider_unavailable",
}
# Reasons of google.rpc.ErrorInfo that say more than the status: the key is the router's, not the client's.
_REASONS = dict.fromkeys(
    ("API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "SERVICE_DISABLED", "BILLING_DISABLED", "CONSUMER_INVALID"),
    "provider_unavailable",
)
_CODES = _STATUSES | _REASONS
_NAMELESS = "The provider reported an error without a message"
_DELAY = re.compile(r"(\d{1,7}(?:\.\d{1,9})?)s")


def gemini_error(status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
    """Return the typed error for a response with a status of failure."""
    told = _status_of(_json(body)) or {}
    fields = {"message": told.get("message"), "code": _code(told)}
    error = typed_error(status, msgspec.json.encode({"error": fields}), headers, endpoint, _CODES)
    error.metadata["raw"] = body[:RAW_LIMIT].decode(errors="replace")
    if error.retry_after is None:
        error.retry_after = _retry_delay(told)
    return error


def error_reported(body: Any) -> ApiError | None:
    """Return the error that ``body``, a chunk or a response with status 200, tells in any shape, else ``None``."""
    told = _status_of(body)
    if told is None:
        return None
    message = told.get("message")
    message = message[:RAW_LIMIT] if isinstance(message, str) and message else _NAMELESS
    code = _code(told)
    number = told.get("code")
    kind = _CODES.get(code or "") or BY_STATUS.get(number if isinstance(number, int) else 0, "provider_unavailable")
    if refuses_content(400, message, told):
        kind = "content_policy_violation"
    elif kind == "invalid_request" and tells_overflow(message):
        kind = "context_length_exceeded"
    named = code or (str(number) if isinstance(number, int) else None)
    metadata = {"provider_code": named} if named else None
    return ApiError(kind, message, metadata=metadata, retry_after=_retry_delay(told))


def blocked_prompt(feedback: Mapping[str, Any]) -> ApiError | None:
    """Return the error for a prompt that the vendor has blocked, ``None`` for one that it has not."""
    reason = feedback.get("blockReason")
    if not isinstance(reason, str) or not reason:
        return None
    told = feedback.get("blockReasonMessage")
    words = f": {told[:RAW_LIMIT]}" if isinstance(told, str) and told else ""
    message = f"The provider blocked the prompt ({reason[:100]}){words}; change the prompt, or ask another model"
    return ApiError("content_policy_violation", message, metadata={"provider_code": reason[:100]})


def no_content(what: str) -> ApiError:
    """Return the error for bytes that are not of the format."""
    return ApiError("provider_unavailable", f"The provider's {what} is not of the generateContent format")


def _json(body: bytes) -> Any:
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return msgspec.json.decode(body)
    return None


def _status_of(body: Any) -> dict[str, Any] | None:
    """Return the ``google.rpc.Status`` of a body, which may be a list around it, or ``None`` for no error."""
    if isinstance(body, list):
        return next((found for one in body if (found := _status_of(one)) is not None), None)
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    if isinstance(error, str) and error:
        return {"message": error}
    return error if isinstance(error, dict) and error else None


def _code(told: Mapping[str, Any]) -> str | None:
    """Return the reason that the details give if it is known, else the status."""
    for detail in _details(told):
        if detail.get("reason") in _REASONS:
            return str(detail["reason"])
    status = told.get("status")
    return status if isinstance(status, str) and status else None


def _retry_delay(told: Mapping[str, Any]) -> float | None:
    """Return the seconds of ``RetryInfo``, a duration such as ``34.07s``; at most ``MAX_RETRY_AFTER_S``."""
    for detail in _details(told):
        delay = detail.get("retryDelay")
        found = _DELAY.fullmatch(delay) if isinstance(delay, str) else None
        if found is not None:
            return min(float(found[1]), MAX_RETRY_AFTER_S)
    return None


def _details(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    details = told.get("details")
    return [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []
