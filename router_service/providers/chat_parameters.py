"""Read the parameters of chat whatever the wire format: those for the router, and the limit of tokens.

Source: the reference's ``ChatRequest`` and its documentation of parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

# The router itself does what these ask for.
SERVED_BY_ROUTER = frozenset(
    {"include_reasoning", "models", "provider", "route", "session_id", "stream_options", "trace", "usage"}
)
# These ask the reference for services that this router does not have. No provider has them either.
UNSERVED = frozenset({"debug", "plugins", "preset", "stop_server_tools_when", "transforms"})
_NEUTRAL = frozenset({b"null", b"false", b"[]", b"{}", b'""'})


def asking_fields(fields: Mapping[str, Any], names: Iterable[str]) -> set[str]:
    """Return those of ``names`` whose value in ``fields`` asks for something: it is not null, false or empty.

    Values are JSON, raw or decoded.
    """
    return {name for name in names if name in fields and _encoded(fields[name]) not in _NEUTRAL}


def limited_tokens(name: str, value: int | msgspec.Raw, most: int | None, dropped: set[str]) -> Any:
    """Return ``max_tokens``, at most the number that the endpoint can write; a smaller one is reported as ``name``."""
    if most is None:
        return value
    try:
        asked = int(bytes(value)) if isinstance(value, msgspec.Raw) else value
    except ValueError:
        return value
    if asked <= most:
        return value
    dropped.add(name)
    return most


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value).translate(None, b" \t\r\n")
