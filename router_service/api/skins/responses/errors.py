"""Write errors in the shapes of the responses API.

Sources: "Skins" of the reference's errors for the codes and for what becomes a success; its OpenAPI document for the
body of an error response; the Open Responses specification for the order of a stream's last events.
"""

from __future__ import annotations

import re
from typing import Any

from router_service.api.skins.error_envelope import error_object
from router_service.core.errors import ApiError

_CODES = {
    "rate_limit_exceeded": "rate_limit_exceeded",
    "context_length_exceeded": "invalid_prompt",
    "invalid_request": "invalid_prompt",
    "invalid_prompt": "invalid_prompt",
    "content_policy_violation": "image_content_policy_violation",
}
# The reference answers these with a response that ended at its length.
_LENGTH = frozenset({"context_length_exceeded", "max_tokens_exceeded", "token_limit_exceeded", "string_too_long"})
# Types of OpenAI's errors, by status; others below 500 are invalid requests.
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_FIELD = re.compile(r"([a-z_]+)[\w.\[\]]* ")


def is_length(error: ApiError) -> bool:
    """Return whether ``error`` is told as a response that ended at its length."""
    return error.error_type in _LENGTH


def error_field(error: ApiError) -> dict[str, Any]:
    """Return the field ``error`` of a response that failed."""
    return {"code": _CODES.get(error.error_type, "server_error"), "message": error.message}


def failure_body(error: ApiError, response_id: str, fields: frozenset[str]) -> dict[str, Any]:
    """Return the body of an error response. ``fields`` are those of the request, one of which may be at fault."""
    kind = _TYPES.get(error.code) or ("server_error" if error.code >= 500 else "invalid_request_error")
    described = error_object(error) | {"type": kind, "param": _param(error, fields)}
    return {"error": described, "error_type": error.error_type, "id": response_id, "status": "failed"}


def error_event(error: ApiError) -> dict[str, Any]:
    """Return the fields of the event ``error``."""
    return {**error_field(error), "param": None}


def _param(error: ApiError, fields: frozenset[str]) -> str | None:
    """Return the path of the field that the sentence of ``error`` begins with."""
    found = _FIELD.match(error.message)
    return found[0].rstrip() if found is not None and found[1] in fields | {"input", "model"} else None
