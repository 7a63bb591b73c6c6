"""Hold the error of a question that cannot be answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ERROR_TYPES = {400: "invalid_request", 401: "authentication", 404: "not_found", 504: "timeout"}


class BadQuestion(Exception):
    """Report what to change in a question; ``code`` is the HTTP status."""

    def __init__(self, message: str, code: int = 400) -> None:
        super().__init__(message)
        self.message, self.code = message, code


def envelope(code: int, message: str) -> dict[str, Any]:
    """Return the error envelope of the API."""
    kind = ERROR_TYPES.get(code, "server" if code >= 500 else "invalid_request")
    return {"error": {"code": code, "message": message, "metadata": {"error_type": kind}}}


def sentence(found: Mapping[str, Any]) -> str:
    """Return what is wrong with a field, or with the whole body, from an error of validation."""
    if found["type"] == "json_invalid":
        return f"The body is not valid JSON at character {found['loc'][-1]}: {found['ctx']['error']}"
    field = ".".join(map(str, found["loc"][1:]))
    return f"{field}: {found['msg']}" if field else "The body must be a JSON object"
