"""Decode JSON with the faults of real servers where the strict decoder rejects it."""

from __future__ import annotations

import codecs
import contextlib
import json
import math
from typing import Any

import msgspec


def json_value(data: bytes) -> Any:
    """Decode strictly, then leniently, so that malformed JSON does not lose an answer; ``None`` for no JSON."""
    with contextlib.suppress(ValueError):
        return decode_json(data)
    return None


def decode_json(data: bytes) -> Any:
    """Decode strictly, then leniently. Raises ``ValueError`` for bytes that are no JSON either way."""
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        return msgspec.json.decode(data)
    return read_leniently(data)


def read_leniently(data: bytes) -> Any:
    """Return the value of ``data`` such that strict JSON can express it. Raises ``ValueError`` if there is none.

    Invalid UTF-8 and lone surrogates become U+FFFD; NaN and infinities become ``None``; strings may contain control
    characters, and a byte order mark may stand first.
    """
    try:
        value = json.loads(
            data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace"),
            strict=False,
            parse_constant=_no_number,
            parse_float=_finite,
        )
        text = json.dumps(value, ensure_ascii=False)
        if text.isascii() or _is_unicode(text):
            return value
        return json.loads(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_number(_name: str) -> None:
    return None


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
