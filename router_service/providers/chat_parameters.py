"""Name the parameters of the chat dialect that are for the router, whatever the wire format.

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


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value).translate(None, b" \t\r\n")
