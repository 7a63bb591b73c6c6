"""Recognise an error in every shape that chat providers send, and type it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from data.catalogue.types import Endpoint
from router_service.core.errors import ApiError
from router_service.providers.context_overflow import tells_overflow
from router_service.providers.failures import BY_STATUS, CODES, RAW_LIMIT, retry_after
from router_service.providers.lenient_json import read_leniently
from router_service.providers.moderation import refuses_content

_REFUSED = ("invalid_request", "unprocessable", "payload_too_large")
_MESSAGE_LIMIT = 2000
_SENTENCES = ("message", "detail", "msg", "error_msg")
# Source: MiniMax docs, Error codes.
_MINIMAX_STATUS = {"1002": 429, "1004": 401, "1008": 402, "1026": 400, "1027": 400, "1039": 429, "2013": 400}


class ErrorFacts(NamedTuple):
    """Hold what an error says: ``code`` names it, ``status`` is the HTTP status within it, if any."""

    message: str
    code: str | None
    status: int | None
    error: dict[str, Any]


def find_error(found: Any) -> ErrorFacts | None:
    """Return the error that a body or an event without choices consists of, or ``None`` if it is none."""
    if isinstance(found, list):
        return next((facts for item in found if isinstance(item, dict) and (facts := find_error(item))), None)
    if not isinstance(found, dict):
        return None
    error = found.get("error")
    if isinstance(error, dict) and error:
        return _facts(error)
    if isinstance(error, str) and error:
        return ErrorFacts(_sentence(found.get("message")) or error[:_MESSAGE_LIMIT], None, _status(found), {})
    if error is not None and error is not False and error != {}:
        return ErrorFacts(_sentence(error) or "The provider reports an error", None, _status(found), {})
    base = found.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        # MiniMax tells errors within a response of status 200.
        code = str(base["status_code"])
        return ErrorFacts(_sentence(base.get("status_msg")), code, _MINIMAX_STATUS.get(code), base)
    if isinstance(found.get("errors"), list) and found["errors"]:
        first = found["errors"][0]
        return _facts(first) if isinstance(first, dict) else ErrorFacts(_sentence(first), None, _status(found), {})
    for name in _SENTENCES:
        if found.get("object") == "error" or _sentence(found.get(name)):
            return _facts(found)
    return None


def typed_body(facts: ErrorFacts, status: int | None = None) -> ApiError:
    """Return the typed error for an error within a response of status 200, or of ``status``."""
    effective = facts.status if status is None else status
    kind = CODES.get(facts.code or "") or BY_STATUS.get(effective or 0, "provider_unavailable")
    if refuses_content(effective or 400, facts.message, facts.error):
        kind = "content_policy_violation"
    if kind in _REFUSED and tells_overflow(facts.message):
        kind = "context_length_exceeded"
    code = facts.code or (str(facts.status) if facts.status is not None else None)
    return ApiError(
        kind,
        facts.message or "The provider reports an error without a message",
        metadata={"provider_code": code} if code is not None else None,
    )


def http_error(status: int, body: bytes, headers: Mapping[str, str], endpoint: Endpoint) -> ApiError:
    """Return the error for a response with a status of failure, typed by the provider's code, else by the status.

    The provider's own 401, 402 and 404 are failures between it and the router, not the client's.
    """
    facts = _read(body) or ErrorFacts("", None, None, {})
    typed = typed_body(facts, status)
    metadata: dict[str, Any] = {
        "provider_name": endpoint.provider_name,
        "raw": body[:RAW_LIMIT].decode(errors="replace"),
        **typed.metadata,
    }
    return ApiError(
        typed.error_type,
        f"Provider returned error: {facts.message}" if facts.message else f"Provider returned error {status}",
        metadata=metadata,
        retry_after=retry_after(headers.get("retry-after"), time.time()),
        upstream_status=status,
    )


def _read(body: bytes) -> ErrorFacts | None:
    try:
        found = read_leniently(body)
    except ValueError:
        return None
    if isinstance(found, str) and found:
        return ErrorFacts(found[:_MESSAGE_LIMIT], None, None, {})
    return find_error(found)


def _facts(error: dict[str, Any]) -> ErrorFacts:
    status = _status(error)
    code, kind = error.get("code"), error.get("type")
    # Some providers repeat the status as the code, and give the actual code as the type.
    named = kind if kind and (code is None or isinstance(code, int)) else code
    message = next((text for name in _SENTENCES if (text := _sentence(error.get(name)))), "")
    return ErrorFacts(
        message or (msgspec.json.encode(error).decode()[:_MESSAGE_LIMIT] if error.get("object") != "error" else ""),
        str(named) if named is not None and not (isinstance(named, int) and named == status) else None,
        status,
        error,
    )


def _status(error: dict[str, Any]) -> int | None:
    for name in ("code", "status", "status_code", "http_code"):
        value = error.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600:
            return value
    return None


def _sentence(value: Any) -> str:
    """Return the text of a message, which may be an object or FastAPI's list of details."""
    if isinstance(value, str):
        return value[:_MESSAGE_LIMIT]
    if isinstance(value, list):
        return "; ".join(text for item in value[:20] if (text := _sentence(item)))[:_MESSAGE_LIMIT]
    if not isinstance(value, dict):
        return ""
    said = next((text for name in ("message", "msg", "detail", "error") if (text := _sentence(value.get(name)))), "")
    place = value.get("loc")
    if said and isinstance(place, list):
        return f"{'.'.join(map(str, place[:20]))}: {said}"
    return said
