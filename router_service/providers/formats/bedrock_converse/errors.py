"""Tell the errors of the format that no status and no exception tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from router_service.core.errors import ApiError
from router_service.providers.amazon_errors import message_told, stream_exception


def no_converse(what: str) -> ApiError:
    """Return the error for bytes that are not of the format."""
    return ApiError("provider_unavailable", f"The provider's {what} is not of the Converse format")


def error_told(body: Mapping[str, Any]) -> ApiError | None:
    """Return the error that a response with status 200 tells in place of an answer, else ``None``."""
    name = str(body.get("__type") or "").rpartition("#")[2]
    message = message_told(body)
    if not name and not message:
        return None
    return stream_exception(name or "InternalServerException", msgspec.json.encode({"message": message}))
