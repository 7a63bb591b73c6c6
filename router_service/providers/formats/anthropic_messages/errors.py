"""Type the format's errors: as a response with a status of failure, within a stream, and with status 200.

Sources: Claude API docs: Errors; Claude docs: Context windows, Streaming Messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data.catalogue.types import Endpoint
from router_service.core.errors import ERROR_STATUS, ApiError
from router_service.providers.context_overflow import tells_overflow
from router_service.providers.failures import BY_STATUS, CODES, RAW_LIMIT, typed_error
from router_service.providers.moderation import refuses_content

# Other formats have these as well, where only the status says what they mean.
_CODES = CODES | {"invalid_request_error": "invalid_request", "api_error": "provider_unavailable"}
# Parts of messages, in lower case, whose code says less than they do. The first that is found counts.
PHRASES = (
    ("credit balance is too low", "provider_unavailable"),
    ("maximum allowed number of output tokens", "max_tokens_exceeded"),
)
_NAMELESS = "The provider reported an error without a message"


def response_error(status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
    """Return the typed error for a response with a status of failure."""
    error = typed_error(status, body, headers, endpoint, _CODES)
    kind = _by_phrase(error.error_type, error.message)
    if kind != error.error_type:
        error.error_type, error.code = kind, ERROR_STATUS[kind]
    return error


def error_within(body: Mapping[str, Any]) -> ApiError | None:
    """Return the error that ``body``, an event or a response with status 200, tells in any shape, else ``None``.

    The shapes are the vendor's, OpenAI's, a flat one with ``"object": "error"``, and MiniMax's ``base_resp``.
    """
    found = body.get("error")
    if isinstance(found, str) and found:
        return _answer_error({"message": found})
    if isinstance(found, dict):
        return _answer_error(found)
    if body.get("type") == "error" or body.get("object") == "error":
        return _answer_error(body)
    base = body.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return _answer_error({"message": base.get("status_msg"), "code": str(base["status_code"])})
    return None


def _answer_error(found: Mapping[str, Any]) -> ApiError:
    names = [name for name in (found.get("type"), found.get("code")) if isinstance(name, str) and name != "error"]
    status = found.get("code") if isinstance(found.get("code"), int) else None
    known = next((_CODES[name] for name in names if name in _CODES), None)
    known = known or next((name for name in names if name in ERROR_STATUS), None)
    kind = known or BY_STATUS.get(status or 0, "provider_unavailable")
    message = found.get("message")
    message = message if isinstance(message, str) and message else _NAMELESS
    kind = "content_policy_violation" if refuses_content(400, message, found) else _by_phrase(kind, message)
    code = names[0] if names else status
    return ApiError(kind, message, metadata={"provider_code": str(code)} if code is not None else None)


def _by_phrase(kind: str, message: str) -> str:
    lower = message.lower()
    if kind in ("content_policy_violation", "rate_limit_exceeded"):
        return kind
    named = next((named for phrase, named in PHRASES if phrase in lower), None)
    return named or ("context_length_exceeded" if tells_overflow(message[:RAW_LIMIT]) else kind)


def not_an_answer(what: str) -> ApiError:
    """Return the error for bytes that are not of the format."""
    return ApiError("provider_unavailable", f"The provider's {what} is not of the messages format")
