"""Translate a provider's HTTP failure to a typed error, for all wire formats."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import MAX_RETRY_AFTER_S, ApiError
from router_service.providers.context_overflow import tells_overflow
from router_service.providers.moderation import refuses_content

RAW_LIMIT = 2000
BY_STATUS = {
    400: "invalid_request",
    401: "provider_unavailable",
    402: "provider_unavailable",
    403: "permission_denied",
    404: "provider_unavailable",
    408: "timeout",
    413: "payload_too_large",
    422: "unprocessable",
    429: "rate_limit_exceeded",
    451: "permission_denied",
    503: "provider_overloaded",
    504: "timeout",
    524: "timeout",
    529: "provider_overloaded",
}

# Error codes and types that mean the same in every format; gateways and imitators pass each other's on.
CODES = {
    "authentication_error": "provider_unavailable",
    "billing_error": "provider_unavailable",
    "content_filter": "content_policy_violation",  # Azure's code, Moonshot's type
    "content_policy_violation": "content_policy_violation",
    "context_length_exceeded": "context_length_exceeded",
    "data_inspection_failed": "content_policy_violation",  # Alibaba
    "DataInspectionFailed": "content_policy_violation",  # Alibaba
    "insufficient_quota": "provider_unavailable",
    "invalid_prompt": "invalid_prompt",
    "model_not_found": "provider_unavailable",
    "not_found_error": "provider_unavailable",
    "overloaded_error": "provider_overloaded",
    "permission_error": "permission_denied",
    "rate_limit_error": "rate_limit_exceeded",
    "rate_limit_exceeded": "rate_limit_exceeded",
    "request_too_large": "payload_too_large",
    "ResponsibleAIPolicyViolation": "content_policy_violation",  # Azure
    "string_above_max_length": "string_too_long",
    "timeout_error": "timeout",
    "1026": "content_policy_violation",  # MiniMax, of the prompt
    "1027": "content_policy_violation",  # MiniMax, of the answer
    "1113": "provider_unavailable",  # Z.AI: the account has no balance; its status is 429
    "1301": "content_policy_violation",  # Z.AI
    "1302": "rate_limit_exceeded",  # Z.AI
    "1303": "rate_limit_exceeded",  # Z.AI
    "1305": "rate_limit_exceeded",  # Z.AI
    "5007": "provider_unavailable",  # Cloudflare: no such model; its status is 400
}


def typed_error(
    status: int,
    body: bytes,
    headers: Mapping[str, str],
    endpoint: Endpoint,
    codes: Mapping[str, str],
) -> ApiError:
    """Return the error typed by the provider's own code through ``codes`` if that is known, else by the HTTP status.

    The provider's own 401, 402 and 404 are failures between it and the router, not the client's.
    """
    code, message, error = _read(body)
    kind = codes.get(code or "") or BY_STATUS.get(status, "provider_unavailable")
    if refuses_content(status, message, error):
        kind = "content_policy_violation"
    if kind == "invalid_request" and tells_overflow(message[:RAW_LIMIT]):
        kind = "context_length_exceeded"
    metadata: dict[str, Any] = {
        "provider_name": endpoint.provider_name,
        "raw": body[:RAW_LIMIT].decode(errors="replace"),
    }
    if code:
        metadata["provider_code"] = code
    return ApiError(
        kind,
        f"Provider returned error: {message}" if message else f"Provider returned error {status}",
        metadata=metadata,
        retry_after=retry_after(headers.get("retry-after"), time.time()),
        upstream_status=status,
    )


def _read(body: bytes) -> tuple[str | None, str, dict[str, Any]]:
    """Return the provider's code, its message, and the error object."""
    try:
        parsed = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None, "", {}
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if isinstance(error, str):
        return None, error, {}
    if not isinstance(error, dict):
        return None, "", {}
    # Some providers repeat the status as the code, and give the actual code as the type.
    code = error.get("type") if isinstance(error.get("code"), int) and error.get("type") else error.get("code")
    code = code or error.get("type")
    return (str(code) if code is not None else None), str(error.get("message") or ""), error


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds of a ``Retry-After``, which is a number or a date (RFC 9110); ``now`` is in Unix seconds.

    It is at most ``MAX_RETRY_AFTER_S``, and ``None`` for a value that is neither.
    """
    if not value:
        return None
    with contextlib.suppress(ValueError):
        seconds = float(value)
        return min(max(0.0, seconds), MAX_RETRY_AFTER_S) if math.isfinite(seconds) else None
    with contextlib.suppress(ValueError, OverflowError):
        date = parsedate_to_datetime(value)
        # A date without a zone is GMT, as all dates of HTTP are.
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
        return min(max(0.0, seconds), MAX_RETRY_AFTER_S)
    return None
