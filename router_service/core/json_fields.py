"""Read the top-level fields of a JSON body as raw JSON, with bounds that protect every later reader.

A decoder uses the C stack for each level of nesting and fails at a depth that depends on its caller. One fixed limit,
checked once, keeps that failure away from all of them.
"""

from __future__ import annotations

import codecs
import itertools

import msgspec

from router_service.core.errors import ApiError
from router_service.core.request_bounds import MAX_FIELD_BYTES, MAX_FIELDS, check_fields

MAX_NESTING = 200
BYTE_ORDER_MARK = codecs.BOM_UTF8
_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_ROUNDS = 8


def read_fields(body: bytes) -> dict[str, msgspec.Raw]:
    """Return the fields of ``body`` in the client's order. Raises ``ApiError`` 400 with what is wrong.

    A byte order mark is ignored, as RFC 8259, section 8.1 allows: some editors and libraries write one.
    """
    if not body.isascii():
        body = body.removeprefix(BYTE_ORDER_MARK)
    if not body.isascii() or body.count(b"[") + body.count(b"{") > MAX_NESTING:
        check_text("The request body", body)
    try:
        fields = _decoder.decode(body)
    except msgspec.ValidationError:
        raise ApiError("invalid_request", "The request body must be a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError("invalid_request", f"The request body is not valid JSON: {error}") from None
    if len(body) > MAX_FIELD_BYTES or len(fields) > MAX_FIELDS:
        check_fields(fields)
    return fields


def check_text(name: str, raw: bytes) -> None:
    """Raise ``ApiError`` 400 if ``raw`` is not UTF-8 or is nested more than ``MAX_NESTING`` levels deep."""
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            raise ApiError(
                "invalid_request", f"{name} is not valid UTF-8 at byte {error.start}; send UTF-8 text"
            ) from None
    if raw.count(b"[") + raw.count(b"{") > MAX_NESTING and _is_too_deep(raw):
        raise ApiError(
            "invalid_request", f"{name} is nested more than {MAX_NESTING} levels deep; send a flatter structure"
        )


def _is_too_deep(raw: bytes) -> bool:
    """Return whether ``raw`` is nested too deeply, in time that is linear in its length.

    Most bodies are flat: a few removals of innermost pairs leave nothing, and only the rest is counted one by one.
    """
    if b"\\" in raw:
        # Backslashes are in strings alone. What is left of an odd number of them escapes a quote.
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Without the empty strings, which most are now; every second part is a string then.
    brackets = b"".join(raw.translate(_ONE_KIND, _NOT_BRACKETS).replace(b'""', b"").split(b'"')[::2])
    for removed in range(_ROUNDS):
        if len(brackets) <= MAX_NESTING - removed:
            return False
        brackets = brackets.replace(b"[]", b"")
    depths = itertools.accumulate(1 if bracket == ord("[") else -1 for bracket in brackets)
    return any(depth > MAX_NESTING - _ROUNDS for depth in depths)
