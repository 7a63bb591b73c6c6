"""Read what all responses of Cohere have in common: errors and billed units.

Source: Cohere API reference v2 (2026-11), ``ApiMeta`` and "Errors".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.core.usage import Usage
from router_service.providers.context_overflow import tells_overflow
from router_service.providers.counts import token_count
from router_service.providers.failures import BY_STATUS, RAW_LIMIT, retry_after
from router_service.providers.moderation import refuses_content
from router_service.providers.task_format import unusable

# 498 is an invalid token, 499 a request that was cancelled.
_BY_STATUS = BY_STATUS | {498: "provider_unavailable", 499: "provider_unavailable"}


def http_error(status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
    """Return the error for a response with a status of failure; its body is ``{"id": …, "message": …}``."""
    message = error_message(body)
    kind = _BY_STATUS.get(status, "provider_unavailable")
    if refuses_content(status, message, {}):
        kind = "content_policy_violation"
    if kind in ("invalid_request", "unprocessable") and tells_overflow(message):
        kind = "context_length_exceeded"
    return ApiError(
        kind,
        f"Provider returned error: {message}" if message else f"Provider returned error {status}",
        metadata={"provider_name": endpoint.provider_name, "raw": body[:RAW_LIMIT].decode(errors="replace")},
        retry_after=retry_after(headers.get("retry-after"), time.time()),
        upstream_status=status,
    )


def error_message(body: bytes) -> str:
    """Return the sentence of an error body, empty where it has none."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    message = found.get("message") if isinstance(found, dict) else None
    return message[:RAW_LIMIT] if isinstance(message, str) else ""


def read_object(body: bytes, what: str) -> dict[str, Any]:
    """Return the object of a response. Raises ``ApiError`` 502 where ``body`` is none."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise unusable(what, "the response is not valid JSON") from None
    if not isinstance(found, dict):
        raise unusable(what, "the response is no object")
    return found


def usage_of_meta(meta: Any) -> Usage | None:
    """Return what Cohere bills, ``None`` where it does not say."""
    billed = meta.get("billed_units") if isinstance(meta, dict) else None
    if not isinstance(billed, dict):
        return None
    texts, images = token_count(billed.get("input_tokens")), token_count(billed.get("image_tokens"))
    searches = token_count(billed.get("search_units"))
    if texts is None and images is None and searches is None:
        return None
    return Usage((texts or 0) + (images or 0), 0, image_prompt_tokens=images, search_units=searches)
