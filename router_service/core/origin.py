"""Carry the origin of a token inside the token, for client APIs that have no field for it.

A wrapped token is ``ptl_``, the length of the encoded origin in two hexadecimal digits, the origin in URL-safe base64
without padding, and the raw token. The prefix consists of letters, digits, ``_`` and ``-``, so that a tool-call id or a
base64 signature keeps the alphabet that APIs check. It costs 6 characters and four thirds of the origin.

A client API with a field that names the kind of token, as ``reasoning_details[].format`` of the chat dialect does, need
not wrap a token whose kind is known: the formats of the reference are as fine as the providers that accept each
other's tokens. A provider that refuses one for its account gets the turn again without it.
"""

from __future__ import annotations

import base64
import binascii

PREFIX = "ptl_"
_HEADER = len(PREFIX) + 2
MAX_ORIGIN_BYTES = 191


def wrap_token(origin: str | None, raw: str) -> str:
    """Return ``raw`` with its origin, or unchanged without one. Raises ``ValueError`` beyond 191 bytes of origin."""
    if not origin and unwrap_token(raw) == (None, raw):
        return raw
    encoded = (origin or "").encode()
    if len(encoded) > MAX_ORIGIN_BYTES:
        raise ValueError(f"the origin {origin!r} has more than {MAX_ORIGIN_BYTES} bytes")
    text = base64.urlsafe_b64encode(encoded).decode().rstrip("=")
    return f"{PREFIX}{len(text):02x}{text}{raw}"


def unwrap_token(text: str) -> tuple[str | None, str]:
    """Return the origin and the raw token. A text that ``wrap_token`` did not make is a raw token without origin."""
    if not text.startswith(PREFIX):
        return None, text
    length, rest = text[len(PREFIX) : _HEADER], text[_HEADER:]
    if len(length) != 2 or not all(digit in "0123456789abcdef" for digit in length):
        return None, text
    encoded, raw = rest[: int(length, 16)], rest[int(length, 16) :]
    try:
        origin = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        return None, text
    if len(encoded) != int(length, 16) or base64.urlsafe_b64encode(origin.encode()).decode().rstrip("=") != encoded:
        return None, text
    return origin or None, raw
