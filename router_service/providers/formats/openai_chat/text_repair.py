"""Join text whose characters a provider cut apart: halves of surrogate pairs and bytes of UTF-8 in several deltas."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Hashable
from typing import Any

# Surrogates that stand for no byte: ``surrogateescape`` keeps the bytes 80 to FF as U+DC80 to U+DCFF.
_NO_BYTE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_REPLACEMENT = "\ufffd"


def read_escaped(data: bytes) -> Any:
    """Return the value of JSON with the faults of real servers. Raises ``ValueError`` if there is none.

    Bytes that are no UTF-8 become surrogates, as ``surrogateescape`` makes them; NaN and infinities become ``None``;
    strings may contain control characters.
    """
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
        return json.loads(text, strict=False, parse_constant=lambda _name: None, parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def cleaned(value: Any) -> Any:
    """Return ``value``, as ``read_escaped`` gives it, such that it can be written as UTF-8.

    Raises ``ValueError`` if it is nested too deeply.
    """
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _is_unicode(text):
        return value
    return json.loads(_repaired(text, final=True)[0], strict=False)


class TextJoiner:
    """Keep the incomplete last character of each text of a stream in ``held`` until its next delta completes it."""

    def __init__(self) -> None:
        self.held: dict[tuple[Hashable, ...], str] = {}

    def join(self, place: tuple[Hashable, ...], text: str) -> str:
        """Return ``text`` after what was held back at ``place``, without an incomplete last character."""
        if not text:
            return text
        joined, rest = _repaired(self.held.pop(place, "") + text, final=False)
        if rest:
            self.held[place] = rest
        return joined

    def flush(self, place: tuple[Hashable, ...]) -> str:
        """Return the replacement of a character at ``place`` that was never completed."""
        return _REPLACEMENT if self.held.pop(place, "") else ""

    def discard(self, choice: int) -> None:
        """Forget what is held back of ``choice``, the first item of its places."""
        for place in [place for place in self.held if place[0] == choice]:
            del self.held[place]


def _repaired(text: str, *, final: bool) -> tuple[str, str]:
    """Return ``text`` as Unicode and, unless it is ``final``, the incomplete character at its end."""
    paired = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    if not final and paired and "\ud800" <= paired[-1] <= "\udbff":
        return _repaired(paired[:-1], final=True)[0], paired[-1]
    raw = _NO_BYTE.sub(_REPLACEMENT, paired).encode("utf-8", "surrogateescape")
    found, used = codecs.utf_8_decode(raw, "replace", final)
    return found, raw[used:].decode("utf-8", "surrogateescape")


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None


def _whole(digits: str) -> int | float | None:
    """Return a number of at most 64 bits as it is, because the encoder of JSON takes no larger integers."""
    return int(digits) if len(digits) < 19 else _finite(digits)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
