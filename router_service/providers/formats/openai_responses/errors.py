"""Type the format's errors: as a response with a status of failure, within a stream, and with status 200.

Sources: the types ``ResponseError`` and ``ResponseErrorEvent`` of the ``openai`` package 3.54; OpenAI docs: Error
codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.catalogue.types import Endpoint
from router_service.core.errors import ERROR_STATUS, ApiError
from router_service.providers.failures import BY_STATUS, CODES, typed_error
from router_service.providers.moderation import refuses_content

_IMAGE_CODES = (
    "invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url", "image_too_large",
    "image_too_small", "image_parse_error", "invalid_image_mode", "image_file_too_large",
    "unsupported_image_media_type", "empty_image_file", "failed_to_download_image", "image_file_not_found",
)  # fmt: skip
_RESPONSES_CODES = (
    CODES
    | dict.fromkeys(_IMAGE_CODES, "invalid_request")
    | dict.fromkeys(
        ("bio_policy", "misalignment_policy_violation", "image_content_policy_violation"), "content_policy_violation"
    )
    | {
        "vector_store_timeout": "timeout",
        "data_residency_mismatch": "permission_denied",
        "invalid_encrypted_content": "invalid_request",
        "string_above_max_length": "string_too_long",
    }
)
# A response with a status of failure has these as well, where only the status says what they mean: a server error may
# be an overload or a timeout.
_WITHIN_CODES = _RESPONSES_CODES | {
    "invalid_request_error": "invalid_request",
    "server_error": "provider_unavailable",
}
# Parts of messages, in lower case, whose code says less than they do.
_PHRASES = (
    ("exceeds the context window", "context_length_exceeded"),
    ("maximum context length", "context_length_exceeded"),
    ("maximum prompt length", "context_length_exceeded"),  # xAI
)
_KEPT = ("content_policy_violation", "rate_limit_exceeded")
_MESSAGE_LIMIT = 2000
_UNNAMED = "The provider reported an error without a message"


def responses_error(status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
    """Return the typed error for a response with a status of failure."""
    error = typed_error(status, body, headers, endpoint, _RESPONSES_CODES)
    kind = _kind_by_phrase(error.error_type, error.message)
    if kind != error.error_type:
        error.error_type, error.code = kind, ERROR_STATUS[kind]
    return error


def error_told(body: Mapping[str, Any]) -> ApiError | None:
    """Return the error that ``body``, an event or a response with status 200, tells in any shape, else ``None``.

    The shapes are the vendor's event, whose fields are its own or those of an object ``error``, the field ``error`` of
    a failed response, and a sentence.
    """
    found = body.get("error")
    if isinstance(found, str) and found:
        return _told({"message": found})
    if isinstance(found, dict) and found:
        return _told(found)
    return _told(body) if body.get("type") == "error" or body.get("object") == "error" else None


def failed_response(response: Mapping[str, Any]) -> ApiError:
    """Return the error of a response that has failed or was cancelled; one without words is the provider's failure."""
    status = response.get("status")
    named = status if isinstance(status, str) and status else "failed"
    return error_told(response) or ApiError("provider_unavailable", f"The provider's response is {named[:100]}")


def _told(found: Mapping[str, Any]) -> ApiError:
    code = found.get("code")
    names = [name for name in (code, found.get("type")) if isinstance(name, str) and name and name != "error"]
    status = code if isinstance(code, int) and not isinstance(code, bool) else None
    known = next((_WITHIN_CODES[name] for name in names if name in _WITHIN_CODES), None)
    known = known or next((name for name in names if name in ERROR_STATUS), None)
    kind = known or BY_STATUS.get(status or 0, "provider_unavailable")
    message = found.get("message")
    message = message[:_MESSAGE_LIMIT] if isinstance(message, str) and message else _UNNAMED
    kind = "content_policy_violation" if refuses_content(400, message, found) else _kind_by_phrase(kind, message)
    named = names[0] if names else status
    return ApiError(kind, message, metadata={"provider_code": str(named)} if named is not None else None)


def _kind_by_phrase(kind: str, message: str) -> str:
    if kind in _KEPT:
        return kind
    lower = message.lower()
    return next((named for phrase, named in _PHRASES if phrase in lower), kind)


def no_response(what: str) -> ApiError:
    """Return the error for bytes that are not of the format."""
    return ApiError("provider_unavailable", f"The provider's {what} is not of the Responses format")
