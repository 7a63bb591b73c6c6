"""Type the errors of Amazon Bedrock: as a response with a status of failure, and as an exception within a stream.

Sources: Amazon Bedrock API reference: Converse, ConverseStream, InvokeModel and Common error types; Amazon Bedrock
user guide: Troubleshooting API error codes; the error bodies that users quote in issues of RooCodeInc/Roo-Code (#248)
and langchain-ai/langchain-aws. The header ``x-amzn-ErrorType`` names the error, at times with an address after a
colon.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ERROR_STATUS, ApiError
from router_service.providers.context_overflow import tells_overflow
from router_service.providers.failures import RAW_LIMIT, typed_error
from router_service.providers.lenient_json import json_value
from router_service.providers.moderation import refuses_content

_TYPE_HEADER = "x-amzn-errortype"
# Errors by their names in lower case: within a stream they begin with a small letter. Those of the router's own
# account are no fault of the client.
_KINDS = {
    "validationexception": "invalid_request",
    "throttlingexception": "rate_limit_exceeded",
    "servicequotaexceededexception": "rate_limit_exceeded",
    "toomanyrequestsexception": "rate_limit_exceeded",
    "modelnotreadyexception": "provider_overloaded",
    "serviceunavailableexception": "provider_overloaded",
    "modeltimeoutexception": "timeout",
    "requestentitytoolargeexception": "payload_too_large",
    **dict.fromkeys(
        (
            "accessdeniedexception", "unrecognizedclientexception", "invalidsignatureexception",
            "expiredtokenexception", "expiredtoken", "incompletesignatureexception", "incompletesignature",
            "missingauthenticationtokenexception", "missingauthenticationtoken", "invalidclienttokenid",
            "optinrequired",
            "notauthorized", "resourcenotfoundexception", "unknownoperationexception", "conflictexception",
            "internalserverexception", "internalfailure", "modelerrorexception", "modelstreamerrorexception",
        ),
        "provider_unavailable",
    ),
}  # fmt: skip
# Parts of messages, in lower case, whose error says less than they do. The first that is found counts.
_PHRASES = (
    ("maximum tokens you requested exceed", "max_tokens_exceeded"),
    ("provided model identifier is invalid", "provider_unavailable"),
    ("on-demand throughput isn", "provider_unavailable"),
    ("operation not allowed", "provider_unavailable"),
    ("don't have access to the model", "provider_unavailable"),
)
_NAMELESS = "The provider reported an error without a message"


def amazon_error(status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
    """Return the typed error for a response with a status of failure."""
    told = _object(body)
    name = _error_name(headers, told)
    fields = {"message": message_told(told), "code": name}
    kinds = {name: _KINDS[name.lower()]} if name and name.lower() in _KINDS else {}
    error = typed_error(status, msgspec.json.encode({"error": fields}), headers, endpoint, kinds)
    error.metadata["raw"] = body[:RAW_LIMIT].decode(errors="replace")
    kind = _by_phrase(error.error_type, error.message)
    if kind != error.error_type:
        error.error_type, error.code = kind, ERROR_STATUS[kind]
    return error


def stream_exception(name: str, data: bytes) -> ApiError:
    """Return the error of an exception within a stream."""
    told = _object(data)
    message = message_told(told)[:RAW_LIMIT] or _NAMELESS
    kind = _by_phrase(_KINDS.get(name.lower(), "provider_unavailable"), message)
    if refuses_content(400, message, told):
        kind = "content_policy_violation"
    elif kind == "invalid_request" and tells_overflow(message):
        kind = "context_length_exceeded"
    return ApiError(kind, message, metadata={"provider_code": name[:100]})


def _object(body: bytes) -> dict[str, Any]:
    found = None
    with contextlib.suppress(RecursionError):
        found = json_value(body)
    return found if isinstance(found, dict) else {}


def _error_name(headers: Mapping[str, str], told: Mapping[str, Any]) -> str | None:
    named = headers.get(_TYPE_HEADER) or headers.get("x-amzn-ErrorType") or str(told.get("__type") or "")
    return named.partition(":")[0].rpartition("#")[2].strip()[:100] or None


def message_told(told: Mapping[str, Any]) -> str:
    """Return the sentence of an error, however its field is written; empty for none."""
    for name in ("message", "Message", "originalMessage"):
        found = told.get(name)
        if isinstance(found, str) and found:
            return found
    return ""


def _by_phrase(kind: str, message: str) -> str:
    lower = message.lower()
    return next((named for phrase, named in _PHRASES if phrase in lower), kind)
