"""Whose request it is."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request

from router_service.admission.keys import Key
from router_service.container import Serving
from router_service.core.errors import ApiError


async def authenticate(headers: Mapping[bytes, bytes], serving: Serving) -> Key:
    """The key of a request. Raises ``ApiError`` 401 saying what to send, 403 for a key whose policy is damaged."""
    header = headers.get(b"authorization", b"")
    known = serving.keys.by_header.get(header)
    if known is not None:
        return known
    value = header.decode("latin-1")
    scheme, _, token = value.partition(" ")
    token = token.strip() or headers.get(b"x-api-key", b"").decode("latin-1")
    if not token or (value and scheme.lower() != "bearer"):
        raise ApiError("authentication", "No API key found: send the header 'Authorization: Bearer sk-or-v1-…'")
    key = await serving.keys.find(token)
    if key is None:
        raise ApiError("authentication", "The API key is unknown or disabled: make one with 'portolan keys create'")
    if key.policy is None:
        raise ApiError(
            "permission_denied", "This key's policy cannot be read: set it again with 'portolan keys policy'"
        )
    if header:
        serving.keys.by_header[header] = key
    return key


async def require_key(request: Request) -> Key:
    """FastAPI dependency."""
    return await authenticate(dict(request.scope["headers"]), request.app.state.serving)
