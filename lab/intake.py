"""Read the requests of the lab within bounds, and answer those that are refused."""

from __future__ import annotations

import json
import secrets
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from lab.conversation import Conversation
from lab.shapes import RequestRefused
from lab.text import Ask
from lab.wire import ErrorWire, Wire

# Source: https://platform.claude.com/docs/en/api/errors, the limit of the messages API.
MAX_BODY_BYTES = 32 << 20
MALFORMED = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError)


async def read_body(request: Request, wire: ErrorWire) -> dict[str, Any]:
    """Return the JSON object that was sent. Raises ``RequestRefused`` if it is none, or too large."""
    return parsed_object(await read_content(request), wire)


async def read_content(request: Request) -> bytes:
    """Return the bytes that were sent. Raises ``RequestRefused`` if they are too many."""
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise RequestRefused("Request exceeds the maximum size", status=413, kind="request_too_large")
    return b"".join(chunks)


def parsed_object(content: bytes, wire: ErrorWire) -> dict[str, Any]:
    """Return the JSON object that ``content`` is. Raises ``RequestRefused`` if it is none."""
    try:
        body = json.loads(content, parse_constant=_no_number)
        if b"\\ud" in content.lower():
            # Half a surrogate pair cannot be sent back, so it is replaced.
            body = json.loads(json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise RequestRefused(wire.not_json) from None
    if not isinstance(body, dict):
        raise RequestRefused(wire.not_json)
    return body


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def understand(body: dict[str, Any], wire: Wire) -> tuple[Ask, Conversation]:
    """Return what the request asks for. Raises ``RequestRefused`` if not even a lenient provider can read it."""
    if not isinstance(body.get("model"), str):
        raise RequestRefused("you must provide a model parameter")
    turns = body.get(wire.turns)
    if not turns or not isinstance(turns, list | str if wire.turns == "input" else list):
        raise RequestRefused(f"{wire.turns} must be a list of at least one message", param=wire.turns)
    try:
        return wire.read(body), wire.converse(body)
    except MALFORMED as error:
        raise unreadable(error) from None


def unreadable(error: Exception) -> RequestRefused:
    """Return the refusal of a request over whose fields the lab stumbled; lenient providers check no shapes."""
    named = f"{type(error).__name__} {error}"[:200]
    return RequestRefused(f"The lab cannot read this request ({named}). Send the documented fields.")


def refusal_response(refused: RequestRefused, wire: ErrorWire) -> JSONResponse:
    """Return the vendor's error body with its status."""
    request_id = new_request_id()
    wait = {"retry-after": "1"} if refused.status == 429 else {}
    content = refused.envelope if refused.envelope is not None else wire.envelope(refused, request_id)
    return JSONResponse(content, status_code=refused.status, headers=request_ids(request_id) | wait)


def new_request_id() -> str:
    """Return an id in the vendors' form."""
    return f"req_{secrets.token_hex(12)}"


def request_ids(request_id: str) -> dict[str, str]:
    """Return the headers in which the vendors' SDKs look for the id of a request."""
    return {"request-id": request_id, "x-request-id": request_id}
