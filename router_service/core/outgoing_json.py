"""Write JSON that is always valid UTF-8, whatever a provider sent.

Halves of surrogate pairs, which UTF-8 cannot express, become U+FFFD.
"""

from __future__ import annotations

from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


def outgoing_json(value: Any) -> bytes:
    """Return ``value`` as JSON on one line."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(_well_formed_value(value))


def json_text(text: str) -> str:
    """Return ``text`` as a JSON string."""
    return outgoing_json(text).decode()


def well_formed(text: str) -> str:
    """Return ``text`` with U+FFFD for each half of a surrogate pair that stands alone."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _well_formed_value(value: Any) -> Any:
    if isinstance(value, str):
        return well_formed(value)
    if isinstance(value, dict):
        return {_well_formed_value(name): _well_formed_value(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_well_formed_value(one) for one in value]
    return value
